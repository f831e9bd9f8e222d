"""What all sequence encoders share: losses, positions, optimisers and what is refused."""

import numpy as np
import pytest
from chains import Task, hit_rate, markov_chain

from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec
from segue.models.esasrec import ESASRec
from segue.models.fmlp_rec import FMLPRec
from segue.models.fpmc import FPMC
from segue.models.gsasrec import GSASRec
from segue.models.hstu import HSTU
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.sasrec import SASRec
from segue.models.sequence import SequenceModel
from segue.training.optimizers import SplitOptimizer

SMALL: dict = {"embedding_size": 16, "inner_size": 16, "layers": 1, "dropout": 0.0, "max_length": 8}
SAMPLED = {"n_samples": 64}
LOSSES: dict[str, dict] = {
    "cross-entropy": {},
    "sampled-softmax": SAMPLED,
    "bce": SAMPLED,
    "gbce": {"n_samples": 8},
    "nce": {"n_samples": 8},
    "bpr": SAMPLED,
    "bpr-max": SAMPLED,
    "top1": SAMPLED,
    "top1-max": SAMPLED,
    "cosine": {},
}


@pytest.fixture(scope="module")
def chain() -> Task:
    return markov_chain(n_items=20, n_sessions=400)


def small(**training: object) -> SASRec:
    return SASRec(**SMALL, training={"epochs": 6, "batch_size": 16, "learning_rate": 0.01} | training)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns(loss: str, chain: Task) -> None:
    epochs = {"gbce": 15, "nce": 20}.get(loss, 6)
    model = small(loss={"kind": loss, **LOSSES[loss]}, epochs=epochs)
    assert hit_rate(model.fit(chain.train), chain) >= 0.9 * chain.optimum


def test_every_loss_is_tried_here() -> None:
    with pytest.raises(ParameterError) as caught:
        small(loss="none of them")
    assert all(f"'{loss}'" in str(caught.value) for loss in LOSSES)


@pytest.mark.parametrize(
    "training",
    [
        {"loss": {"kind": "sampled-softmax", "n_samples": 0, "in_batch": True}},
        {"loss": {"kind": "bpr", "n_samples": 16, "candidate_num": 4}},
        {"positions": "last"},
        {"windows": "recent"},
        {"optimizer": "adagrad", "learning_rate": 0.1},
        {"optimizer": "adagrad", "learning_rate": 0.1, "loss": {"kind": "sampled-softmax", "n_samples": 64}},
        {"optimizer": "mixed", "learning_rate": 0.01, "table_learning_rate": 0.1},
        {"optimizer": "mixed", "learning_rate": 0.01, "loss": {"kind": "sampled-softmax", "n_samples": 64}},
    ],
)
def test_every_way_of_training_learns(training: dict, chain: Task) -> None:
    assert hit_rate(small(**training).fit(chain.train), chain) >= 0.9 * chain.optimum


def test_adagrad_leaves_items_alone_that_no_step_used(chain: Task) -> None:
    loss = {"kind": "sampled-softmax", "n_samples": 1, "alpha": 1.0}
    model = small(optimizer="adagrad", loss=loss, epochs=1, batch_size=1000)
    model.vocabulary = chain.train.vocabulary
    model.fit_preprocessing(chain.train)
    before = model.assemble()
    used = {"table": before.items, "rows": before.rows(before.items.new_tensor([3, 4, 0]).long())}
    used["rows"].sum().backward()
    assert used["table"].grad.is_sparse
    assert sorted(used["table"].grad.coalesce().indices()[0].tolist()) == [3, 4]


@pytest.mark.parametrize("model", [GSASRec, ESASRec, ImprovedGRU4Rec])
def test_another_loss_is_one_setting_where_the_usual_one_has_negatives(model: type, chain: Task) -> None:
    for loss in ("cross-entropy", "cosine"):
        model(embedding_size=8, max_length=8, training={"loss": loss, "epochs": 1}).fit(chain.train)
        plain = model(training={"loss": loss}).config
        assert plain.training.loss.model_dump(exclude={"label_smoothing"}) == {"kind": loss}
        assert model(plain).config == plain
    rule = r"loss\.n_samples: belongs to training\.loss 'sampled-softmax', .* got training\.loss 'cross-entropy'"
    with pytest.raises(ParameterError, match=rule):
        model(training={"loss": {"kind": "cross-entropy", "n_samples": 7}})


