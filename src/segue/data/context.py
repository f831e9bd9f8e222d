"""Context: what is known of each event besides its item, from its time, the log's columns and the item's metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import polars as pl
from jaxtyping import Int64, Shaped

from segue.data.features import Categories, Kind, Scale, kind_of
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary

CLOCK = ("hour", "weekday", "gap")
"""Features that are read off the times: hour of the day and day of the week (0 is Monday) in UTC, and the logarithm of
1 + the seconds since the event before. Columns of these names are not read."""


@dataclass(frozen=True, eq=False)
class Context:
    """The features of a model, as learnt in training.

    Attributes:
        learnt: by feature what makes numbers of its values.
        vocabulary: its metadata holds the features of items.
    """

    learnt: Mapping[str, Categories | Scale]
    vocabulary: Vocabulary

    @classmethod
    def learn(cls, features: Sequence[str], train: Sessions) -> "Context":
        """Learn features that ``refusals`` has nothing against."""
        learnt: dict[str, Categories | Scale] = {}
        for name, kind in map(_parsed, features):
            of_items = name in train.vocabulary.metadata and name not in CLOCK
            column = train.vocabulary.table[name] if of_items else _column(name, train.as_prefixes())
            is_number = (kind or kind_of(column)) == "number"
            learnt[name] = Scale.learn(column) if is_number else Categories.learn(column)
        return cls(learnt, train.vocabulary)

    @property
    def columns(self) -> list[str]:
        """Features that the log has to tell of each event."""
        return [name for name in self.learnt if name not in (*CLOCK, *self.vocabulary.metadata)]

    def read(self, sessions: Prefixes) -> dict[str, Shaped[np.ndarray, "n"]]:
        """Return one number per event and feature: a code or a standardised value, and 0 where it is not known.

        Args:
            sessions: no two of them share an event.
        """
        return {name: self._read(name, learnt, sessions) for name, learnt in self.learnt.items()}

    def _read(self, name: str, learnt: Categories | Scale, sessions: Prefixes) -> Shaped[np.ndarray, "n"]:
        if name in self.vocabulary.metadata and name not in CLOCK:
            of_items = learnt.code(self.vocabulary.table[name])
            numbers: np.ndarray = np.insert(of_items, 0, 0)[sessions.items]
            return numbers
        return learnt.code(_column(name, sessions))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learnt."""
        return {
            f"{name}/{part}": array for name, learnt in self.learnt.items() for part, array in learnt.arrays().items()
        }

    @classmethod
    def restore(cls, features: Sequence[str], arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> "Context":
        """Take back what ``arrays`` returned."""
        learnt: dict[str, Categories | Scale] = {}
        for name, _ in map(_parsed, features):
            scale = arrays.get(f"{name}/scale")
            if scale is not None:
                learnt[name] = Scale(*scale.tolist())
            else:
                learnt[name] = Categories.restore(arrays[f"{name}/text"], arrays[f"{name}/ends"])
        return cls(learnt, vocabulary)


def refusals(features: Sequence[str], train: Sessions) -> Iterator[str]:
    """Say what is wrong with the names of features for a log; nothing if nothing is.

    A name may end in ``:category`` or ``:number``, which says what the column is read as.
    """
    names = [name for name, _ in map(_parsed, features)]
    if len(set(names)) < len(names):
        yield f"must name each feature once, got {', '.join(features)}"
    table, columns = train.vocabulary.table, train.columns
    there = [*(columns.columns if columns is not None else ()), *train.vocabulary.metadata]
    for name, kind in map(_parsed, features):
        if name in CLOCK:
            if train.times is None:
                yield f"'{name}' needs a log with times and this one has none; leave it out"
            continue
        if name not in there:
            known = ", ".join(f"'{one}'" for one in there) or "none besides session, item and time"
            yield f"'{name}' must be {', '.join(CLOCK)} or a column of the log or its items; there are: {known}"
            continue
        column = table[name] if name in train.vocabulary.metadata or columns is None else columns[name]
        usual = kind_of(column)
        if usual is None or (kind == "number" and not (column.dtype.is_numeric() or column.dtype == pl.Boolean)):
            wanted = "numbers" if kind == "number" else "text, integers, decimals or booleans"
            yield f"'{name}' must be a column of {wanted}, got {column.dtype}; leave it out or convert it"


def _parsed(feature: str) -> tuple[str, Kind | None]:
    """Split a feature into its name and the kind of its column; None if the kind is not given."""
    name, _, kind = feature.rpartition(":")
    return (name, cast(Kind, kind)) if name and kind in get_args(Kind) else (feature, None)


def _column(name: str, sessions: Prefixes) -> pl.Series:
    """Return the values of a feature of events; null where they are not known."""
    if name in CLOCK and sessions.times is not None:
        return _clock(name, sessions, sessions.times)
    if name not in CLOCK and sessions.columns is not None and name in sessions.columns.columns:
        return sessions.columns[name]
    return pl.repeat(None, len(sessions.items), eager=True)


def _clock(name: str, sessions: Prefixes, times: Int64[np.ndarray, "n"]) -> pl.Series:
    if name != "gap":
        moments = pl.from_epoch(pl.Series(times))
        return moments.dt.hour() if name == "hour" else moments.dt.weekday() - 1
    gaps = np.log1p(np.abs(np.diff(times, prepend=times[:1])))
    gaps[sessions.starts[sessions.lengths > 0]] = np.nan
    return pl.Series(gaps)
