"""Popularity: in the whole log, in its last days, in the current session."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest
from chains import favourites, prefixes, sessions, skewed
from contract import ModelContract

from segue.data.sessions import Sessions, Upcoming
from segue.errors import ParameterError
from segue.models.popularity import Popularity
from segue.models.registry import model_class
from segue.models.session_popularity import SessionPopularity


class TestPopularity(ModelContract):
    model = Popularity
    make_task = staticmethod(skewed)


class TestWindowedPopularity(ModelContract):
    model = Popularity
    parameters: ClassVar = {"window_days": 60}
    make_task = staticmethod(skewed)


class TestSeasonalPopularity(ModelContract):
    model = Popularity
    parameters: ClassVar = {"season": "hour"}
    make_task = staticmethod(skewed)


class TestSessionPopularity(ModelContract):
    model = SessionPopularity
    make_task = staticmethod(favourites)


@pytest.mark.parametrize("name", ["popularity", "session-popularity", "markov", "sequential-rules", "item-knn", "stan"])
@pytest.mark.parametrize("value", [-1e38, 3e38])
def test_values_that_no_training_has_are_refused(name: str, value: float) -> None:
    kind = model_class(name)
    log = sessions([[1, 2, 3], [1, 2], [2, 3]], 3)
    fitted = kind(season="hour").fit(log) if name == "popularity" else kind().fit(log)
    arrays = fitted.arrays()
    floats = [part for part, array in arrays.items() if array.dtype.kind == "f"]
    assert floats
    kind(fitted.config).restore(arrays, log.vocabulary)
    for part in floats:
        wrong = arrays[part].copy()
        wrong.reshape(-1)[-1] = value
        with pytest.raises(ParameterError, match=rf"{name}\.{part}: must have values from -?\d\S* to \d+, got "):
            kind(fitted.config).restore({**arrays, part: wrong}, log.vocabulary)


def test_popularity_counts_events() -> None:
    model = Popularity().fit(sessions([[1, 2], [2, 2, 3]], 4))
    assert model.score(prefixes([1], [])).tolist() == [[0, 1, 3, 1, 0]] * 2


def test_the_window_counts_back_from_the_last_event() -> None:
    log = sessions([[1, 1], [2, 3], [3]], 3)  # They end after 6, 12 and 18 hours.
    assert Popularity(window_days=0.5).fit(log).score(prefixes([1])).tolist() == [[0, 0, 1, 2]]
    longer = 0.5 + 30 / 86_400  # The first session's events are a minute apart.
    assert Popularity(window_days=longer).fit(log).score(prefixes([1])).tolist() == [[0, 1, 1, 2]]


def test_growth_compares_with_the_window_before() -> None:
    log = sessions([[4], [1, 1, 2], [2, 2, 2, 3]], 5)  # They end after 6, 12 and 18 hours.
    scores = Popularity(window_days=0.25, growth=True).fit(log).score(prefixes([1]))[0]
    declined = -2 / np.sqrt(2)  # and what was in neither window comes behind it
    np.testing.assert_allclose(scores[1:], [declined, 2 / np.sqrt(4), 1, declined - 1, declined - 1], rtol=1e-6)
    with pytest.raises(ParameterError, match=r"popularity\.growth: needs window_days"):
        Popularity(growth=True).fit(log)


def test_a_window_without_times_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"popularity\.window_days: needs a log with times .* got 7\.0; leave"):
        Popularity(window_days=7).fit(sessions([[1, 2]], 2, times=False))


def test_a_window_must_be_positive() -> None:
    with pytest.raises(ParameterError, match=r"popularity\.window_days: must be greater than 0, got 0"):
        Popularity(window_days=0)


def test_session_popularity_counts_the_session_and_breaks_ties_by_the_log() -> None:
    model = SessionPopularity().fit(sessions([[1, 2, 3], [3, 3, 2]], 4))
    scores = model.score(prefixes([4, 1, 4], []))
    expected = [[0, 1 + 1 / 4, 2 / 4, 3 / 4, 2], [0, 1 / 4, 2 / 4, 3 / 4, 0]]
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-6)


def seconds(*texts: str) -> np.ndarray:
    return np.array([int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in texts])


def coffee_and_wine() -> Sessions:
    """Items 1 and 2 on mornings and evenings of two Mondays, a Tuesday and a Wednesday in spring."""
    log = sessions([[1, 2, 2], [1, 1, 2], [3, 3]], 4)
    mondays = ("2026-03-02T08:10", "2026-03-02T20:00", "2026-03-02T20:59")
    later = ("2026-04-06T08:00", "2026-04-06T08:59", "2026-04-07T20:30")
    return replace(log, times=seconds(*mondays, *later, "2026-04-08T23:00", "2026-04-08T23:01"))


def at(*texts: str):
    return replace(prefixes(*([1] for _ in texts)), upcoming=Upcoming(np.arange(len(texts)), seconds(*texts)))


def test_a_season_counts_its_own_events_and_is_smoothed_by_all() -> None:
    # 3, 3 and 2 of 8 events are on items 1, 2 and 3; four pseudo-events are 1.5, 1.5 and 1 of them.
    by_hour = Popularity(season="hour", smoothing=4).fit(coffee_and_wine())
    found = by_hour.score(at("2026-07-01T08:30", "2026-07-01T20:00", "2026-07-01T12:00"))
    assert found[:, 1:].tolist() == [[4.5, 1.5, 1, 0], [1.5, 4.5, 1, 0], [1.5, 1.5, 1, 0]]
    by_weekday = Popularity(season="weekday", smoothing=0).fit(coffee_and_wine())
    assert by_weekday.score(at("2026-07-06T01:00", "2026-07-07T01:00"))[:, 1:].tolist() == [[3, 2, 0, 0], [0, 1, 0, 0]]
    by_month = Popularity(season="month", smoothing=0).fit(coffee_and_wine())
    assert by_month.score(at("2025-03-31T23:59", "2025-04-01T00:00"))[:, 1:].tolist() == [[1, 2, 0, 0], [2, 1, 2, 0]]


def test_without_a_time_the_season_is_unknown_and_all_events_count() -> None:
    model = Popularity(season="hour").fit(coffee_and_wine())
    assert model.score(prefixes([1])).tolist() == [[0, 3, 3, 2, 0]]
    assert model.recommend([103], 1, upcoming={"time": "2026-07-01T20:00"}).items == [102]
    assert model.recommend([103], 1, upcoming={"time": "2026-07-01T08:00"}).items == [101]
    with pytest.raises(ParameterError, match="upcoming: popularity reads nothing of the event to predict, got 'time'"):
        Popularity().fit(coffee_and_wine()).recommend([103], 1, upcoming={"time": "2026-07-01T20:00"})


def test_a_season_in_a_window_counts_the_window_alone() -> None:
    model = Popularity(season="hour", smoothing=0, window_days=3).fit(coffee_and_wine())
    assert model.score(at("2026-07-01T08:00", "2026-07-01T20:00"))[:, 1:].tolist() == [[2, 0, 0, 0], [0, 1, 0, 0]]


def test_seasons_need_times_and_no_growth() -> None:
    with pytest.raises(
        ParameterError, match=r"popularity\.season: needs a log with times .* got hour; leave season out"
    ):
        Popularity(season="hour").fit(sessions([[1, 2]], 2, times=False))
    with pytest.raises(ParameterError, match=r"popularity\.season: .* with growth=true"):
        Popularity(season="hour", growth=True, window_days=7)
    with pytest.raises(ParameterError, match=r"popularity\.smoothing: .* without season"):
        Popularity(smoothing=3)
