"""Smoothed labels against torch on the scores of each row, for every softmax loss."""

from collections.abc import Callable

import pytest
import torch
from test_loss_config import SUPPORT, WithBiases
from test_softmax import inputs, random
from torch import Tensor
from torch.nn import functional

from largest_tensor import LargestTensor
from segue.models.gru4rec import LaneCrossEntropy, LaneFullCrossEntropy
from segue.nn.losses.config import FullCrossEntropy, LossConfig, SampledSoftmax
from segue.nn.losses.sampled import LossInput, StepLoss
from segue.nn.losses.softmax import full_cross_entropy
from segue.nn.losses.wide_softmax import wide_cross_entropy
from segue.nn.negatives import Negatives

TARGETS = torch.tensor([3, 7, 3, 1, 9, 9])
SMOOTHING = 0.3


def gradients(loss: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(3.0 * loss, of)


def full(states: Tensor, table: Tensor, targets: Tensor, smoothing: float, budget: int | None = None) -> Tensor:
    rows = torch.ones(len(states), dtype=states.dtype)
    return full_cross_entropy(states, table, targets, rows, label_smoothing=smoothing, budget=budget)


def wide(states: Tensor, table: Tensor, targets: Tensor, smoothing: float, budget: int | None = None) -> Tensor:
    return wide_cross_entropy(states, table, targets, label_smoothing=smoothing, budget=budget)


@pytest.mark.parametrize("loss", [full, wide])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("budget", [1, 10**6])
def test_over_all_items_it_is_that_of_torch(
    loss: Callable[..., Tensor], bias: bool, kind: torch.dtype, budget: int
) -> None:
    states, table, targets, _ = inputs(bias, kind)
    scores = states @ table[1:, : states.shape[1]].T + table[1:, states.shape[1] :].sum(1)
    expected = functional.cross_entropy(scores, targets - 1, reduction="sum", label_smoothing=SMOOTHING)
    found = loss(states, table, targets, SMOOTHING, budget)
    torch.testing.assert_close(found, expected)
    of_states, of_table = gradients(found, states, table)
    torch.testing.assert_close((of_states, of_table), gradients(expected, states, table), rtol=1e-5, atol=2e-5)
    assert of_table[0].abs().sum() == 0


@pytest.mark.parametrize("loss", [full, wide])
def test_without_smoothing_the_labels_are_hard_bit_for_bit(loss: Callable[..., Tensor]) -> None:
    states, table, targets, _ = inputs(bias=True, kind=torch.float32)
    plain = {full: lambda: full_cross_entropy(states, table, targets, torch.ones(len(states)))}.get(
        loss, lambda: wide_cross_entropy(states, table, targets)
    )()
    found = loss(states, table, targets, 0.0)
    for one, other in zip(gradients(found, states, table), gradients(plain, states, table), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("loss", "rows"), [(full, 64), (wide, 1)])
def test_the_scores_of_all_rows_never_exist_at_once(loss: Callable[..., Tensor], rows: int) -> None:
    n_rows, items, width = 3_000, 2_000, 4
    states, table = torch.zeros(n_rows, width, requires_grad=True), torch.zeros(items + 1, width, requires_grad=True)
    with LargestTensor() as largest:
        loss(states, table, torch.ones(n_rows, dtype=torch.int64), SMOOTHING, 1).backward()
    assert largest.numel <= max(rows * items, n_rows * width)


def smoothed_row(scores: Tensor, target: int, compared: list[int]) -> Tensor:
    return functional.cross_entropy(
        scores[None, compared], torch.tensor([compared.index(target)]), label_smoothing=SMOOTHING
    )


def step(config: LossConfig) -> tuple[StepLoss, Negatives, Tensor, WithBiases]:
    loss, sampler = config.loss(len(SUPPORT) - 1, "fp32"), config.negatives(SUPPORT, 4)
    assert sampler is not None
    encoder = WithBiases(random(len(SUPPORT), 5, seed=1))
    return loss, sampler.draw(TARGETS.numpy(), 2, 5), random(len(TARGETS), 4).requires_grad_(), encoder


@pytest.mark.parametrize("hits", ["reject", "keep"])
@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("logq", [0.0, 1.0])
def test_over_the_negatives_of_a_step_it_is_that_of_torch(hits: str, in_batch: bool, logq: float) -> None:
    config = SampledSoftmax(
        n_samples=200, in_batch=in_batch, accidental_hits=hits, logq=logq, label_smoothing=SMOOTHING
    )
    loss, negatives, states, encoder = step(config)
    assert negatives.log_counts is not None
    scores = encoder.logits(states)[:, negatives.ids]
    corrected = scores - logq * negatives.log_counts
    left_out = set(zip(*(one.tolist() for one in negatives.excluded), strict=True))
    weights = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5, 3.0], dtype=torch.float64)
    expected = torch.zeros((), dtype=torch.float64)
    for row, item in enumerate(TARGETS.tolist()):
        columns = range(negatives.first, len(negatives.ids))
        kept = [column for column in columns if (row, column - negatives.first) not in left_out]
        assert (item in negatives.ids[kept]) is (hits == "keep")
        values = torch.cat((scores[row, row : row + 1], corrected[row, kept]))
        expected = expected + weights[row] / weights.sum() * smoothed_row(values, 0, list(range(len(values))))
    found = loss(LossInput(states, TARGETS, encoder, negatives, encoder.rows(negatives.ids), weights))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, states, encoder.items), gradients(expected, states, encoder.items), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("hits", ["reject", "keep"])
