"""Popularity: in the whole log, in its last days, in the current session."""

from typing import ClassVar

import numpy as np
import pytest
from chains import favourites, prefixes, sessions, skewed
from contract import ModelContract

from segue.errors import ParameterError
from segue.models.popularity import Popularity
from segue.models.session_popularity import SessionPopularity


class TestPopularity(ModelContract):
    model = Popularity
    make_task = staticmethod(skewed)


class TestWindowedPopularity(ModelContract):
    model = Popularity
    parameters: ClassVar = {"window_days": 60}
    make_task = staticmethod(skewed)


class TestSessionPopularity(ModelContract):
    model = SessionPopularity
    make_task = staticmethod(favourites)


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
