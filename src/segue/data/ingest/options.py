"""The user's description of a log, and that of an earlier log which it completes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from segue.data.events import PART, SESSION, USER
from segue.data.ingest.columns import ColumnRoles, by_name
from segue.data.ingest.time_formats import check_time_format
from segue.data.reading import Quoting, Reading, Unit
from segue.errors import UnknownNameError

QUOTINGS: tuple[Quoting, ...] = get_args(Quoting)


@dataclass(frozen=True)
class ReadOptions:
    """The user's description of a log.

    Attributes:
        columns: column by role; other roles are found by ``like`` and by their common names.
        format: format of the files; that of ``like`` or detected if None.
        time_format: format of the times, a name of ``time_formats.NAMES`` or strptime codes; detected if None.
        unit: what one session is; detected from the columns if None.
        quoting: how double quotes in delimited text are read; ``auto`` as in ``like``.
        like: how an earlier log was read; the default of everything else.

    Raises:
        ParameterError: the format of the times is not known.
        UnknownNameError: a unit or a way of quoting is not known.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    time_format: str | None = None
    unit: Unit | None = None
    quoting: Quoting = "auto"
    like: Reading | None = None

    def __post_init__(self) -> None:
        if self.time_format is not None:
            check_time_format(self.time_format)
        if self.unit is not None and self.unit not in (SESSION, USER):
            raise UnknownNameError("unit", self.unit, (SESSION, USER))
        if self.quoting not in QUOTINGS:
            raise UnknownNameError("quoting", self.quoting, QUOTINGS)

    @property
    def named(self) -> dict[str, str]:
        """Column by role, as the user gave it or the earlier log had it; a file need not have all of them."""
        return {**(self.like.columns if self.like else {}), **self.columns}

    @property
    def file_format(self) -> str | None:
        """Format of the files: that the user gave, else that given for the earlier log; detected if None."""
        return self.like.format if self.format is None and self.like else self.format

    @property
    def quotes(self) -> Quoting:
        """How double quotes are read: as the user said, else as said for the earlier log."""
        return self.like.quoting if self.quoting == "auto" and self.like else self.quoting

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the format and the quoting that are taken from the earlier log."""
        found = []
        if self.format is None and self.file_format is not None:
            found.append(("format", self.file_format, ""))
        if self.quoting == "auto" != self.quotes:
            found.append(("quoting", self.quotes, f" {'none' if self.quotes == 'double' else 'double'}"))
        return tuple(
            f"{name}: {value}, as it was given for the log of the model; --{name}{other} ({name}=) overrides it"
            for name, value, other in found
        )

    @property
    def header_names(self) -> set[str]:
        """Names that show that a line is a header; numbers of columns do not."""
        return {name for name in self.named.values() if not name.isdecimal()}

    @property
    def like_has_no_header(self) -> bool:
        """Whether the columns of the earlier log go by number."""
        return self.like is not None and all(name.isdecimal() for name in self.like.columns.values())

    def columns_in(self, names: Sequence[str]) -> dict[str, str]:
        """Return the columns that the user gave, and those of the earlier log that a source has."""
        given = by_name(self.columns, names)
        like = self.like.columns if self.like else {}
        free = [name for name in names if name not in given.values()]
        return {**{role: name for role, name in like.items() if role not in given and name in free}, **given}

    @property
    def by_column(self) -> Unit | None:
        """The column that sessions are taken from, if the source has both; None for that of sessions."""
        if self.unit is None and self.like and SESSION not in self.like.columns and SESSION not in self.columns:
            return "user"
        return self.unit

    def reading(self, roles: ColumnRoles, time_format: str | None) -> Reading:
        """Return how a source with some roles is read.

        Args:
            roles: column by role.
            time_format: format of the times, if one is requested.
        """
        columns = roles.sources
        unit = self.unit or roles.unit
        if self.unit is None and self.like and _key(columns) == _key(self.like.columns):
            moved = columns[_key(columns)] != self.like.columns[_key(columns)] and _key(columns) in self.columns
            unit = unit if moved else self.like.unit
        return Reading(
            columns=columns, unit=unit, time_format=time_format, quoting=self.quotes, format=self.file_format
        )

    def leaves_histories_open(self, unit: Unit) -> bool:
        """Whether sessions of a unit are the histories of users though neither the user nor an earlier log says so."""
        return unit == USER != self.unit and self.like is None

    @property
    def leaves_sessions_open(self) -> bool:
        """Whether the user says nothing on what a session is, so that it has to be what it was in the earlier log."""
        return self.unit is None and not {SESSION, USER} & self.columns.keys()


def differences(reading: Reading, like: Reading) -> list[str]:
    """Return the roles that have another column than in an earlier log, in words."""
    own, other = reading.columns, like.columns
    found = [
        f"{role} is '{own[role]}' (there '{name}')" if role in own else f"no column for the {role} (there '{name}')"
        for role, name in other.items()
        if own.get(role) != name and role != PART
    ]
    if reading.unit != like.unit:
        found.append(f"a session is a {_UNITS[reading.unit]} (there a {_UNITS[like.unit]})")
    return found


_UNITS: Mapping[Unit, str] = {"session": "visit", "user": "user's history"}


def _key(columns: Mapping[str, str]) -> str:
    """Return the role whose column sessions are taken from."""
    return SESSION if SESSION in columns else USER
