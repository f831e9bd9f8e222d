"""GRU4Rec against its authors' PyTorch code: equal weights and equal samples give equal batches, losses and weights.

The numbers in fixtures/gru4rec_parity.json were recorded by running the authors' ``fit`` for one epoch, on a CPU, on
the log and with the options below, with its initial weights and drawn samples replaced by those of ``start_weights``
and ``drawn``. Of each case they hold: the loss of each step, the weights after the epoch, and the scores that these
give for some prefixes; and once, the inputs and targets of each step. Where the batch shrinks at the end of an epoch,
the authors' code goes on to take as many columns as at the start for in-batch targets when it corrects by logQ; that
is not followed, and the cases with logQ use a log whose lanes all end together.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from segue.data.batches.session_parallel import SessionParallel
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.gru4rec import GRU4Rec, GRU4RecTraining
from segue.nn.sampling import SessionParallelNegatives
from segue.training.runtime import Runtime
from segue.training.session_parallel import SessionParallelObjective

LOG = [[1, 2, 3], [2, 4], [5, 1, 1, 6], [3, 7], [7, 2, 5, 8, 9], [9, 9], [4, 6, 2, 1], [8, 3]]
ENDS_TOGETHER = [*LOG, [5, 3, 8]]
N_ITEMS = 9
LANES = 3
N_SAMPLES = 5
LEARNING_RATE = 0.07
CASES = {
    "shared, cross-entropy": {},
    "shared, cross-entropy, logq": {"logq": 1.0},
    "shared, bpr-max, elu": {"loss": "bpr-max", "elu": 0.5, "bpreg": 0.7},
    "shared, bpr-max, no elu": {"loss": "bpr-max", "bpreg": 0.0},
    "separate, cross-entropy, logq": {"embedding": "separate", "logq": 0.5},
    "separate, bpr-max, elu": {"embedding": "separate", "loss": "bpr-max", "elu": 1.0, "bpreg": 1.0},
    "one-hot, cross-entropy, logq": {"embedding": "one-hot", "logq": 1.0},
    "one-hot, bpr-max, elu": {"embedding": "one-hot", "loss": "bpr-max", "elu": 0.5},
    "shared, two layers": {"layers": 2, "logq": 1.0},
    "separate, two layers, momentum": {"embedding": "separate", "layers": 2, "momentum": 0.3, "logq": 1.0},
}
RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "gru4rec_parity.json").read_text(encoding="utf-8"))


def start_weights(name: str, shape: torch.Size) -> Tensor:
    phase = sum(map(ord, name))
    return torch.from_numpy(0.4 * np.sin(1.7 * np.arange(shape.numel()) + phase).astype(np.float32)).reshape(shape)


def drawn(step: int) -> np.ndarray:
    return 1 + (4 * step + 5 * np.arange(N_SAMPLES) ** 2) % N_ITEMS


class FixedSampler:
    def __init__(self, support: np.ndarray) -> None:
        self.log_weights = 0.5 * np.log(np.maximum(support, 1), dtype=np.float32)

    def draw(self, epoch: int, step: int) -> np.ndarray:
        return drawn(step)


def log_of(case: dict) -> list[list[int]]:
    return ENDS_TOGETHER if "logq" in case else LOG


def sessions(log: list[list[int]]) -> Sessions:
    items = np.concatenate(log).astype(np.int32)
    offsets = np.cumsum([0, *map(len, log)])
    return Sessions(items, offsets, None, Vocabulary.from_items(pl.Series(items.astype(np.int64))))


def new_model(case: dict) -> GRU4Rec:
    training = {"batch_size": LANES, "learning_rate": LEARNING_RATE, "momentum": case.get("momentum", 0.0)}
    structure = {"embedding": case.get("embedding", "shared"), "layers": case.get("layers", 1)}
    model = GRU4Rec(hidden_size=4, embedding_size=3, training=training, **structure)
    model.vocabulary = sessions(LOG).vocabulary
    model.network = model.build(N_ITEMS)
    state = {name: start_weights(name, weights.shape) for name, weights in model.network.state_dict().items()}
    model.network.load_state_dict(state)
    return model


def train_one_epoch(model: GRU4Rec, case: dict) -> list[float]:
    train = sessions(log_of(case))
    options = {name: case[name] for name in ("elu", "bpreg") if name in case}
    if "elu" in case:
        options["activation"] = "elu"
    if case.get("loss", "cross-entropy") == "cross-entropy":
        options["logq"] = case.get("logq", 0.0)
    config = GRU4RecTraining(loss={"kind": case.get("loss", "cross-entropy"), **options}).loss
    support = train.vocabulary.support
    negatives = SessionParallelNegatives(FixedSampler(support), support, reject_hits=False)
    lanes, loss = SessionParallel(train, LANES), config.loss(N_ITEMS, "fp32")
    objective = SessionParallelObjective(model.network, lanes, loss, negatives, Runtime(device="cpu"))
    optimizer = model.optimizer()
    losses = []
    for step in range(objective.begin_epoch(0)):
        optimizer.zero_grad()
        value = objective.loss(step)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def test_batches_equal_those_of_the_authors() -> None:
    lanes = SessionParallel(sessions(LOG), LANES)
    batches = [lanes.batch(step) for step in range(lanes.n_steps)]
    assert [batch.inputs.tolist() for batch in batches] == RECORDED["inputs"]
    assert [batch.targets.tolist() for batch in batches] == RECORDED["targets"]


@pytest.mark.parametrize("name", CASES)
def test_an_epoch_equals_that_of_the_authors(name: str) -> None:
    recorded = RECORDED["cases"][name]
    model = new_model(CASES[name])
    losses = train_one_epoch(model, CASES[name])
    np.testing.assert_allclose(losses, recorded["losses"], rtol=2e-6, atol=1e-6)
    for weights, tensor in model.network.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), recorded["weights"][weights], rtol=0, atol=3e-6)
    starts, ends = np.array([0, 0, 3, 5]), np.array([1, 2, 4, 9])
    scores = model.score(Prefixes(sessions(LOG).items, starts, ends))[:, 1:]
    np.testing.assert_allclose(scores.numpy(), recorded["scores"], rtol=0, atol=3e-6)