def test_over_the_columns_of_parallel_sessions_it_is_that_of_torch(hits: str) -> None:
    config = LaneCrossEntropy(n_samples=200, accidental_hits=hits, logq=0.5, label_smoothing=SMOOTHING)
    loss, negatives, states, encoder = step(config)
    assert negatives.log_counts is not None
    scores = encoder.logits(states)[:, negatives.ids] - 0.5 * negatives.log_counts
    left_out = set(zip(*(one.tolist() for one in negatives.excluded), strict=True))
    assert bool(left_out) is (hits == "reject")
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(len(TARGETS)):
        kept = [column for column in range(len(negatives.ids)) if (row, column) not in left_out]
        expected = expected + smoothed_row(scores[row], row, kept)
    found = loss(LossInput(states, TARGETS, encoder, negatives, encoder.rows(negatives.ids)))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, states, encoder.items), gradients(expected, states, encoder.items), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    "config",
    [
        FullCrossEntropy(label_smoothing=SMOOTHING),
        SampledSoftmax(n_samples=20, label_smoothing=SMOOTHING),
        LaneCrossEntropy(n_samples=20, label_smoothing=SMOOTHING),
        LaneFullCrossEntropy(label_smoothing=SMOOTHING),
    ],
)
def test_every_softmax_loss_has_the_parameter(config: LossConfig) -> None:
    """Equal scores cost the same with any labels; a confident model costs more with smoothed ones."""
    hard = type(config).model_validate({**config.model_dump(), "label_smoothing": 0.0})
    values = {}
    for certainty in (0.0, 20.0):
        encoder = WithBiases(torch.zeros(len(SUPPORT), 2))
        with torch.no_grad():
            encoder.items[3] = certainty
        states, targets = torch.ones(4, 1), torch.full((4,), 3)
        for one in (config, hard):
            sampler = one.negatives(SUPPORT, 0)
            negatives = None if sampler is None else sampler.draw(targets.numpy(), 0, 0)
            rows = None if negatives is None else encoder.rows(negatives.ids)
            loss = one.loss(len(SUPPORT) - 1, "fp32")
            values[certainty, one is config] = loss(LossInput(states, targets, encoder, negatives, rows)).item()
    assert values[20.0, True] > values[20.0, False] + 1
    if config.negatives(SUPPORT, 0) is None:
        assert values[0.0, True] == pytest.approx(values[0.0, False])
