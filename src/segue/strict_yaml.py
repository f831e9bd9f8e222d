"""YAML as configurations use it: names and values, read strictly and within bounds.

Refused are names that occur twice, anchors and aliases (which can expand to any size), tags, names that are no text,
dates that do not exist, integers of more than 64 bits, and what is long or deep beyond any configuration.
"""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from segue.printable import short, visible

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 20
_PREFIX = "tag:yaml.org,2002:"
_KINDS = {"int": "an integer", "float": "a number", "timestamp": "a date", "bool": "true or false"}


class _Refused(yaml.MarkedYAMLError):
    """A refusal of ours, which names its remedy."""


class StrictLoader(yaml.SafeLoader):
    """Reads strictly; derived classes may add resolvers of plain scalars."""

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
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Compose a mapping whose names are different texts."""
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag != f"{_PREFIX}str":
                raise _refused(key, f"a name must be text, got {short(getattr(key, 'value', 'a list'))}; quote it")
            if key.value in names:
                raise _refused(key, f"the name {short(key.value)} occurs twice; remove one of them")
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
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES // 1024} KB")
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        remedy = "" if isinstance(error, _Refused) else "; quote it if it is text"
        raise ValueError(where + visible(" ".join(str(error.problem or error.context).split())) + remedy) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(visible(str(error).splitlines()[0] or "it is nested too deeply")) from error


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


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
    try:
        return loads(content.decode() if len(content) <= MAX_BYTES else " " * len(content), loader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: the text is not UTF-8") from error


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _refused(place: Any, problem: str) -> _Refused:
    return _Refused(problem=problem, problem_mark=place.start_mark)
