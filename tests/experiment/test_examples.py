from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.experiment.leaderboard import examples


def vocabulary(**columns: list[str | None]) -> Vocabulary:
    """Items 11, 12, ... with metadata."""
    ids = pl.Series("item", range(11, 11 + len(next(iter(columns.values())))))
    return Vocabulary.from_items(ids, pl.DataFrame({"item": ids, **columns}))


@dataclass
class Fixed:
    """Scores item j with ``scores[j]``, whatever came before."""

    vocabulary: Vocabulary
    scores: list[float]

    def score(self, prefixes: Prefixes) -> Tensor:
        return torch.tensor([self.scores] * len(prefixes.ends))


def cases(count: int, length: int = 3, **more: object) -> Cases:
    """Sessions of items 1, 2, 3, 1, 2, 3, ...; what follows is item 4."""
    items = np.resize(np.array([1, 2, 3], dtype=np.int32), count * length)
    ends = np.arange(1, count + 1) * length
    targets = np.full(count, 4, dtype=np.int32)
    return Cases(Prefixes(items, ends - length, ends), targets, np.arange(count), **more)


def test_sessions_targets_and_lists_are_told_by_name() -> None:
    known = vocabulary(name=["Lamp", "Desk", "Sofa", "Chair"])
    (one,) = examples({"m": Fixed(known, [9, 0.1, 0.2, 0.3, 0.4])}, cases(1), known)
    assert one.session == ["Lamp", "Desk", "Sofa"]
    assert one.target == ["Chair"]
    assert one.lists == {"m": ["Chair", "Sofa", "Desk", "Lamp"]}


def test_items_that_are_no_candidates_are_not_listed() -> None:
    known = vocabulary(name=["Lamp", "Desk", "Sofa", "Chair"])
    (one,) = examples({"m": Fixed(known, [9, 0.1, 0.2, 0.3, 0.4])}, cases(1, exclude_seen=True), known)
    assert one.lists == {"m": ["Chair"]}


def test_several_targets_are_all_told() -> None:
    known = vocabulary(name=["Lamp", "Desk", "Sofa", "Chair"])
    told = Cases(
        cases(2).prefixes,
        np.array([4, 1, 2], dtype=np.int32),
        np.arange(2),
        offsets=np.array([0, 1, 3]),
    )
    assert [one.target for one in examples({}, told, known)] == [["Chair"], ["Lamp", "Desk"]]


def test_five_sessions_are_told_from_the_first_to_the_last_case() -> None:
    known = vocabulary(name=["Lamp", "Desk", "Sofa", "Chair"])
    items = np.arange(101, dtype=np.int32) % 4 + 1
    ends = np.arange(1, 102)
    told = Cases(Prefixes(items, ends - 1, ends), np.full(101, 4, dtype=np.int32), ends)
    names = ["Lamp", "Desk", "Sofa", "Chair"]
    assert [one.session for one in examples({}, told, known)] == [[names[n % 4]] for n in (0, 25, 50, 75, 100)]


def test_only_the_end_of_a_long_session_is_told() -> None:
    known = vocabulary(name=["Lamp", "Desk", "Sofa", "Chair"])
    (one,) = examples({}, cases(1, length=30), known)
    assert one.session == ["Sofa", *["Lamp", "Desk", "Sofa"] * 3]
