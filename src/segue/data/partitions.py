"""Partitioned tables, and where functions run on their partitions: in memory, or from files.

A partitioned table is a sequence of tables that together hold its rows, in order. A step of the preparation is a
function of one partition and of a few numbers or small tables. ``Engine.map`` calls it on each partition, so that the
same function serves a log in memory, a log on disk and a log on a cluster.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from segue.progress import Progress
from segue.storage import make_folder, replacing_file
from segue.strict_json import read_json, write_json

Result = Mapping[str, Any]
"""What a function returns for one partition: tables (``pl.DataFrame``) and JSON values by name."""
Function = Callable[..., Result]
"""A function of keyword arguments, importable by its name."""

_MERGED_AT_ONCE = 8


class Stored(ABC):
    """A value in files, which a task gets loaded."""

    @abstractmethod
    def load(self) -> Any:
        """Read the value."""


@dataclass(frozen=True)
class StoredTable(Stored):
    """A table in an Arrow file.

    Attributes:
        path: the file.
        height: number of rows.
        size: bytes of the table in memory.
        only: the columns to read; None for all.
        start: the first row to read.
    """

    path: Path
    height: int
    size: int
    only: tuple[str, ...] | None = None
    start: int = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.only or pl.read_ipc_schema(self.path))

    def select(self, columns: Sequence[str]) -> "StoredTable":
        """Return the same table with some of its columns, in their order in the file; unknown names are ignored."""
        return replace(self, only=tuple(name for name in self.columns if name in columns))

    def load(self) -> pl.DataFrame:
        """Read the table."""
        rows = pl.scan_ipc(self.path, glob=False).slice(self.start, self.height)
        return (rows if self.only is None else rows.select(self.only)).collect()


Table = pl.DataFrame | StoredTable
"""A table in memory or in a file; both have a ``height`` and ``columns``."""


def table_size(table: Table) -> int:
    """Return the bytes of a table in memory, about."""
    return int(table.estimated_size()) if isinstance(table, pl.DataFrame) else table.size


def slice_table(table: Table, start: int, stop: int) -> Table:
    """Return some rows of a table, without reading it."""
    if isinstance(table, pl.DataFrame):
        return table[start:stop]
    share = (stop - start) / max(table.height, 1)
    return replace(table, start=table.start + start, height=stop - start, size=int(table.size * share))


def load(table: Table) -> pl.DataFrame:
    """Return a table as a frame."""
    return table if isinstance(table, pl.DataFrame) else table.load()


class Engine(ABC):
    """Calls functions on the partitions of tables."""

    @abstractmethod
    def map(self, function: Function, each: Sequence[Mapping[str, Any]], **shared: Any) -> list[dict[str, Any]]:
        """Call a function once per partition.

        Args:
            function: a function of a module; stored values among its arguments arrive loaded, tables as frames.
            each: the arguments of each call that differ between the calls.
            **shared: the arguments that are equal in all calls.

        Returns:
            The results in the order of ``each``. A frame in a result becomes a ``Table``.
        """

    @abstractmethod
    def drop(self, tables: Sequence[Table]) -> None:
        """Free tables that are not used any more."""


class InMemory(Engine):
    """Calls functions at once and keeps their results in memory."""

    def map(self, function: Function, each: Sequence[Mapping[str, Any]], **shared: Any) -> list[dict[str, Any]]:
        """Call a function once per partition."""
        return [dict(function(**arguments, **shared)) for arguments in each]

    def drop(self, tables: Sequence[Table]) -> None:
        """Do nothing; a frame is freed with its last reference."""


@dataclass
class OnDisk(Engine):
    """Calls functions one after the other, and keeps tables in files of a folder.

    A finished call is not repeated: the same sequence of calls on the same folder continues where it was interrupted.
    Subclasses run the tasks elsewhere.

    Attributes:
        folder: the folder; the caller makes sure that its results belong to the same input and parameters.
        progress: shows the calls of each function.
    """

    folder: Path
    progress: Progress = field(default_factory=Progress)
    _calls: int = field(default=0, init=False)

    def map(self, function: Function, each: Sequence[Mapping[str, Any]], **shared: Any) -> list[dict[str, Any]]:
        """Call a function once per partition, except where an earlier run finished the call."""
        name = function.__name__.removeprefix("_")
        folder = self.folder / f"{self._calls:04d}-{name}"
        self._calls += 1
        make_folder(folder)
        marker = {number: folder / f"{number:05d}.json" for number in range(len(each))}
        open_calls = [number for number, file in marker.items() if not file.exists()]
        tasks = (Task(function, each[number], shared, folder / f"{number:05d}") for number in open_calls)
        with self.progress.task(f"{self._calls:3d} {name.replace('_', ' ')}", len(each)) as shown:
            shown.advance(len(each) - len(open_calls))
            for _ in self._run_all(tasks):
                shown.advance()
        return [_decode(read_json(file), folder) for file in marker.values()]

    def drop(self, tables: Sequence[Table]) -> None:
        """Delete the files of tables."""
        for table in tables:
            if isinstance(table, StoredTable):
                table.path.unlink(missing_ok=True)

    def _run_all(self, tasks: Iterator["Task"]) -> Iterator[None]:
        """Run tasks, and yield after each."""
        for task in tasks:
            task.run()
            yield


@dataclass(frozen=True)
class Task:
    """One call of a function; running it again gives the same files.

    Attributes:
        function: the function.
        arguments: its arguments for this partition.
        shared: its arguments for all partitions.
        target: where its results are written; the names of the files begin with it.
    """

    function: Function
    arguments: Mapping[str, Any]
    shared: Mapping[str, Any]
    target: Path

    @property
    def marker(self) -> Path:
        """The file that describes the results; it is written last."""
        return self.target.with_suffix(".json")

    def run(self) -> None:
        """Call the function and write its results, the tables first; each file is written atomically."""
        arguments = {
            name: value.load() if isinstance(value, Stored) else value
            for name, value in {**self.shared, **self.arguments}.items()
        }
        result = self.function(**arguments)
        del arguments
        described: dict[str, Any] = {}
        for name, value in result.items():
            if isinstance(value, pl.DataFrame):
                file = self.target.with_name(f"{self.target.name}-{name}.arrow")
                with replacing_file(file) as scratch:
                    value.write_ipc(scratch)
                described[name] = {"table": file.name, "height": value.height, "size": table_size(value)}
            else:
                described[name] = {"value": value}
        with replacing_file(self.marker) as scratch:
            write_json(scratch, described)


def _decode(described: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    return {
        name: StoredTable(folder / value["table"], value["height"], value["size"])
        if "table" in value
        else value["value"]
        for name, value in described.items()
    }


@dataclass(frozen=True)
class PartitionedLog:
    """A sorted log in partitions of whole sessions, in order of their ids; laid end to end they are the log.

    Attributes:
        engine: runs functions on the partitions.
        partitions: one table per partition.
    """

    engine: Engine
    partitions: tuple[Table, ...]

    @classmethod
    def of(cls, log: pl.DataFrame) -> "PartitionedLog":
        """Return a sorted log in memory as one partition."""
        return cls(InMemory(), (log,))

    @property
    def height(self) -> int:
        """Number of events."""
        return sum(table.height for table in self.partitions)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.partitions[0].columns

    @property
    def is_whole(self) -> bool:
        """Whether there is one partition, so that a function of it sees the whole log."""
        return len(self.partitions) == 1

    def is_empty(self) -> bool:
        """Whether there is no event."""
        return not self.height

    def map(
        self,
        function: Function,
        each: Sequence[Mapping[str, Any]] | None = None,
        *,
        columns: Sequence[str] | None = None,
        **shared: Any,
    ) -> list[dict[str, Any]]:
        """Call a function with each partition as ``log``.

        Args:
            function: see ``Engine.map``.
            each: further arguments of each call.
            columns: the columns that the function needs, of those that the log has; others may be missing.
            **shared: further arguments of all calls.
        """
        further: Sequence[Mapping[str, Any]] = each or [{}] * len(self.partitions)
        tables = [
            table.select(columns) if columns is not None and isinstance(table, StoredTable) else table
            for table in self.partitions
        ]
        arguments = [{"log": log, **more} for log, more in zip(tables, further, strict=True)]
        return self.engine.map(function, arguments, **shared)

    def with_partitions(self, partitions: Iterable[Table]) -> "PartitionedLog":
        """Return a log of the same engine."""
        return replace(self, partitions=tuple(partitions))

    def frame(self) -> pl.DataFrame:
        """Return the whole log."""
        return pl.concat([load(table) for table in self.partitions])


def merge_counts(tables: Sequence[Table], key: str, number: str) -> pl.DataFrame:
    """Add up the numbers of equal keys of several tables, a few tables at a time."""
    merged = load(tables[0])
    for start in range(1, len(tables), _MERGED_AT_ONCE):
        some = [load(table) for table in tables[start : start + _MERGED_AT_ONCE]]
        merged = pl.concat([merged, *some]).group_by(key).agg(pl.col(number).sum())
    return merged
