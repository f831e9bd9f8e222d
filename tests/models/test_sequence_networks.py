"""What holds for the network of every sequence model in the table of models."""

from typing import get_args

import numpy as np
import pytest
import torch
from chains import sessions
from torch.nn import functional

from segue.data.vocabulary import PADDING
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.registry import model_classes
from segue.models.sequence import SequenceModel
from segue.nn.encoders.base import SequenceEncoder
from segue.nn.encoders.layers import Positions
from segue.training.runtime import Runtime

KINDS = [kind for kind in model_classes() if issubclass(kind, SequenceModel)]
SIMILARITIES = {kind: get_args(kind.Config.model_fields["similarity"].annotation) for kind in KINDS}
LOG = sessions([[3], [12, 11, 12], [1, 2, 1, 2, 1], [4, 5, 6, 7, 8, 9, 10]], 12)
EXACT = {"rtol": 0.0, "atol": 1e-5}


def randomised(kind: type[SequenceModel], **parameters: object) -> SequenceEncoder:
    """Return a network with weights of all sizes; padding has a row of zeros in each of its tables."""
    model = kind(embedding_size=8, max_length=10, **parameters)
    model.fit_preprocessing(LOG)
    network = model.assemble()
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.uniform_(weight, -0.5, 0.5)
        if len(weight) == len(LOG.vocabulary) + 1:
            weight.data[PADDING] = 0
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.Network.fixed_width])
def test_wider_padding_changes_nothing(kind: type[SequenceModel]) -> None:
    network = randomised(kind)
    window = network.window(LOG.as_prefixes())
    wider = window.map(lambda numbers: functional.pad(numbers, (3, 0)))
    torch.testing.assert_close(network.last(wider), network.last(window), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.Network.causal])
def test_a_causal_state_is_that_after_the_events_so_far(kind: type[SequenceModel]) -> None:
    """Positions count back from the end of the window, which is another one then: here they are all alike."""
    network = randomised(kind)
    for module in network.modules():
        if isinstance(module, Positions):
            torch.nn.init.zeros_(module.weight)
    window = network.window(LOG.as_prefixes())
    so_far = LOG.prefixes(np.repeat(LOG.offsets[:-1], LOG.lengths), np.arange(1, len(LOG.items) + 1))
    states = network.scaled(network.states(window))
    torch.testing.assert_close(states[window.items != PADDING], network.encode(so_far), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        *((kind, {"similarity": way}) for kind in KINDS for way in SIMILARITIES[kind]),
        *((kind, {"training": {"loss": "cosine"}}) for kind in KINDS),
    ],
)
def test_rows_are_those_of_the_table(kind: type[SequenceModel], parameters: dict[str, object]) -> None:
    """And how long an embedding is counts for the dot product alone."""
    network = randomised(kind, **parameters)
    table, ids = network.table().clone(), torch.tensor([3, 0, 12, 3])
    torch.testing.assert_close(network.rows(ids), table[ids])
    network.items *= 7
    assert torch.allclose(network.table(), table) == (parameters != {"similarity": "dot"})


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.temperature is SequenceModel.temperature])
def test_with_a_temperature_scores_are_cosines_divided_by_it(kind: type[SequenceModel]) -> None:
    network, cases = randomised(kind, similarity="cosine", temperature=0.5), LOG.as_prefixes()
    direction, logits = network.last(network.window(cases)), network.logits(network.encode(cases))
    expected = functional.cosine_similarity(direction.unsqueeze(1), network.item_table(), dim=2) / 0.5
    torch.testing.assert_close(logits[:, 1:], expected[:, 1:], **EXACT)
    assert logits[:, 1:].abs().max() > 0.1
    torch.testing.assert_close(network.logits(network.encode(cases[np.array([2])])), logits[2:3], **EXACT)


@torch.no_grad()
@pytest.mark.parametrize(("temperature", "same"), [(0.5, True), (None, False)])
@pytest.mark.parametrize("positions", ["all", "last"])
def test_with_a_temperature_the_length_of_a_state_does_not_count_in_training(
    temperature: float | None, same: bool, positions: str
) -> None:
    plan = {"positions": positions, "click_dropout": 0.0, "loss": "cross-entropy"}
    model = ImprovedGRU4Rec(embedding_size=8, dropout=0.0, temperature=temperature, training=plan)
    model.fit_preprocessing(LOG)
    model.network = model.assemble()
    losses = []
    for _ in range(2):
        objective = model.objective(LOG, 0, Runtime(device="cpu"))
        objective.begin_epoch(0)
        losses.append(float(objective.loss(0)))
        for weight in model.network.output.parameters():
            weight.mul_(50)
    assert (losses[0] == pytest.approx(losses[1], rel=1e-5)) == same
