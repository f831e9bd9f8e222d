"""Context features of events: from the time, the columns of the log, or the metadata of the item.

Encoders are fitted on training events only. A feature is one number per event: the code of a category, counted from 1,
or a standardised value. In both, 0 means a missing or unknown value, and contributes nothing to a network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, cast, get_args

import numpy as np
import polars as pl
from jaxtyping import Float32, Int32, Shaped

from segue.data.array_schema import ArraySpec, Offsets, check_arrays
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError

TIME_FEATURES = ("hour", "weekday", "gap")
"""Features derived from the times: hour of the day and day of the week (0 is Monday) in UTC, and log(1 + seconds since
the previous event). They take precedence over columns of these names."""

Kind = Literal["category", "number"]

_FARTHEST = 1e6
"""Standard deviations beyond which numbers are alike: a network would overflow."""


@dataclass(frozen=True, eq=False)
class CategoryEncoder:
    """Numbers the values of a category.

    Attributes:
        values: distinct values as text; the code of a value is its position, counted from 1.
    """

    values: pl.Series

    specs: ClassVar[Mapping[str, ArraySpec]] = {
        "text": ArraySpec("uint8", ("bytes",)),
        "offsets": ArraySpec("int64", ("values+1",), (Offsets("bytes"),)),
    }

    @classmethod
    def fit(cls, column: pl.Series) -> "CategoryEncoder":
        """Collect the distinct values in ascending order."""
        return cls(_as_text(column).drop_nulls().unique().sort())

    def transform(self, column: pl.Series) -> Int32[np.ndarray, "n"]:
        """Return the code of each value, 0 for a missing or unknown one."""
        right = pl.DataFrame({"value": self.values}).with_row_index("code", offset=1)
        left = pl.DataFrame({"value": _as_text(column)})
        codes = left.join(right, on="value", how="left", maintain_order="left")["code"]
        return codes.fill_null(0).cast(pl.Int32).to_numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the values as concatenated UTF-8 bytes, and where each starts."""
        encoded = [value.encode() for value in self.values]
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return {"text": text, "offsets": np.cumsum([0, *map(len, encoded)], dtype=np.int64)}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], place: str) -> "CategoryEncoder":
        """Restore an encoder from its ``arrays``.

        Raises:
            ParameterError: an array is invalid; ``place`` is where they belong, for the message.
        """
        check_arrays(arrays, cls.specs, {}, place)
        text, offsets = arrays["text"].tobytes(), arrays["offsets"].tolist()
        try:
            values = [text[start:end].decode() for start, end in pairwise(offsets)]
        except UnicodeDecodeError as error:
            raise ParameterError(f"{place}.text: must be UTF-8, got {error.object[error.start]:#x}") from error
        encoder = cls(pl.Series(values, dtype=pl.String))
        if encoder.values.n_unique() < len(values):
            raise ParameterError(f"{place}.text: must have no value twice, got {len(values)} values")
        return encoder


@dataclass(frozen=True)
class Standardizer:
    """Standardises a number by its mean and standard deviation."""

    mean: float
    deviation: float

    specs: ClassVar[Mapping[str, ArraySpec]] = {"scale": ArraySpec("float64", ("2",))}

    @classmethod
    def fit(cls, column: pl.Series) -> "Standardizer":
        """Compute both from the values that are present; the deviation of a constant column is 1."""
        values = _as_numbers(column).drop_nulls().to_numpy()
        if not len(values):
            return cls(0.0, 1.0)
        varies = values.min() < values.max()  # The computed deviation of equal values may be slightly above 0.
        return cls(float(values.mean()), float(values.std()) if varies else 1.0)

    def transform(self, column: pl.Series) -> Float32[np.ndarray, "n"]:
        """Return the standardised values, 0 (the mean) for a missing one."""
        values = ((_as_numbers(column) - self.mean) / self.deviation).clip(-_FARTHEST, _FARTHEST)
        return values.fill_null(0.0).cast(pl.Float32).to_numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the mean and the deviation."""
        return {"scale": np.array([self.mean, self.deviation])}

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], place: str) -> "Standardizer":
        """Restore a standardizer from its ``arrays``.

        Raises:
            ParameterError: an array is invalid; ``place`` is where they belong, for the message.
        """
        check_arrays(arrays, cls.specs, {}, place)
        mean, deviation = arrays["scale"].tolist()
        if deviation <= 0:
            raise ParameterError(f"{place}.scale: must have a deviation above 0, got {deviation:g}")
        return cls(mean, deviation)


@dataclass(frozen=True, eq=False)
class Context:
    """The fitted context features of a model.

    Attributes:
        encoders: encoder by feature.
        vocabulary: its metadata holds the features of items.
    """

    encoders: Mapping[str, CategoryEncoder | Standardizer]
    vocabulary: Vocabulary

    @classmethod
    def fit(cls, features: Sequence[str], train: Sessions) -> "Context":
        """Fit features that passed ``check_features``."""
        encoders: dict[str, CategoryEncoder | Standardizer] = {}
        for name, kind in map(_parse, features):
            of_items = name in train.vocabulary.metadata and name not in TIME_FEATURES
            column = train.vocabulary.table[name] if of_items else _event_values(name, train.as_prefixes())
            is_number = (kind or kind_of(column)) == "number"
            encoders[name] = Standardizer.fit(column) if is_number else CategoryEncoder.fit(column)
        return cls(encoders, train.vocabulary)

    @property
    def columns(self) -> list[str]:
        """Features that come from columns of the log."""
        return [name for name in self.encoders if name not in (*TIME_FEATURES, *self.vocabulary.metadata)]

    def transform(self, sessions: Prefixes) -> dict[str, Shaped[np.ndarray, "n"]]:
        """Encode each feature: one number per event, a code or a standardised value, 0 for a missing value.

        Args:
            sessions: no two of them may share an event.
        """
        encoded: dict[str, Shaped[np.ndarray, n]] = {}
        for name, encoder in self.encoders.items():
            if name in self.vocabulary.metadata and name not in TIME_FEATURES:
                of_items = encoder.transform(self.vocabulary.table[name])
                encoded[name] = np.insert(of_items, 0, 0)[sessions.items]
            else:
                encoded[name] = encoder.transform(_event_values(name, sessions))
        return encoded

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of all encoders."""
        return {
            f"{name}/{part}": array
            for name, encoder in self.encoders.items()
            for part, array in encoder.arrays().items()
        }

    @classmethod
    def restore(
        cls, features: Sequence[str], arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary, place: str
    ) -> "Context":
        """Restore the features from their ``arrays``.

        Raises:
            ParameterError: an array is missing, unknown or invalid; ``place`` is where they belong, for the message.
        """
        encoders: dict[str, CategoryEncoder | Standardizer] = {}
        unknown = set(arrays)
        for name, _ in map(_parse, features):
            kind = Standardizer if f"{name}/scale" in arrays else CategoryEncoder
            own = {part: arrays[f"{name}/{part}"] for part in kind.specs if f"{name}/{part}" in arrays}
            encoders[name] = kind.restore(own, f"{place}/{name}")
            unknown -= {f"{name}/{part}" for part in own}
        if unknown:
            known = ", ".join(features) or "none"
            raise ParameterError(f"{place}/{min(unknown)}: is unknown; the features are {known}")
        return cls(encoders, vocabulary)


