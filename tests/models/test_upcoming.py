"""What is known of the event to predict: how it enters the scores, what it teaches, and what would be a leak."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, hit_rate, sessions

import segue
from segue.data.cases import Cases
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec
from segue.models.core import CORE
from segue.models.fmlp_rec import FMLPRec
from segue.models.fpmc import FPMC
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.narm import NARM
from segue.models.registry import load
from segue.models.sasrec import SASRec
from segue.models.sequence import SequenceModel
from segue.models.sr_gnn import SRGNN
from segue.models.two_stage import TwoStage
from segue.training.config import Distillation

N_ITEMS = 6
QUICK = {"embedding_size": 8, "training": {"epochs": 1}}


def by_hour(n_sessions: int = 150, seed: int = 1) -> Sessions:
    """Sessions whose item is decided by the hour of its event, or by the weather: an even one in the rain."""
    rng = np.random.Generator(np.random.PCG64(seed))
    items = 1 + (N_ITEMS * rng.random((n_sessions, 5))).astype(np.int64)
    log = sessions(items.tolist(), N_ITEMS)
    times = np.arange(len(log.items)) * 86_400 + 3600 * log.items.astype(np.int64)
    weather = np.array(["sun", "rain"])[(log.items + (rng.random(len(log.items)) < 0.1)) % 2]
    return replace(log, times=times, columns=pl.DataFrame({"weather": weather}))


def cases(log: Sessions, *, ahead: bool = True) -> Cases:
    targets, starts = log.targets()
    groups = np.searchsorted(log.offsets, targets, side="right")
    return Cases(log.prefixes(starts, targets, ahead=ahead), log.items[targets], groups)


@pytest.fixture(scope="module")
def log() -> Sessions:
    return by_hour()


@pytest.fixture(scope="module")
def learnt(log: Sessions) -> SASRec:
    training = {"learning_rate": 0.02, "batch_size": 32, "epochs": 12}
    return SASRec(embedding_size=16, dropout=0.0, upcoming=["hour", "weather"], training=training).fit(log)


def test_it_learns_what_only_the_time_of_the_next_event_tells(learnt: SASRec) -> None:
    test = by_hour(60, seed=2)
    assert hit_rate(learnt, Task(test, cases(test), 1, 1.0)) >= 0.95
    assert hit_rate(learnt, Task(test, cases(test, ahead=False), 1, 1.0)) <= 0.4


def test_a_caller_says_when_and_where(learnt: SASRec) -> None:
    noon = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
    assert learnt.upcoming_columns == ["time", "weather"]
    assert learnt.recommend([101, 102], 1, upcoming={"time": noon, "weather": "rain"}).items == [104]
    several = learnt.recommend([[101], [102]], 1, upcoming={"time": ["2026-05-01T02:00", "2026-05-01T03:10"]})
    assert [answer.items for answer in several] == [[102], [103]]
    same = learnt.recommend([[101], [102]], 1, upcoming={"time": noon})
    assert [answer.items for answer in same] == [[104], [104]]


@pytest.mark.parametrize("model", [SASRec, NARM, BERT4Rec, FMLPRec, ImprovedGRU4Rec, SRGNN, CORE, FPMC])
def test_its_vectors_are_added_to_the_state_of_every_encoder(model: type[SequenceModel], log: Sessions) -> None:
    fitted = model(upcoming=["hour", "weather"], **QUICK).fit(log)
    known, unknown = cases(log).prefixes[:20], cases(log, ahead=False).prefixes[:20]
    hour, weather = (weight.detach() for weight in fitted.network.upcoming.weights)
    events = known.upcoming.events
    codes = fitted.upcoming.transform(log.as_prefixes())
    vectors = hour[codes["hour"][events]] + weather[codes["weather"][events]]
    expected = fitted.score(unknown)[:, 1:] + vectors @ fitted.network.embeddings().detach()[1:].T
    torch.testing.assert_close(fitted.score(known)[:, 1:], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fitted.score(known[7:8])[:, 1:], expected[7:8], rtol=1e-4, atol=1e-5)


def test_its_item_is_not_read(learnt: SASRec, log: Sessions) -> None:
    last = log.offsets[1:] - 1
    items = log.items.copy()
    items[last] = 1 + items[last] % N_ITEMS
    some, other = (one.prefixes(log.offsets[:-1], last, ahead=True) for one in (log, replace(log, items=items)))
    assert torch.equal(learnt.score(some), learnt.score(other))
    assert not some.upcoming.as_prefixes().items.any()


def test_it_is_saved_and_trained_anew(learnt: SASRec, log: Sessions, tmp_path: Path) -> None:
    learnt.save(tmp_path / "model")
    again = load(tmp_path / "model")
    some = cases(log).prefixes[:30]
    assert torch.equal(learnt.score(some), again.score(some))
    assert again.upcoming_columns == ["time", "weather"]


def test_soft_labels_and_two_stages_know_it_too(learnt: SASRec, log: Sessions) -> None:
    training = {"learning_rate": 0.02, "batch_size": 32, "epochs": 15}
    student = SASRec(embedding_size=16, upcoming=["hour"], dropout=0.0, training=training)
    taught = student.learn_from(learnt, log, Distillation(weight=1.0))
    test = by_hour(60, seed=2)
    assert hit_rate(taught, Task(test, cases(test), 1, 1.0)) >= 0.9
    pair = TwoStage.of(taught, learnt)
    assert pair.upcoming_columns == ("time", "weather")
    assert pair.recommend([101, 102], 1, upcoming={"time": "2026-05-01T04:30"}).items == [104]


def test_a_prepared_log_knows_its_events_to_predict(tmp_path: Path) -> None:
    made = by_hour(80)
    frame = pl.DataFrame(
        {
            "session": np.repeat(np.arange(80), 5),
            "item": 100 + made.items,
            "time": made.times,
            "weather": made.columns["weather"],
        }
    )
    data = segue.prepare(segue.read(frame), "session-next", split="ratio")
    model = SASRec(upcoming=["hour", "weather"], **QUICK).fit(data.train, valid=data.valid)
    opened = segue.open_dataset(data.save(tmp_path / "data"))
    assert torch.equal(model.score(data.test.prefixes), model.score(opened.test.prefixes))
    assert not torch.equal(model.score(data.test.prefixes), model.score(replace(data.test.prefixes, upcoming=None)))


def test_what_gives_the_item_away_or_is_not_there_is_refused(log: Sessions) -> None:
    table = log.vocabulary.table.with_columns(colour=pl.Series(list("aabbcc")))
    columns = log.columns.with_columns(brand=pl.Series(np.array(list("xxyyzzz"))[log.items]))
    rich = replace(log, vocabulary=Vocabulary(table), columns=columns)
    for name, problem in {
        "gap": "'gap' is not known before the event; name hour, weekday or a column of the log that is known "
        "beforehand",
        "colour": "'colour' describes the item to predict; name hour, weekday or a column of the log that is known "
        "beforehand",
    }.items():
        with pytest.raises(ParameterError) as caught:
            SASRec(upcoming=[name]).fit(rich)
        assert str(caught.value) == f"sasrec.upcoming: {problem}"
    (note,) = SASRec(upcoming=["brand", "weather"], **QUICK).fit(rich).notes
    assert note == (
        "upcoming: 'brand' has one value per item; if it describes the item and not the moment, it gives the item to "
        "predict away: leave it out"
    )
    with pytest.raises(ParameterError, match=r"sasrec\.upcoming: 'hour' needs a log with times"):
        SASRec(upcoming=["hour"]).fit(replace(log, times=None))
    with pytest.raises(ParameterError, match=r"sasrec\.upcoming: 'shop' must be hour"):
        SASRec(upcoming=["shop"]).fit(log)


def test_what_a_model_does_not_read_is_refused(learnt: SASRec) -> None:
    for upcoming, message in (
        ({"shop": "a"}, "upcoming: sasrec can read time, weather of the event to predict, got 'shop'; leave it out"),
        ({"weather": ["sun"]}, r"upcoming.weather: must be one value per session, 1, got ['sun']"),
        ({"time": "soon"}, "upcoming.time: "),
        ({"time": None}, "upcoming.time: must be there"),
        ("now", "upcoming: must be values by the name of their column, got 'now'"),
    ):
        with pytest.raises(ParameterError) as caught:
            learnt.recommend([101], 1, upcoming=upcoming)
        assert str(caught.value).startswith(message)
    with pytest.raises(ParameterError, match=r"upcoming\.weather: must be one value per session, 2"):
        learnt.recommend([[101], [102]], 1, upcoming={"weather": ["sun"]})