def test_another_loss_is_one_setting_on_top_of_a_preset(chain: Task) -> None:
    config = SASRec(preset="authors", training={"loss": "cross-entropy"}).config
    assert config.training.loss.model_dump() == {"kind": "cross-entropy", "label_smoothing": 0.0}


@pytest.mark.parametrize("kind", [SASRec, GSASRec, ESASRec, BERT4Rec, HSTU])
def test_heads_of_unequal_width_are_refused(kind: type[SequenceModel]) -> None:
    message = rf"{kind.name}\.heads: must be a divisor of embedding_size, which is 64, got 3"
    with pytest.raises(ParameterError, match=message):
        kind(heads=3)
    assert kind(heads=3, embedding_size=48).config.heads == 3


def test_positions_that_would_show_the_target_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"fmlp-rec\.training\.positions: must be 'last' \(or 'auto'\), got 'all'"):
        FMLPRec(training={"positions": "all"})


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"loss": {"kind": "cross-entropy", "n_samples": 5}}, "loss.n_samples"),
        ({"loss": {"kind": "bce", "n_samples": 0}}, "loss.in_batch"),
        ({"loss": {"kind": "bpr", "n_samples": 5, "logq": 0.5}}, "loss.logq"),
        ({"loss": {"kind": "sampled-softmax", "n_samples": 5, "candidate_num": 2}}, "loss.candidate_num"),
        ({"optimizer": "adagrad", "weight_decay": 0.1}, "weight_decay"),
        ({"positions": "last", "windows": "recent"}, "windows"),
        ({"click_dropout": 0.1}, "click_dropout"),
    ],
)
def test_parameters_that_make_no_sense_together_are_refused_with_the_reason(training: dict, reason: str) -> None:
    with pytest.raises(ParameterError, match=rf"sasrec\.training\.{reason}: "):
        small(**training)


def test_the_mixed_optimiser_keeps_the_item_table_apart(chain: Task) -> None:
    model = small(optimizer="mixed", table_learning_rate=0.2, epochs=1).fit(chain.train)
    tables, others = model.optimizer().param_groups
    assert tables["params"] == [model.network.items]
    assert (tables["lr"], tables["scale"], others["lr"]) == (0.2, 20.0, 0.01)
    assert len(others["params"]) == len(list(model.network.parameters())) - 1
    with pytest.raises(ParameterError, match=r"sasrec\.training\.table_learning_rate: must be 0\.07 with .*'adamw'"):
        small(table_learning_rate=0.2)


def test_the_mixed_optimiser_is_adagrad_where_all_is_tables(chain: Task) -> None:
    model = FPMC(embedding_size=16, training={"optimizer": "mixed", "epochs": 8, "batch_size": 32}).fit(chain.train)
    (group,) = model.optimizer().param_groups
    assert (group["lr"], len(group["params"])) == (0.07, 2)
    assert hit_rate(model, chain) >= 0.9 * chain.optimum


def test_the_rates_of_both_optimisers_follow_schedule_and_fine_tuning(
    chain: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []

    def step(optimizer: SplitOptimizer) -> None:
        rates.append([group["lr"] for group in optimizer.param_groups])

    monkeypatch.setattr(SplitOptimizer, "step", step)
    tuning = {"epochs": 1, "learning_rate": 0.001}
    plan = {"optimizer": "mixed", "schedule": "linear", "warmup": 0.5, "epochs": 2, "fine_tuning": tuning}
    small(**plan).fit(chain.train)
    tables, others = np.array(rates).T
    np.testing.assert_allclose(tables, 7.0 * others, rtol=1e-12)
    assert others.max() == 0.01
    assert others[-3:].max() == pytest.approx(0.0008)
