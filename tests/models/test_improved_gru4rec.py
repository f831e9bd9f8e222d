"""The recipes of Tan et al.: prefixes with click dropout, fine-tuning, privileged information, output embedding."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import Task, hit_rate, markov_chain
from neural_contract import NeuralModelContract
from stopped import assert_resumes

from segue.data.sessions import Sessions
from segue.errors import ArtifactError, EmptyDataError, ParameterError
from segue.models.gru4rec import GRU4Rec
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.markov import Markov
from segue.models.sasrec import SASRec
from segue.progress import Progress
from segue.training.config import Distillation, FineTuning, fine_tuning_sessions
from segue.training.runtime import Runtime
from segue.training.soft_labels import predict_soft_labels

SMALL: dict = {
    "embedding_size": 24,
    "hidden_size": 24,
    "dropout": 0.1,
    "training": {"loss": "cross-entropy", "epochs": 3, "batch_size": 64, "learning_rate": 0.02},
}


def small(**training: object) -> ImprovedGRU4Rec:
    return ImprovedGRU4Rec(**{**SMALL, "training": {**SMALL["training"], **training}})


class TestImprovedGRU4Rec(NeuralModelContract):
    model = ImprovedGRU4Rec
    parameters: ClassVar = SMALL
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        **SMALL,
        "training": {
            "loss": {"kind": "sampled-softmax", "n_samples": 32},
            "epochs": 4,
            "batch_size": 32,
            "patience": None,
        },
    }


@pytest.fixture(scope="module")
def chain() -> Task:
    return markov_chain(n_items=20, n_sessions=400)


def two_tastes(chain: Task) -> Task:
    """The rule of the log turned round in its first three quarters: only the recent sessions follow it."""
    train = chain.train
    old = int(train.offsets[len(train) * 3 // 4])
    items = train.items.copy()
    items[:old] = 21 - items[:old]
    return replace(chain, train=Sessions(items, train.offsets, train.times, train.vocabulary))


def test_fine_tuning_follows_a_taste_that_has_changed(chain: Task) -> None:
    task = two_tastes(chain)
    plain = small(epochs=2).fit(task.train)
    tuned = small(epochs=2, fine_tuning={"epochs": 4, "recent_share": 0.25}).fit(task.train)
    assert [record.epoch for record in tuned.curve] == [0, 1, 0, 1, 2, 3]
    assert hit_rate(plain, task) < 0.5 * task.optimum
    assert hit_rate(tuned, task) > 0.9 * task.optimum


def test_fine_tuning_that_makes_it_worse_is_taken_back(chain: Task) -> None:
    turned = two_tastes(chain)
    train = Sessions(turned.train.items[::-1].copy(), chain.train.offsets, chain.train.times, chain.train.vocabulary)
    mixed = Sessions(
        np.concatenate([chain.train.items, train.items]),
        np.concatenate([chain.train.offsets, chain.train.offsets[1:] + len(chain.train.items)]),
        None,
        chain.train.vocabulary,
    )
    valid = chain.cases[:200]
    plain = small(epochs=3).fit(mixed, valid=valid)
    worse = {"epochs": 2, "recent_share": 0.1, "learning_rate": 0.1}
    tuned = small(epochs=3, fine_tuning=worse).fit(mixed, valid=valid)
    assert max(record.validation for record in tuned.curve[3:]) < max(record.validation for record in tuned.curve[:3])
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(array, tuned.arrays()[name])


def test_any_neural_model_can_be_fine_tuned(chain: Task) -> None:
    task = two_tastes(chain)
    training = {"batch_size": 32, "loss": {"n_samples": 64}, "epochs": 2, "learning_rate": 0.15}
    plain = GRU4Rec(hidden_size=24, training=training).fit(task.train)
    tuned = GRU4Rec(hidden_size=24, training={**training, "fine_tuning": {"epochs": 4}}).fit(task.train)
    assert hit_rate(tuned, task) > hit_rate(plain, task) + 0.04


def test_the_selection_is_recent_short_and_of_the_last_days(chain: Task) -> None:
    train = chain.train
    assert fine_tuning_sessions(train, FineTuning(recent_share=0.1)).tolist() == list(range(270, 300))
    # A session ends every six hours.
    assert fine_tuning_sessions(train, FineTuning(recent_share=1.0, last_days=2.0)).tolist() == list(range(292, 300))
    assert len(fine_tuning_sessions(train, FineTuning(recent_share=1.0, longest=8))) == 300
    with pytest.raises(EmptyDataError, match="selects 0 of 300 sessions"):
        fine_tuning_sessions(train, FineTuning(recent_share=1.0, longest=7))
    timeless = Sessions(train.items, train.offsets, None, train.vocabulary)
    with pytest.raises(ParameterError, match=r"fine_tuning\.last_days: needs a log with times .* got 2"):
        fine_tuning_sessions(timeless, FineTuning(last_days=2.0))


def test_the_teacher_sees_what_follows_and_never_the_label(chain: Task) -> None:
    train = chain.train
    model = small(epochs=4, privileged={"weight": 0.3, "top": 20})
    labels = model._privileged_labels(train, 0, Runtime())
    last = train.offsets[1:] - 1
    assert (labels.rows[last] == -1).all()
    assert (np.delete(labels.rows, last) >= 0).all()
    # In the chain an item comes after its predecessor, so that what comes after an event names the event itself.
    events = np.setdiff1d(np.arange(len(train.items)), last)
    best = labels.items[labels.rows[events]][:, 0]
    follows = train.items[events + 1] == train.items[events] % 20 + 1
    assert (best[follows] == train.items[events][follows]).mean() > 0.9
    # Where the chain was left, the predecessor of what follows is another item: only a leak could name the right one.
    assert (best[~follows] == train.items[events][~follows]).mean() < 0.1


@pytest.mark.parametrize("epoch", [1, 2, 3, 5, 6])
def test_a_training_of_three_parts_goes_on_where_it_was_stopped(epoch: int, chain: Task, tmp_path: Path) -> None:
    """Two epochs each of the teacher, of the student, and of its fine-tuning."""
    plan = {"epochs": 2, "privileged": {"weight": 0.3}, "fine_tuning": {"epochs": 2}}
    valid = chain.cases[:50]
    assert_resumes(lambda runtime: small(**plan).fit(chain.train, valid=valid, runtime=runtime), epoch, tmp_path)


def test_the_teacher_is_not_fine_tuned(chain: Task) -> None:
    plan = {"epochs": 1, "privileged": {"weight": 0.3}}
    tuned = small(**plan, fine_tuning={"epochs": 1, "recent_share": 0.1})._privileged_labels(chain.train, 0, Runtime())
    assert small(**plan)._privileged_labels(chain.train, 0, Runtime()).fingerprint() == tuned.fingerprint()


def test_privileged_information_learns_and_is_repeatable(chain: Task) -> None:
    one = small(privileged={"weight": 0.3}).fit(chain.train)
    assert hit_rate(one, chain) > 0.95 * chain.optimum
    other = small(privileged={"weight": 0.3}).fit(chain.train)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


def test_the_output_embedding_learns_at_a_cost_without_a_catalogue(chain: Task) -> None:
    model = small(loss="cosine", epochs=8).fit(chain.train)
    assert hit_rate(model, chain) > 0.9 * chain.optimum


def test_click_dropout_needs_prefixes() -> None:
    with pytest.raises(ParameterError, match=r"sasrec\.training\.click_dropout: needs training\.positions 'last'"):
        SASRec(training={"click_dropout": 0.1})


def test_a_student_learns_from_its_teacher_alone(chain: Task) -> None:
    """With all the weight on the teacher, labels of pure noise do no harm."""
    teacher = small(epochs=4).fit(chain.train)
    noise = np.random.default_rng(0).integers(1, 21, len(chain.train.items)).astype(np.int32)
    log = Sessions(noise, chain.train.offsets, chain.train.times, chain.train.vocabulary)
    student = small(epochs=6).learn_from(teacher, log, Distillation(weight=1.0, top=20))
    assert hit_rate(student, chain) > 0.9 * chain.optimum
    assert torch.isfinite(student.score(chain.cases.prefixes)).all()


def test_scores_that_are_no_logits_are_shares(chain: Task) -> None:
    """Those of a Markov chain are its probabilities, to a power that softens them."""
    teacher, train = Markov(smoothing=0.0, history_weight=0.0).fit(chain.train), chain.train
    events, starts = train.targets()
    told = {"k": 5, "progress": Progress()}
    once = predict_soft_labels(
        teacher, train.prefixes(starts, events), events, len(train.items), temperature=1.0, **told
    )
    scores = teacher.score(train.prefixes(starts, events)).numpy()
    kept = np.take_along_axis(scores, once.items.astype(np.int64), axis=1)
    np.testing.assert_allclose(once.shares, kept / kept.sum(1, keepdims=True), rtol=1e-4)
    softer = predict_soft_labels(
        teacher, train.prefixes(starts, events), events, len(train.items), temperature=2.0, **told
    )
    expected = np.sqrt(kept) / np.sqrt(kept).sum(1, keepdims=True)
    np.testing.assert_allclose(softer.shares, expected, rtol=1e-4)


def test_a_teacher_without_an_opinion_leaves_the_label(chain: Task) -> None:
    train = Sessions(np.array([1, 2, 3, 2], dtype=np.int32), np.array([0, 2, 4]), None, chain.train.vocabulary)
    teacher = Markov(smoothing=0.0, history_weight=0.0).fit(train)
    elsewhere = Sessions(np.array([1, 2, 4, 2], dtype=np.int32), np.array([0, 2, 4]), None, train.vocabulary)
    events, starts = elsewhere.targets()
    prefixes, progress = elsewhere.prefixes(starts, events), Progress()
    labels = predict_soft_labels(teacher, prefixes, events, 4, k=3, temperature=1.0, progress=progress)
    assert labels.rows.tolist() == [-1, 0, -1, -1]
    assert labels.shares[0].tolist() == [1.0, 0.0, 0.0]
    assert labels.items[0, 0] == 2


def test_the_checkpoint_of_a_taught_training_is_not_that_of_a_plain_one(chain: Task, tmp_path: Path) -> None:
    runtime = Runtime("cpu", checkpoint=tmp_path / "state", resume=True)
    small(epochs=1).learn_from(Markov().fit(chain.train), chain.train, runtime=runtime)
    with pytest.raises(ArtifactError, match=r"checkpoint of another training \(different teacher"):
        small(epochs=1).fit(chain.train, runtime=runtime)


def test_a_teacher_of_other_items_is_refused(chain: Task) -> None:
    teacher = small(epochs=1).fit(markov_chain(n_items=12, n_sessions=40).train)
    with pytest.raises(ParameterError, match="train: must be encoded with the catalogue of the model, 12 items"):
        small().learn_from(teacher, chain.train)
    with pytest.raises(ParameterError, match="a model learns from one teacher"):
        small(privileged={"weight": 0.3}).learn_from(small(epochs=1).fit(chain.train), chain.train)


def test_a_selection_that_cannot_be_is_refused_before_any_training(chain: Task) -> None:
    timeless = Sessions(chain.train.items, chain.train.offsets, None, chain.train.vocabulary)
    model = small(fine_tuning={"epochs": 1, "last_days": 2.0})
    with pytest.raises(ParameterError, match=r"^improved-gru4rec\.training\.fine_tuning\.last_days: needs a log with"):
        model.check(timeless)
    assert not hasattr(model, "network")


def test_what_predicts_a_direction_is_ranked_by_directions(chain: Task) -> None:
    model = small(loss="cosine", epochs=2).fit(chain.train)
    states = model.network.encode(chain.cases.prefixes[:20])
    before = model.network.logits(states)
    with torch.no_grad():
        model.network.items[3] *= 7.0
    torch.testing.assert_close(model.network.logits(states), before)
