"""RecBole's configuration files: YAML in which later files go on top of earlier ones."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from segue.errors import ParameterError

_FLOAT = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+")


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as RecBole does; for PyYAML alone it is text."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_files(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the settings of all files; one that several files hold is taken whole from the last of them.

    Raises:
        ParameterError: a file cannot be read, or is no list of names and values.
    """
    settings: dict[str, Any] = {}
    for path in paths:
        settings |= _read(path)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise ParameterError(f"--recbole: {path} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"--recbole: {path} is no YAML: {error}") from error
    if not isinstance(content, dict | None) or not all(isinstance(name, str) for name in content or {}):
        raise ParameterError(f"--recbole: {path} must hold names and values, got {type(content).__name__}")
    return content or {}
