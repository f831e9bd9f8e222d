"""Which column contains the time: the finest of several, and features that look like times."""

from collections.abc import Mapping, Sequence

import polars as pl

from segue.data.events import TIME, TIME_DTYPE
from segue.data.ingest.columns import columns_for
from segue.data.ingest.times import parse_times
from segue.data.ingest.values import ParsedColumn

_STEPS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000)
"""Microseconds of a day, an hour, a minute, a second and a millisecond."""
SAMPLE = 100
_LARGE_SAMPLE = 10_000
MAX_FEATURES = 200
"""Columns that are looked at; a log with more of them has no forgotten time among the others."""
_MISSING = 0.05
"""Share of rows without a value that a column of times may have: blank lines are among them."""
_TWO_DAYS = pl.duration(days=2)


def finest_time(frame: pl.DataFrame, given: Mapping[str, str]) -> str | None:
    """Choose among several columns called like a time.

    Args:
        frame: the table.
        given: the user's column by role.

    Returns:
        The finest column, if the others differ from it by less than two days (a date may be that of another time zone).
        None if there is no choice, or the user must make it.
    """
    names = candidates(frame.columns, given)
    if len(names) < 2:
        return None
    columns = {name: parse_times(frame[name]) for name in names}
    if not all(_holds_times(column) and not len(column.invalid) for column in columns.values()):
        return None
    times = {name: column.values for name, column in columns.items()}
    steps = {name: resolution(one) for name, one in times.items()}
    best, *others = sorted(names, key=steps.__getitem__)
    if not all(_agree(times[best], times[name], exactly=steps[name] == steps[best]) for name in others):
        return None
    return best


def candidates(names: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """Return the columns called like a time; none if the user chose one."""
    return [] if TIME in given else columns_for(TIME, [name for name in names if name not in given.values()])


def resolution(times: pl.Series) -> int:
    """Return the microseconds of the largest unit, up to a day, of which all times are multiples."""
    ticks = times.drop_nulls().to_physical()
    return next((step for step in _STEPS if (ticks.head(SAMPLE) % step == 0).all() and (ticks % step == 0).all()), 1)


def unused_times(features: Sequence[pl.Series], times: pl.Series | None) -> list[str]:
    """Return warnings about features that contain times, where the log has none or only dates.

    Args:
        features: the columns without a role.
        times: the times of the log, if it has any.
    """
    step = None if times is None else resolution(times)
    if not may_miss_times(step):
        return []
    likely = [raw for raw in features[:MAX_FEATURES] if may_hold_times(raw.head(SAMPLE))]
    return [warning for raw in likely for warning in unused_time(raw.gather_every(every(len(raw))), step)]


def may_miss_times(step: int | None) -> bool:
    """Whether a log has no times (its resolution is None), or only dates."""
    return step is None or step == _STEPS[0]


def may_hold_times(head: pl.Series) -> bool:
    """Whether the first values of a feature are times."""
    return _holds_times(parse_times(head))


def every(height: int) -> int:
    """Return the distance between two rows of a sample of a log."""
    return 1 + height // _LARGE_SAMPLE


def unused_time(sample: pl.Series, step: int | None) -> list[str]:
    """Return a warning if a feature contains times.

    Args:
        sample: some of its values.
        step: the resolution of the times of the log; None if it has none.
    """
    column = parse_times(sample)
    if not _holds_times(column):
        return []
    if step is None:
        found = "contains times but is not used, so the order of the file is used"
    elif resolution(column.values) < step:
        found = "contains times that are finer than the dates in use"
    else:
        return []
    return [
        f"column '{sample.name}' {found}; to use it, give --columns \"time={sample.name}\" "
        f"(columns={{'time': '{sample.name}'}} in Python)"
    ]


def _holds_times(column: ParsedColumn) -> bool:
    """Whether nearly all values are times, though perhaps with the day and the month exchanged."""
    is_time = column.values.dtype == TIME_DTYPE and not column.warning
    return is_time and column.values.null_count() <= _MISSING * len(column.values)


def _agree(times: pl.Series, others: pl.Series, *, exactly: bool) -> bool:
    if exactly:
        return times.equals(others, check_names=False)
    apart = pl.select((times - others).abs() < _TWO_DAYS).to_series()
    return bool(apart.all()) and times.is_null().equals(others.is_null(), check_names=False)
