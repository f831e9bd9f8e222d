"""Which column contains the time: the finest of several, and features that look like times."""

from collections.abc import Mapping, Sequence

import polars as pl

from segue.data.events import TIME, TIME_DTYPE
from segue.data.ingest.columns import columns_for
from segue.data.ingest.times import parse_times
from segue.data.ingest.values import ParsedColumn

_STEPS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000)
"""Microseconds of a day, an hour, a minute, a second and a millisecond."""
_SAMPLE = 100
_LARGE_SAMPLE = 10_000
_MAX_FEATURES = 200
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
    names = columns_for(TIME, [name for name in frame.columns if name not in given.values()])
    if TIME in given or len(names) < 2:
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


def resolution(times: pl.Series) -> int:
    """Return the microseconds of the largest unit, up to a day, of which all times are multiples."""
    ticks = times.drop_nulls().to_physical()
    return next((step for step in _STEPS if (ticks.head(_SAMPLE) % step == 0).all() and (ticks % step == 0).all()), 1)


def unused_times(features: Sequence[pl.Series], times: pl.Series | None) -> list[str]:
    """Return warnings about features that contain times, where the log has none or only dates.

    Args:
        features: the columns without a role.
        times: the times of the log, if it has any.
    """
    step = None if times is None else resolution(times)
    if step is not None and step < _STEPS[0]:
        return []
    warnings = []
    for raw in features[:_MAX_FEATURES]:
        if not _holds_times(parse_times(raw.head(_SAMPLE))):
            continue
        column = parse_times(raw.gather_every(1 + len(raw) // _LARGE_SAMPLE))
        if not _holds_times(column):
            continue
        if step is None:
            found = "contains times but is not used, so the order of the file is used"
        elif resolution(column.values) < step:
            found = "contains times that are finer than the dates in use"
        else:
            continue
        warnings.append(
            f"column '{raw.name}' {found}; to use it, give --columns \"time={raw.name}\" "
            f"(columns={{'time': '{raw.name}'}} in Python)"
        )
    return warnings


def _holds_times(column: ParsedColumn) -> bool:
    """Whether nearly all values are times, though perhaps with the day and the month exchanged."""
    is_time = column.values.dtype == TIME_DTYPE and not column.warning
    return is_time and column.values.null_count() <= _MISSING * len(column.values)


def _agree(times: pl.Series, others: pl.Series, *, exactly: bool) -> bool:
    if exactly:
        return times.equals(others, check_names=False)
    apart = pl.select((times - others).abs() < _TWO_DAYS).to_series()
    return bool(apart.all()) and times.is_null().equals(others.is_null(), check_names=False)
