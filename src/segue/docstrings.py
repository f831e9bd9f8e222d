"""Docstrings that are shown to users: the help of the commands and the descriptions of the models."""

import ast
import inspect
from collections.abc import Callable
from textwrap import dedent
from typing import Any


def docstring(documented: type | Callable[..., Any]) -> str:
    """Return the docstring of a class or function, without its indentation.

    Python has none with ``-OO``; it is then read from the source file, and is empty where there is no such file.
    """
    if documented.__doc__ is not None:
        return inspect.cleandoc(documented.__doc__)
    try:
        source = inspect.getsource(documented)
    except OSError:
        return ""
    (definition,) = ast.parse(dedent(source)).body
    assert isinstance(definition, ast.ClassDef | ast.FunctionDef)
    return ast.get_docstring(definition) or ""
