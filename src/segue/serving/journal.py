"""The journal of a service: accepted events, which ``segue data`` and ``segue run`` read, and exposures: Parquet files.

DIR/events/2026-11-28-0000000000000000001-0000000000000005000.parquet
DIR/exposures/2026-11-28-0000000000000000001-0000000000000005000.parquet
DIR/seen/2026-11-28-0000000000000000001-0000000000000005000.parquet

A name has the day on which the file was written and the numbers of its first and last row, so the order of the names is
that in which the events arrived.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from segue.errors import ArtifactError
from segue.serving.sessions import Event
from segue.storage import remove, replacing_file
from segue.strict_json import dumps

_TIME = pl.Datetime("ms", "UTC")
_EVENTS = {
    "session": pl.String,
    "item": pl.String,
    "time": _TIME,
    "type": pl.String,
    "event_id": pl.String,
    "recommendation_id": pl.String,
    "context": pl.String,
}
_EXPOSURES = {
    "recommendation_id": pl.String,
    "session": pl.String,
    "time": _TIME,
    "model": pl.String,
    "version": pl.String,
    "fallback": pl.String,
    "items": pl.List(pl.String),
    "scores": pl.List(pl.Float64),
    "experiment": pl.String,
    "plan": pl.String,
    "arm": pl.String,
    "unit": pl.String,
    "user": pl.String,
    "forced": pl.Boolean,
    "bot": pl.Boolean,
    "arms": pl.List(pl.String),
}
_SEEN = {
    "recommendation_id": pl.String,
    "session": pl.String,
    "time": _TIME,
    "items": pl.List(pl.String),
    "positions": pl.List(pl.Int64),
}
SCHEMAS: dict[str, dict[str, Any]] = {"events": _EVENTS, "exposures": _EXPOSURES, "seen": _SEEN}
Row = tuple[str, str | None, bytes]
"""Kind, session and content of a row. Thousands of them may wait: bytes are no work for the garbage collector."""

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Any, ...]).decode

_PART = re.compile(r"(\d{4}-\d\d-\d\d)-(\d{19})-(\d{19})\.parquet")


_USER = "user\0"
"""Begins the name of a user among those whose rows are deleted; no id of a session has such a character."""


def owner(user: str) -> str:
    """Return the name of a user, beside those of sessions, for what deletes rows.

    Args:
        user: keyed hash of the user.
    """
    return _USER + user


class Exposure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was recommended, in the order of the list.

    Attributes:
        recommendation_id: id of the answer, which later events name.
        session: session it was for; None if the request carried its items.
        time: milliseconds since 1970, UTC.
        model: name of the model.
        version: version of the model.
        fallback: why the model did not rank the items; None if it did.
        items: raw item ids.
        scores: their scores.
        experiment: name of the experiment; None if there was none.
        plan: its arms, see ``segue.online.arms.Split.plan``.
        arm: arm that answered; None for a request that took no part, and where two arms were interleaved.
        unit: session, or hash of the user, that the arm was drawn for.
        user: keyed hash of the user, if the request named one.
        forced: whether the request named a model, and so took no part.
        bot: whether the request said that no person sees the answer.
        arms: arm that each item comes from, where two arms were interleaved.
    """

    recommendation_id: str
    session: str | None
    time: int
    model: str
    version: str
    fallback: str | None
    items: list[str]
    scores: list[float]
    experiment: str | None = None
    plan: str | None = None
    arm: str | None = None
    unit: str | None = None
    user: str | None = None
    forced: bool = False
    bot: bool = False
    arms: list[str] | None = None


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a visitor has seen of a recommendation, as the site says.

    Attributes:
        recommendation_id: id of the answer.
        session: session it was for; None if the request carried its items.
        time: milliseconds since 1970, UTC.
        items: raw ids of the items; None if their positions are given.
        positions: positions of the items in the list, from 1 on; None if their ids are given.
    """

    recommendation_id: str
    session: str | None
    time: int
    items: list[str] | None
    positions: list[int] | None


def event_row(session_id: str, event: Event) -> bytes:
    """Return the content of the row of an event."""
    context = None if not event.context else dumps(event.context, sort_keys=True)
    return encode((session_id, event.item, event.time, event.type, event.event_id, event.recommendation_id, context))


def shown_row(shown: Exposure | Seen) -> Row:
    """Return the row of what was recommended or seen."""
    return "exposures" if isinstance(shown, Exposure) else "seen", shown.session, encode(shown)


class Journal:
    """A folder of Parquet files, each with consecutive rows. Its methods are called by one thread at a time.

    Args:
        folder: the folder; it is created with the first file.
        days: days that a file is kept for; None keeps all.
    """

    def __init__(self, folder: Path, days: float | None = None) -> None:
        self.folder = folder
        self._days = days
        self._lock = threading.Lock()

    def write(self, kind: str, first: int, last: int, rows: Sequence[bytes]) -> None:
        """Write the rows with the numbers from ``first`` to ``last``.

        Args:
            kind: ``events``, ``exposures`` or ``seen``.
            first: number of the first row.
            last: number of the last one.
            rows: the contents of those of them that were not deleted.

        Raises:
            StorageError: the file cannot be written.
        """
        if not rows:
            return
        table = pl.DataFrame(list(map(_decode, rows)), schema=SCHEMAS[kind], orient="row")
        day = datetime.now(UTC).date().isoformat()
        with self._lock, replacing_file(self.folder / kind / f"{day}-{first:019}-{last:019}.parquet") as scratch:
            table.write_parquet(scratch)

    def last_row(self, kind: str) -> int:
        """Return the largest number of a row that was written; 0 if there is none."""
        return max((int(found[3]) for _, found in self._parts(kind)), default=0)

    def holds(self, session_id: str) -> bool:
        """Return whether a file has rows of a session.

        Raises:
            ArtifactError: a file is damaged.
        """
        chosen = _rows_of([session_id])
        return any(_count(self._files(kind), chosen[kind]) for kind in SCHEMAS)

    def delete(self, owners: Iterable[str]) -> int:
        """Remove the rows of sessions and users from all files, and what was seen of the recommendations to them.

        Args:
            owners: ids of sessions, and names of users, see ``owner``; the number of removed rows is returned.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written.
        """
        chosen = _rows_of(list(owners))
        shown = self._recommendations(chosen["exposures"])
        return self._remove_rows({**chosen, "seen": chosen["seen"] | pl.col("recommendation_id").is_in(shown)})

    def _recommendations(self, chosen: pl.Expr) -> list[str]:
        """Return the ids of chosen exposures."""
        found: list[str] = []
        for file, _ in _count(self._files("exposures"), chosen):
            with _readable(file):
                found += pl.scan_parquet(file, glob=False).filter(chosen).collect()["recommendation_id"].to_list()
        return found

    def delete_before(self, time: int) -> int:
        """Remove the rows with times before a time in milliseconds since 1970, and return their number.

        Raises:
            ArtifactError: a file is damaged.
            StorageError: a file cannot be written.
        """
        return self._remove_rows(dict.fromkeys(SCHEMAS, pl.col("time") < pl.lit(time).cast(_TIME)))

    def _remove_rows(self, chosen: Mapping[str, pl.Expr]) -> int:
        count = 0
        with self._lock:
            for kind in reversed(SCHEMAS):  # What was seen goes before the exposures that say whose it is.
                rows = chosen[kind].fill_null(value=False)
                for file, found in _count(self._files(kind), rows):
                    with _readable(file):
                        kept = pl.read_parquet(file, glob=False).filter(rows.not_())
                    count += found
                    if kept.height:
                        with replacing_file(file) as scratch:
                            kept.write_parquet(scratch)
                    else:
                        remove(file)
        return count

    def expire(self) -> None:
        """Remove the files of days that are no longer kept.

        Raises:
            StorageError: a file cannot be removed.
        """
        if self._days is None:
            return
        oldest = (datetime.now(UTC) - timedelta(days=self._days)).date().isoformat()
        with self._lock:
            for kind in SCHEMAS:
                for file, found in self._parts(kind):
                    if found[1] < oldest:
                        remove(file)

    def _files(self, kind: str) -> list[Path]:
        return [file for file, _ in self._parts(kind)]

    def _parts(self, kind: str) -> list[tuple[Path, re.Match[str]]]:
        files = sorted((self.folder / kind).glob("*.parquet"))
        return [(file, found) for file in files if (found := _PART.fullmatch(file.name)) is not None]


def _rows_of(owners: list[str]) -> dict[str, pl.Expr]:
    """Return which rows of each kind name some sessions or users."""
    of_session = pl.col("session").is_in(owners)
    of_user = pl.lit(_USER) + pl.col("user")
    return {**dict.fromkeys(SCHEMAS, of_session), "exposures": of_session | of_user.is_in(owners)}


def _count(files: list[Path], chosen: pl.Expr) -> list[tuple[Path, int]]:
    """Return the files with chosen rows and how many they have. Thousands of files are read at once, which is faster.

    Raises:
        ArtifactError: a file is damaged.
    """
    if not files:
        return []
    rows = pl.scan_parquet(files, glob=False, include_file_paths="file").filter(chosen)
    try:
        with _readable(files[0]):
            found = rows.group_by("file").len().sort("file").collect()
    except ArtifactError:
        if len(files) == 1:
            raise
        return [one for file in files for one in _count([file], chosen)]
    return [(Path(file), number) for file, number in found.iter_rows()]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ArtifactError(f"{file}: is damaged ({error}); remove it") from error
