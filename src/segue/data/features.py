"""Features: a column of a log as numbers that a network can read, learnt from training events only and frozen.

A feature is one number per event: the code of a category from 1 on, or a standardised value. 0 stands for "not
known" in both, and contributes nothing.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float32, Int32, Int64, UInt8

Kind = Literal["category", "number"]


def kind_of(column: pl.Series) -> Kind | None:
    """Return what a column is read as: decimals are numbers, text, integers and booleans categories, others nothing."""
    if column.dtype.is_float():
        return "number"
    text = column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
    return "category" if text or column.dtype.is_integer() else None


@dataclass(frozen=True, eq=False)
class Categories:
    """The values of a category.

    Attributes:
        values: distinct values as text; the code of a value is its place, counted from 1.
    """

    values: pl.Series

    @classmethod
    def learn(cls, column: pl.Series) -> "Categories":
        """Take the distinct values in ascending order."""
        return cls(_as_text(column).drop_nulls().unique().sort())

    def code(self, column: pl.Series) -> Int32[np.ndarray, "n"]:
        """Return the code of each value, 0 for one that is absent or was not learnt."""
        right = pl.DataFrame({"value": self.values}).with_row_index("code", offset=1)
        left = pl.DataFrame({"value": _as_text(column)})
        codes = left.join(right, on="value", how="left", maintain_order="left")["code"]
        return codes.fill_null(0).cast(pl.Int32).to_numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the values as one run of UTF-8 bytes, and where each ends."""
        encoded = [value.encode() for value in self.values]
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return {"text": text, "ends": np.cumsum([len(one) for one in encoded], dtype=np.int64)}

    @classmethod
    def restore(cls, text: UInt8[np.ndarray, "bytes"], ends: Int64[np.ndarray, "K"]) -> "Categories":
        """Take back what ``arrays`` returned."""
        pieces = np.split(text, ends)[: len(ends)]
        return cls(pl.Series([piece.tobytes().decode() for piece in pieces], dtype=pl.String))


@dataclass(frozen=True)
class Scale:
    """The mean and the standard deviation of a number."""

    mean: float
    deviation: float

    @classmethod
    def learn(cls, column: pl.Series) -> "Scale":
        """Take them from the values that are there; a column that never varies has deviation 1."""
        values = _as_numbers(column).drop_nulls().to_numpy()
        if not len(values):
            return cls(0.0, 1.0)
        varies = values.min() < values.max()  # The deviation of equal values may come out a little above 0.
        return cls(float(values.mean()), float(values.std()) if varies else 1.0)

    def code(self, column: pl.Series) -> Float32[np.ndarray, "n"]:
        """Return the standardised values, 0 (the mean) for one that is absent."""
        values = (_as_numbers(column) - self.mean) / self.deviation
        return values.fill_null(0.0).cast(pl.Float32).to_numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return both."""
        return {"scale": np.array([self.mean, self.deviation])}


def _as_text(column: pl.Series) -> pl.Series:
    """Write values as text; whole numbers look alike whether they came as integers or, beside absent ones, did not."""
    text = column.cast(pl.String)
    return text.str.strip_suffix(".0") if column.dtype.is_float() else text


def _as_numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False).fill_nan(None)
    return numbers.set(numbers.is_infinite().fill_null(False), None)
