"""Where the pieces of a column agree, they are the column: random columns, cut at random places."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.data.ingest.pieces import agree, describe, read_again
from segue.data.ingest.plan import ColumnPlan
from segue.data.reading import Reading

READING = Reading(columns={"session": "session"}, unit="session")
NUMBERS = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["-0", "0.0", "1.0", "2.5", "1e3", "9007199254740993", "99999999999999999999", "inf"]),
)
ODD = st.sampled_from(["", "NA", " nan ", "NaN", "null", " 7 ", "007", "+5", "x", "3,5", "1,234", "٣", "-nan"])
SECONDS = st.integers(1_600_000_000, 1_990_000_000)
DAYS = st.dates(min_value=date(1950, 1, 1))
TIMES = [
    SECONDS.map(str),
    SECONDS.map(lambda second: f"{second}.25"),
    SECONDS.map(lambda second: f"{second}123"),
    SECONDS.map(lambda second: f"{second}123456789"),
    SECONDS.map(lambda second: f"{second},5"),
    DAYS.map(str),
    DAYS.map(lambda day: f"{day}T10:00:00Z"),
    DAYS.map(lambda day: f"{day} 10:00:00.125"),
    DAYS.map(lambda day: f"{day} 10:00:00 UTC"),
    DAYS.map(lambda day: f"{day:%d/%m/%Y}"),
    DAYS.map(lambda day: f"{day:%Y%m%d}"),
    st.integers(0, 3_000).map(str),
    st.sampled_from(["", "NA", "noon"]),
]

WIDE = st.none() | st.integers(0, 2**64 - 1) | st.integers(0, 9)


def columns(*values: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str | None]]]:
    """Pieces whose values are of few kinds, so that they often agree."""
    few = st.lists(st.sampled_from(values), min_size=1, max_size=2)
    return few.flatmap(
        lambda kinds: st.lists(
            st.sampled_from(kinds).flatmap(lambda kind: st.lists(st.none() | kind, min_size=1, max_size=6)),
            min_size=2,
            max_size=4,
        )
    )


def check(plan: ColumnPlan, name: str, pieces: Sequence[pl.Series]) -> None:
    found: list[dict[str, Any]] = []
    values = []
    for raw in pieces:
        parsed, facts = describe(plan, name, raw)
        values.append(parsed)
        found.append({**facts, "dtype": parsed.dtype})
    agreement = agree(plan, name, found)
    if agreement is None:
        return
    whole = plan.parse(name, pl.concat(pieces))
    assert not len(whole.invalid)
    for number, way in agreement.again.items():
        values[number] = read_again(plan, pieces[number], way)
    joined = pl.concat([one.cast(agreement.dtype) for one in values])
    assert joined.dtype == whole.values.dtype
    assert joined.equals(whole.values, null_equal=True)
    if joined.dtype.is_float():  # -0.0 and 0.0 are equal, but have different fingerprints.
        assert (1 / joined).equals(1 / whole.values, null_equal=True)
    assert (agreement.note, agreement.missing, agreement.warning) == (whole.note, whole.missing, whole.warning)


def as_series(pieces: Sequence[Sequence[str | None]]) -> list[pl.Series]:
    return [pl.Series("x", piece, dtype=pl.String) for piece in pieces]


@given(pieces=columns(NUMBERS, ODD, st.sampled_from(["a", " b", "NA"])), is_text=st.booleans())
def test_ids(pieces: list[list[str | None]], is_text: bool) -> None:
    check(ColumnPlan({"item": "x"}, ["x"], "session", READING, is_text=is_text), "item", as_series(pieces))


@given(pieces=columns(NUMBERS, ODD, st.just(""), st.sampled_from(["3,5", "1,234", "7"])))
@pytest.mark.parametrize("declared", [None, "number", "category", "numbers"])
def test_features(pieces: list[list[str | None]], declared: str | None) -> None:
    types = {"x": declared} if declared else {}
    check(ColumnPlan({}, ["x"], "session", READING, types=types), "x", as_series(pieces))


@given(pieces=columns(*TIMES))
@pytest.mark.parametrize("time_format", [None, "s", "ms", "%d/%m/%Y", "%Y-%m-%dT%H:%M:%S%z", "yyyymmdd", "excel"])
def test_times(pieces: list[list[str | None]], time_format: str | None) -> None:
    check(ColumnPlan({"time": "x"}, ["x"], "session", READING, time_format=time_format), "time", as_series(pieces))


@given(pieces=st.lists(st.lists(WIDE, min_size=1), min_size=2, max_size=4))
@pytest.mark.parametrize("name", ["item", "x"])
def test_wide_integers(pieces: list[list[int | None]], name: str) -> None:
    plan = ColumnPlan({"item": "x"} if name == "item" else {}, ["x"], "session", READING, is_text=False)
    check(plan, name, [pl.Series("x", piece, dtype=pl.UInt64) for piece in pieces])
