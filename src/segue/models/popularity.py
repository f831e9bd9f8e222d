"""Popularity: the same list for everyone."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from pydantic import Field, field_validator
from torch import Tensor

from segue.data.array_schema import IN_YEARS, MOST, Between
from segue.data.events import TIME
from segue.data.growth import widened
from segue.data.sessions import SECONDS_PER_DAY, Prefixes, Sessions
from segue.errors import ParameterError
from segue.models.updating import UpdatableConfig, UpdatableModel
from segue.models.why.answer import Part
from segue.spaces import Choice
from segue.validation import without_effect

Season = Literal["hour", "weekday", "month"]

_SEASONS: Mapping[Season, int] = {"hour": 24, "weekday": 7, "month": 12}
"""How many there are of each."""


class PopularityConfig(UpdatableConfig):
    """Parameters of ``Popularity``."""

    window_days: float | None = Field(None, gt=0)
    """Count only the events of this number of most recent days of the training log; none counts all events."""
    growth: bool = False
    """Score items by the increase of their count over the previous window of equal length; needs window_days."""

    season: Season | None = None
    """Count the events in the same hour of the day, day of the week or month as the event to predict, in UTC; none, and
    where its time is unknown, counts all."""
    smoothing: float = Field(10.0, ge=0, le=1_000_000_000)
    """With season: number of events added to each season, distributed by popularity."""

    @field_validator("season")
    @classmethod
    def _season_of_counts(cls, season: Season | None, info: Any) -> Season | None:
        if season is not None and info.data.get("growth"):
            raise without_effect("with growth=true, which compares two windows", "remove one of them")
        return season

    @field_validator("smoothing")
    @classmethod
    def _smoothing_of_seasons(cls, smoothing: float, info: Any) -> float:
        if smoothing != cls.model_fields["smoothing"].default and info.data.get("season") is None:
            raise without_effect("without season", "set season, or remove it")
        return smoothing

    search = {"window_days": Choice((None, 1.0, 3.0, 7.0, 14.0, 30.0))}


class Popularity(UpdatableModel):
    """Recommends the items with the most training events in the whole log or its most recent days.

    ``score(j) = n_j``, the number of training events on item j. An item without an event in the window scores 0. With
    ``growth`` and ``m_j`` events in the window before, ``score(j) = (n_j - m_j) / sqrt(n_j + m_j)``: how many standard
    deviations the count has grown, if events come at random. An item without an event in either window comes last.

    With ``season``, ``score(j) = n_j(s) + a p_j``: the events on item j in the season s of the event to predict, for
    example on Mondays, its share ``p_j`` of all events, and the smoothing ``a``.

    Source: the POP baseline of Hidasi et al. 2016 (arXiv 1511.06939); the window is the trend baseline of
    Ludewig and Jannach 2018 (arXiv 1803.09587).
    """

    name = "popularity"
    paper = "Hidasi et al. 2016, arXiv 1511.06939 (baseline POP)"
    Config = PopularityConfig
    config: PopularityConfig
    ranks_by_popularity = True
    array_names = ("counts", "seasonal")

    counts: Annotated[Float32[np.ndarray, "N+1"], Between(-int(MOST), MOST)]
    """Score per item index."""
    seasonal: Annotated[Float32[np.ndarray, "S N+1"], Between(0, MOST)]
    """Score per season and item index; no row without seasons."""
    season_counts: Annotated[Int64[np.ndarray, "S N+1"], Between(0, MOST)]
    """Events per season and item index."""
    recent_items: Annotated[Int32[np.ndarray, "r"], Between(1, "N")]
    """Events in the windows that are counted."""
    recent_times: Annotated[Int64[np.ndarray, "r"], IN_YEARS]
    """Their times."""

    def array_sizes(self) -> dict[str, int]:
        """Return N, and the number of seasons S."""
        return {**super().array_sizes(), "S": _SEASONS[self.config.season] if self.config.season else 0}

    @property
    def upcoming_columns(self) -> Sequence[str]:
        """The time of the event to predict, where there are seasons; see ``Model.upcoming_columns``."""
        return (TIME,) if self.config.season else ()

    def check(self, train: Sessions) -> None:
        """Check that a window has times, and growth a window; see ``Model.check``."""
        if self.config.growth and self.config.window_days is None:
            raise ParameterError(
                f"{self.name}.growth: needs window_days, the length of the windows to compare, got window_days none"
            )
        if self.config.season is not None and train.times is None:
            raise ParameterError(
                f"{self.name}.season: needs a log with times and this one has none, got {self.config.season}; "
                "leave season out"
            )
        if self.config.window_days is not None and train.times is None:
            raise ParameterError(
                f"{self.name}.window_days: needs a log with times and this one has none, got "
                f"{self.config.window_days}; leave window_days out"
            )

    def stored_names(self) -> tuple[str, ...]:
        """Return the names of the arrays; a window is counted anew from its events, and seasons are added up."""
        windowed = self.config.window_days is not None
        more = ("recent_items", "recent_times") if windowed else ("season_counts",)
        return (*super().stored_names(), *(more if self.config.updatable else ()))

    def _learn(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        totals = self._count(train, before)
        items, times = train.items, train.times
        if self.config.window_days is None:
            counts = totals["item_events"]
            by_season = self._count_seasons(items, times, len(counts))
            if before is not None:
                by_season += widened(before.season_counts, len(counts))
        else:
            assert times is not None
            if before is not None:
                items = np.concatenate([before.recent_items, items])
                times = np.concatenate([before.recent_times, times])
            windows = [_within(times, self.config.window_days, window) for window in range(1 + self.config.growth)]
            kept = np.any(windows, axis=0)
            counts, *previous = (np.bincount(items[inside], minlength=len(train.vocabulary) + 1) for inside in windows)
            by_season = self._count_seasons(items[windows[0]], times[windows[0]], len(counts))
            items, times = items[kept], times[kept]
            for earlier in previous:
                growth = (counts - earlier) / np.sqrt(np.maximum(counts + earlier, 1))
                counts = np.where(counts + earlier > 0, growth, growth.min(initial=0.0) - 1.0)
        seasonal = by_season + self.config.smoothing * counts / max(1, counts.sum()) if len(by_season) else by_season
        return {
            **totals,
            "counts": counts.astype(np.float32),
            "seasonal": seasonal.astype(np.float32),
            "season_counts": by_season,
            "recent_items": items,
            "recent_times": np.zeros(0, dtype=np.int64) if times is None else times,
        }

    def _count_seasons(
        self, items: Int32[np.ndarray, "n"], times: Int64[np.ndarray, "n"] | None, size: int
    ) -> Int64[np.ndarray, "S N+1"]:
        """Count the events on each item in each season; there is no season without the parameter."""
        season = self.config.season
        if season is None or times is None:
            return np.zeros((0, size), dtype=np.int64)
        number = _SEASONS[season]
        cells = seasons(times, season) * size + items
        return np.bincount(cells, minlength=number * size).reshape(number, size)

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> list[list[Part]]:
        """Return the count, which is the whole score; see ``Model._parts``."""
        return [[Part("popularity", "events in the training log", float(score))] for score in scores]

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        season, upcoming = self.config.season, prefixes.upcoming
        if season is None or upcoming is None or upcoming.times is None:
            return torch.from_numpy(np.tile(self.counts, (len(prefixes), 1)))
        return torch.from_numpy(self.seasonal[seasons(upcoming.times[upcoming.events], season)])


def _within(times: Int64[np.ndarray, "n"], days: float, window: int) -> Bool[np.ndarray, "n"]:
    """Say which events are in a window: 0 is the most recent one, 1 the one before."""
    length = days * SECONDS_PER_DAY
    end = times.max() - window * length
    inside: np.ndarray = (times <= end) & (times > end - length)
    return inside


def seasons(times: Int64[np.ndarray, "n"], season: Season) -> Int64[np.ndarray, "n"]:
    """Return the hour of the day, the day of the week (0 is Monday) or the month (0 is January) of times in UTC."""
    moments = pl.from_epoch(pl.Series(times, dtype=pl.Int64)).dt
    found = {"hour": moments.hour, "weekday": moments.weekday, "month": moments.month}[season]()
    return found.cast(pl.Int64).to_numpy() - (season != "hour")
