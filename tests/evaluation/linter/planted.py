"""Logs with one leak each, and scorers with one fault each."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import polars as pl
import torch

from segue.data.cases import Cases
from segue.data.events import sort_events
from segue.data.readers.read import read
from segue.data.sessions import Prefixes
from segue.data.synthetic import synthetic_log
from segue.data.vocabulary import Vocabulary
from segue.evaluation.linter.results import LeaderboardEntry
from segue.evaluation.linter.scores import ScoredCases, score_sample
from segue.models.popularity import Popularity
from segue.protocols.dataset import Dataset
from segue.protocols.prepare import prepare

EVENTS, SESSIONS, ITEMS = 6_000, 1_500, 120


def clicks(seed: int = 0) -> pl.DataFrame:
    """Ten days of visits of 2 events and more, in which nothing leaks."""
    return synthetic_log(EVENTS, SESSIONS, ITEMS, seed, days=10).frame


def visits(frame: pl.DataFrame, protocol: str = "session-next", **parameters: object) -> Dataset:
    return prepare(read(frame), protocol, **parameters)


def histories(frame: pl.DataFrame, protocol: str, **parameters: object) -> Dataset:
    return prepare(read(frame.rename({"session": "user"})), protocol, **parameters)


def parted(frame: pl.DataFrame, rng: np.random.Generator, *, by: str) -> pl.DataFrame:
    """Give sessions, or single events, to train, valid and test at random."""
    draw = rng.choice(["train", "valid", "test"], frame.height if by == "event" else frame["session"].n_unique())
    if by == "event":
        return frame.with_columns(part=pl.Series(draw))
    parts = pl.DataFrame({"session": frame["session"].unique(maintain_order=True), "part": draw})
    return frame.join(parts, on="session", maintain_order="left")


def random_sessions() -> Dataset:
    return visits(parted(clicks(), np.random.default_rng(0), by="session"))


def random_events() -> Dataset:
    return visits(parted(clicks(), np.random.default_rng(0), by="event"))


def random_histories() -> Dataset:
    return histories(
        clicks(),
        "leave-one-out",
        split={"kind": "event-ratio", "order": "random"},
        cleaning={"k_core": 1},
        cases={"targets": "every-next"},
    )


def swapped_validation() -> Dataset:
    """Validation lies behind the test, and both behind training."""
    data = visits(clicks())
    assert data.valid is not None
    return replace(data, valid=data.test, test=data.valid)


def shifted_test(days: int = 5) -> Dataset:
    data = visits(clicks())
    return replace(data, test=replace(data.test, prefixes=earlier(data.test.prefixes, days)))


def few_test_sessions() -> Dataset:
    """All but 29 test sessions are left out."""
    data = visits(clicks())
    first = np.unique(data.test.groups)[:29]
    return replace(data, test=data.test[np.flatnonzero(np.isin(data.test.groups, first))])


def earlier(prefixes: Prefixes, days: int) -> Prefixes:
    assert prefixes.times is not None
    return replace(prefixes, times=prefixes.times - days * 86_400)


def catalogue_of_all() -> Dataset:
    frame = clicks()
    vocabulary = Vocabulary.from_items(frame["item"])
    return prepare(read(frame), "session-next", vocabulary=vocabulary)


def repeated_sessions(*, timed: bool = True) -> Dataset:
    """A fifth of the sessions of the last day stand in the log before as well, five days earlier, under another id."""
    frame = sort_events(clicks()).drop("__row__")
    late = frame.group_by("session").agg(pl.col("time").max(), pl.len()).sort("time").tail(150)
    chosen = late.filter(pl.col("len") >= 4)["session"][::2]
    assert len(chosen) > 20
    copies = frame.filter(pl.col("session").is_in(chosen.implode()))
    copies = copies.with_columns(pl.col("time") - timedelta(days=5), pl.col("session") + 1_000_000)
    log = pl.concat([frame, copies]).sort("time")
    return visits(log) if timed else visits(log.drop("time"), split={"kind": "ratio", "valid_share": 0.0})


def input_with_target() -> Dataset:
    """The input of each case ends one event too late."""
    data = visits(clicks())
    prefixes = data.test.prefixes
    return replace(data, test=replace(data.test, prefixes=replace(prefixes, ends=prefixes.ends + 1)))


def training_with_test() -> Dataset:
    """A given split of histories whose training part is the whole log."""
    frame = clicks()
    last = sort_events(frame).group_by("session", maintain_order=True).last().select(frame.columns)
    whole = pl.concat([frame.with_columns(part=pl.lit("train")), last.with_columns(part=pl.lit("test"))])
    return histories(whole, "leave-one-out", split={"valid_share": 0.0})


def target_first() -> Dataset:
    """The input of each case begins with the answer."""
    data = visits(clicks())
    prefixes = data.test.prefixes
    inputs = [
        np.append(target, prefixes.items[start:end])
        for target, start, end in zip(data.test.targets, prefixes.starts, prefixes.ends, strict=True)
    ]
    return replace(data, test=Cases(Prefixes.from_lists(inputs), data.test.targets, data.test.groups))


def double_logging() -> Dataset:
    """Each click stands in the log twice, the second time from another address."""
    frame = clicks()
    return visits(pl.concat([frame.with_columns(address=pl.lit(n)) for n in ("a", "b")]).sort("time"))


def telling_column() -> Dataset:
    frame = sort_events(clicks()).drop("__row__")
    return visits(frame.with_columns(following=pl.col("item").shift(-1).over("session").cast(pl.String)))


@dataclass
class FunctionScorer:
    """A scorer made of a function from prefixes to scores."""

    vocabulary: Vocabulary
    scores: object

    def score(self, prefixes: Prefixes) -> torch.Tensor:
        return torch.as_tensor(self.scores(prefixes), dtype=torch.float32)


def scored(scores: object, *, data: Dataset | None = None) -> ScoredCases:
    data = data or visits(clicks())
    size = len(data.vocabulary) + 1
    return score_sample(FunctionScorer(data.vocabulary, lambda prefixes: scores(prefixes, size)), data.test)


def noise(prefixes: Prefixes, size: int) -> np.ndarray:
    """Scores that depend on the last item, and on nothing else."""
    table = np.random.default_rng(0).random((size, size))
    return table[prefixes.items[prefixes.ends - 1]]


def hidden_popularity() -> ScoredCases:
    data = visits(clicks())
    model = Popularity().fit(data.train)
    return scored(lambda prefixes, _: model.score(prefixes), data=data)


@dataclass(frozen=True)
class Line:
    """A row of a leaderboard."""

    label: str
    metrics: dict[str, float]
    baseline: bool = False
    width: float = 0.01
    validation: dict[str, float] = field(default_factory=dict)
    diagnostics: dict[str, float] = field(default_factory=dict)

    @property
    def confidence(self) -> dict[str, tuple[float, float]]:
        return {name: (value - self.width, value + self.width) for name, value in self.metrics.items()}

    @property
    def validation_confidence(self) -> dict[str, tuple[float, float]]:
        return {name: (value - self.width, value + self.width) for name, value in self.validation.items()}


def entry(row: Line, *others: Line) -> LeaderboardEntry:
    return LeaderboardEntry(row, [row, *others], list(row.metrics)[:1])