def check_features(features: Sequence[str], train: Sessions) -> Iterator[str]:
    """Yield what is wrong with the names of features, given a training log.

    A name may end in ``:category`` or ``:number``, which sets the kind of the column.
    """
    names = [name for name, _ in map(_parse, features)]
    if len(set(names)) < len(names):
        yield f"must name each feature once, got {', '.join(features)}"
    table, columns = train.vocabulary.table, train.columns
    available = [*(columns.columns if columns is not None else ()), *train.vocabulary.metadata]
    for name, kind in map(_parse, features):
        if name in TIME_FEATURES:
            if train.times is None:
                yield f"'{name}' needs a log with times and this one has none; leave it out"
            continue
        if name not in available:
            known = ", ".join(f"'{one}'" for one in available) or "none except session, item and time"
            yield f"'{name}' must be {', '.join(TIME_FEATURES)} or a column of the log or its items; there are: {known}"
            continue
        column = table[name] if name in train.vocabulary.metadata or columns is None else columns[name]
        usual = kind_of(column)
        if usual is None or (kind == "number" and not (column.dtype.is_numeric() or column.dtype == pl.Boolean)):
            wanted = "numbers" if kind == "number" else "text, integers, decimals or booleans"
            yield f"'{name}' must be a column of {wanted}, got {column.dtype}; leave it out or convert it"


def check_upcoming(features: Sequence[str], train: Sessions) -> Iterator[str]:
    """Yield what is wrong with the names of features of the event to predict; see ``check_features``."""
    for name, _ in map(_parse, features):
        of_items = name in train.vocabulary.metadata and name not in TIME_FEATURES
        if name == "gap" or of_items:
            why = "describes the item to predict" if of_items else "is not known before the event"
            yield f"'{name}' {why}; name hour, weekday or a column of the log that is known beforehand"
    yield from check_features(features, train)


def depend_on_item(features: Sequence[str], train: Sessions) -> Iterator[str]:
    """Yield the columns among features that have one value per item, judged by the items of several events."""
    for name, _ in map(_parse, features):
        if train.columns is None or name in TIME_FEATURES or name not in train.columns.columns:
            continue
        values = pl.DataFrame({"item": train.items, "value": train.columns[name]}).drop_nulls()
        items = values.group_by("item").agg(pl.len(), pl.col("value").n_unique()).filter(pl.col("len") > 1)
        if len(items) and (items["value"] == 1).all() and values["value"].n_unique() > 1:
            yield name


def kind_of(column: pl.Series) -> Kind | None:
    """Return the default kind of a column: decimals are numbers; text, integers and booleans categories; None else."""
    if column.dtype.is_float():
        return "number"
    text = column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
    return "category" if text or column.dtype.is_integer() else None


def _parse(feature: str) -> tuple[str, Kind | None]:
    """Split a feature into its name and kind; None without a kind."""
    name, _, kind = feature.rpartition(":")
    return (name, cast(Kind, kind)) if name and kind in get_args(Kind) else (feature, None)


def _event_values(name: str, sessions: Prefixes) -> pl.Series:
    """Return the values of a feature of events; null if unknown."""
    if name not in TIME_FEATURES:
        if sessions.columns is not None and name in sessions.columns.columns:
            return sessions.columns[name]
    elif sessions.times is not None:
        if name != "gap":
            moments = pl.from_epoch(pl.Series(sessions.times))
            return moments.dt.hour() if name == "hour" else moments.dt.weekday() - 1
        gaps = np.log1p(np.abs(np.diff(sessions.times, prepend=sessions.times[:1])))
        gaps[sessions.starts[sessions.lengths > 0]] = np.nan
        return pl.Series(gaps)
    return pl.repeat(None, len(sessions.items), eager=True)


def _as_text(column: pl.Series) -> pl.Series:
    """Cast to text; integers look the same if missing values have made them decimals."""
    text = column.cast(pl.String)
    return text.str.strip_suffix(".0") if column.dtype.is_float() else text


def _as_numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False).fill_nan(None)
    return numbers.set(numbers.is_infinite().fill_null(False), None)
