"""Settings of RecBole's data -> the log, its columns and its cleaning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.data.events import ITEM, RATING, SESSION, TIME, TYPE, USER
from segue.data.ingest.columns import COLUMN_ALIASES
from segue.data.readers.folder import PART_NAMES
from segue.data.readers.public_logs import find_log
from segue.errors import ParameterError
from segue.parameters import typed
from segue.printable import short
from segue.recbole.models import Kind
from segue.recbole.settings import Given

_EVERYTHING = "[0,inf)"
"""Interval of numbers of events that drops nothing."""


class Log:
    """The settings of the log.

    Args:
        given: the settings.
        kind: general models need no times, unless other settings do.

    Raises:
        ParameterError: settings contradict each other, or need a column that is not loaded.
    """

    def __init__(self, given: Given, kind: Kind) -> None:
        self._given = given
        self._fields = {role: given.take(f"{name}_ID_FIELD") for role, name in ((USER, "USER"), (ITEM, "ITEM"))}
        self._loaded = _loaded(given)
        _check_form(given)
        self.benchmark = _benchmark(given)
        if kind == "sequential" or given.take("eval_args.order", "RO") == "TO":
            self._require_time()
        for role, name in ((TIME, "TIME_FIELD"), (RATING, "RATING_FIELD")):
            if self._loaded is not None and given.take(name) in self._loaded:
                self._fields.setdefault(role, given.take(name))

    @property
    def columns(self) -> dict[str, str]:
        """Column by role."""
        return dict(self._fields)

    def label(self) -> dict[str, Any]:
        """Return the case rules for labels.

        Raises:
            ParameterError: the threshold names more than one field.
        """
        threshold = self._given.take("threshold")
        if threshold is None:
            self._fields[RATING] = self._given.take("LABEL_FIELD")
            return {"label": RATING}
        if not isinstance(threshold, Mapping) or len(threshold) != 1:
            raise ParameterError(f"threshold: must be one field with a number, got {typed(threshold)}")
        ((name, value),) = threshold.items()
        self._fields[RATING] = name
        return {"label": RATING, "label_threshold": value}

    def filters(self) -> dict[str, Any]:
        """Return the cleaning of the protocol; RecBole does not filter a predefined split.

        Raises:
            ParameterError: a filter and the labels need different columns in the same role.
        """
        if self.benchmark:
            return {}
        kept = self._given.take("rm_dup_inter")
        found: dict[str, Any] = {} if kept is None else {"revisits": kept}
        for name, value in (self._given.take("val_interval") or {}).items():
            column = self._column(name)
            interval = _as_interval(value, number=column in (TIME, RATING))
            parameter = "value_among" if interval is None else "value_interval"
            found.setdefault(parameter, {})[column] = value if interval is None else interval
        for side, name in (("session", "user"), ("item", "item")):
            text = self._given.take(f"{name}_inter_num_interval")
            if text is not None and str(text).replace(" ", "") != _EVERYTHING:
                found[f"{side}_interval"] = _as_interval(text, number=True)
        return found

    def _require_time(self) -> None:
        name = self._given.take("TIME_FIELD")
        if self._loaded is not None and name not in self._loaded:
            raise ParameterError(
                f"load_col.inter: must contain the TIME_FIELD '{name}', because events are ordered by time, got "
                f"{typed(sorted(self._loaded))}"
            )
        self._fields[TIME] = name

    def _column(self, name: str) -> str:
        """Return the name of a field in the log, and map its role."""
        roles = {TIME: self._given.take("TIME_FIELD"), RATING: self._given.take("RATING_FIELD"), **self._fields}
        for role, field in roles.items():
            if name == field:
                self._fields[role] = field
                return SESSION if role == USER else role
        for role in (RATING, TYPE):
            if name in COLUMN_ALIASES[role] and self._fields.setdefault(role, name) == name:
                return role
        if name in COLUMN_ALIASES:
            raise ParameterError(
                f"val_interval: cannot filter by '{name}' because the {name} column is '{self._fields.get(name)}'; "
                "rename one of the two"
            )
        return name


def place(given: Given, asked: str | None) -> tuple[str | None, str | None]:
    """Return the log, and its format if it is known.

    Args:
        given: the settings.
        asked: the log from the command line, which overrides the log of the files.
    """
    name, folder = given.take("dataset"), Path(str(given.take("data_path")))
    if asked is not None or name is None:
        return asked, None
    files = folder / name
    if not files.exists() and find_log(name) is not None:
        return str(name), None
    return str(files if given.take("benchmark_filename") else files / f"{name}.inter"), "recbole"


def _loaded(given: Given) -> set[str] | None:
    """Return the fields of the events to load, or None for all."""
    if not given.has("load_col"):
        return None
    columns = given.take("load_col")
    if columns is None:
        return None
    if not isinstance(columns, Mapping) or "inter" not in columns:
        raise ParameterError(f"load_col: must name the columns of inter, got {typed(columns)}")
    listed = columns["inter"]
    if listed in ("*", None):
        return None
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise ParameterError(f"load_col.inter: must be a list of columns, got {short(listed)}")
    return set(listed)


def _check_form(given: Given) -> None:
    """Refuse files in another format."""
    for name, rule, value in (
        ("field_separator", "a tab", "\t"),
        ("seq_separator", "a space", " "),
        ("encoding", "utf-8", "utf-8"),
    ):
        if str(given.take(name)).lower() != value:
            raise ParameterError(f"{name}: must be {rule}, got {typed(given.take(name))}; convert the files")


def _benchmark(given: Given) -> bool:
    """Tell whether the log has a predefined split.

    Raises:
        ParameterError: the names of the parts are not supported.
    """
    names = given.take("benchmark_filename")
    if names is None:
        return False
    parts = list(PART_NAMES.values())
    if (
        not isinstance(names, list)
        or len(names) != len(parts)
        or any(name not in usual for name, usual in zip(names, parts, strict=True))
    ):
        rule = "; ".join(" or ".join(usual) for usual in parts)
        raise ParameterError(
            f"benchmark_filename: must be the names of training, validation and test ({rule}), got {typed(names)}; "
            "rename the files"
        )
    return True


def _as_interval(value: Any, *, number: bool) -> str | None:
    """Return an interval as text, or None for a list of values; a list of two numbers is an interval of RecBole."""
    if isinstance(value, list):
        return str(value) if number else None
    return str(value)
