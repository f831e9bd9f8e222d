"""YAML as configurations use it: names and values, read strictly and within bounds.

Plain values are read as in YAML 1.2, so ``no`` and ``on`` are text and ``1e-3`` is a number; dates are dates. Refused
are numbers that YAML 1.1 reads differently (``010``, ``1:30``, ``1_000``), names that occur twice, anchors and aliases
(which can expand to any size), tags, names that are no text, dates that do not exist, numbers beyond 64 bits, and what
is long or deep beyond any configuration.
"""

import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from segue.printable import short, visible

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20
_PREFIX = "tag:yaml.org,2002:"
_AMBIGUOUS = f"{_PREFIX}ambiguous"
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "timestamp": (
        r"\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?([Tt]|[ \t]+)\d\d?:\d\d:\d\d(\.\d*)?([ \t]*(Z|[-+]\d\d?(:\d\d)?))?",
        "0123456789",
    ),
    "ambiguous": (
        r"<<|[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
        r"|(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?)",
        "<-+.0123456789",
    ),
}
"""Plain values by kind, in this order: a regular expression, and the letters with which they begin."""
_KINDS = {"int": "an integer", "float": "a number", "timestamp": "a date", "bool": "true or false"}


class _Refused(yaml.MarkedYAMLError):
    """A refusal of ours, which names its remedy."""


class StrictLoader(yaml.SafeLoader):
    """Reads strictly; derived classes may add resolvers of plain scalars."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose a node, unless it is an alias or too deep."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(event, "anchors (&) and aliases (*) are not read; write the value out")
        if getattr(event, "tag", None) not in (None, "!"):
            raise _refused(event, "tags (!) are not read; write the plain value")
        if self._depth == _MAX_DEPTH:
            raise _refused(event, f"values must be nested at most {_MAX_DEPTH} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node.tag == _AMBIGUOUS:
            remedy = "write a plain number, or quote it if it is text"
            raise _refused(node, f"{short(node.value)} differs between YAML 1.1 and 1.2; {remedy}")
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Compose a mapping whose names are different texts."""
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag != f"{_PREFIX}str":
                raise _refused(key, f"a name must be text, got {short(getattr(key, 'value', 'a list'))}; quote it")
            if key.value in names:
                raise _refused(key, f"the name {short(key.value)} occurs twice; remove one of them")
            if ":" in key.value and key.style is None and value.tag == f"{_PREFIX}null" and not value.value:
                given = visible(key.value.replace(":", ": ", 1))
                raise _refused(key, f"{short(key.value)} has no value; put a space after the colon: {given}")
            names.add(key.value)
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Construct a value that Python and JSON can hold."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            kind = _KINDS.get(node.tag.removeprefix(_PREFIX), node.tag)
            raise _refused(node, f"{short(node.value)} is not {kind}; quote it if it is text") from error
        if isinstance(value, int) and value.bit_length() > 63:
            raise _refused(node, f"{short(node.value)} is too large for an integer of 64 bits; quote it if it is text")
        if isinstance(value, float) and math.isinf(value) and "n" not in node.value.lower():
            raise _refused(node, f"{short(node.value)} is too large for a number of 64 bits; quote it if it is text")
        if isinstance(value, str) and not value.isascii() and _has_surrogates(value):
            raise _refused(node, f"{short(value)} is not text that UTF-8 can hold")
        return value


def loads(text: str, loader: type[StrictLoader] = StrictLoader) -> Any:
    """Parse YAML text.

    Args:
        text: the text.
        loader: how scalars are recognised.

    Raises:
        ValueError: what is wrong, with its line, in one line.
    """
    _check_size(len(text))
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark or error.context_mark, str(error.problem or error.context)
        remedy = "" if isinstance(error, _Refused) else "; quote it if it is text"
        if "stream end" in problem or "end of stream" in problem:
            mark, problem, remedy = error.context_mark or mark, "a bracket or a quote is not closed", "; close it"
        elif problem.startswith(r"found character '\t'"):
            problem, remedy = "begins with a tab", "; indent with spaces"
        elif problem.endswith("another document"):
            problem, remedy = "another document begins", "; remove it"
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(where + visible(" ".join(problem.split())) + remedy) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(visible(str(error).splitlines()[0] or "it is nested too deeply")) from error


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind, (_pattern, _letters) in _PLAIN.items():
    for _class in (StrictLoader, _Dumper):
        _class.add_implicit_resolver(_PREFIX + _kind, re.compile(rf"(?:{_pattern})\Z"), [*_letters])


def dumps(content: Any) -> str:
    """Return a value as YAML text that ``loads`` reads."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def read(path: Path, loader: type[StrictLoader] = StrictLoader) -> Any:
    """Read a YAML file in UTF-8; no more of it than a configuration may have.

    Raises:
        OSError: it cannot be read.
        ValueError: what is wrong, with its line, in one line.
    """
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    _check_size(len(content))
    try:
        return loads(content.decode(), loader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: the text is not UTF-8") from error


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES // 1024} KB")


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _refused(place: Any, problem: str) -> _Refused:
    return _Refused(problem=problem, problem_mark=place.start_mark)
