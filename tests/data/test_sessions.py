"""Encoded sessions and the views of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.data.cases import Cases
from segue.data.sessions import Prefixes


def test_prefixes_are_built_from_lists_and_may_be_empty():
    prefixes = Prefixes.from_lists([np.array([3, 1]), np.array([], dtype=np.int64), np.array([2])])
    assert prefixes.items.tolist() == [3, 1, 2]
    assert prefixes.lengths.tolist() == [2, 0, 1]
    assert len(Prefixes.from_lists([])) == 0


@given(spans=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_the_events_of_overlapping_prefixes(spans):
    spans = [sorted(span) for span in spans]
    starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    rows, events = Prefixes(np.arange(9, dtype=np.int32), starts, ends).events()
    expected = [(row, event) for row, (start, end) in enumerate(spans) for event in range(start, end)]
    assert list(zip(rows.tolist(), events.tolist(), strict=True)) == expected


def test_rows_of_cases_keep_what_belongs_to_them():
    prefixes = Prefixes(np.array([4, 5, 6], dtype=np.int32), np.array([0, 0, 1]), np.array([1, 2, 2]))
    cases = Cases(prefixes, np.array([5, 6, 6], dtype=np.int32), np.array([0, 0, 1]), exclude_seen=True)
    for part in (cases[1:], cases[np.array([1, 2])]):
        assert (part.prefixes.ends.tolist(), part.targets.tolist(), part.groups.tolist()) == ([2, 2], [6, 6], [0, 1])
        assert part.exclude_seen
        assert part.prefixes.items is prefixes.items
