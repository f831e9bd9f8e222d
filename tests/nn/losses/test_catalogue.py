"""Losses and samplers put together: against the exact softmax, against closed forms, and what is refused."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.errors import ParameterError
from segue.nn.encoders.base import Encoder
from segue.nn.losses.catalogue import LossName, Sampling, catalogue_loss, check_pair
from segue.nn.losses.full import full_cross_entropy
from segue.nn.losses.functions import LOSSES, make_loss
from segue.nn.sampling.samplers import PopularitySampler

N_ITEMS, WIDTH = 30, 4
SUPPORT = np.concatenate(([0], np.random.default_rng(0).integers(1, 8, N_ITEMS)))
NAMES = get_args(LossName)


class Table(Encoder):
    """Items without a network before them."""

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        self.items = torch.nn.Parameter(items)

    def encode(self, prefixes: object) -> Tensor:
        raise AssertionError

    def table(self) -> Tensor:
        return self.items

    def rows(self, ids: Tensor) -> Tensor:
        return self.items[ids]


class WithBiases(Table):
    """The same with a bias of each item in one more column."""

    biased = True


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def options(name: LossName, **chosen: object) -> Sampling:
    return Sampling(**{"n_samples": 0 if name in ("cross-entropy", "cosine") else 20, **chosen})


def mean_gradient(name: LossName, sampling: Sampling, encoder: Table, states: Tensor, targets: Tensor) -> Tensor:
    """Mean gradient by the items of the first row's loss; in every step the other rows have other targets."""
    loss, rng = catalogue_loss(name, SUPPORT, sampling, seed=1), np.random.default_rng(2)
    weights = torch.zeros(len(targets))
    weights[0] = 1.0
    total = torch.zeros_like(encoder.items)
    for step in range(80):
        targets[1:] = torch.from_numpy(rng.choice(len(SUPPORT), len(targets) - 1, p=SUPPORT / SUPPORT.sum()))
        total += torch.autograd.grad(loss(states, targets, encoder, 0, step, weights), encoder.items)[0]
    return total / 80


@pytest.mark.parametrize("chosen", [{"n_samples": 400}, {"n_samples": 200, "in_batch": True}, {"in_batch": True}])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_with_logq_the_sampled_softmax_has_the_gradient_of_the_full_one(chosen: dict, alpha: float) -> None:
    encoder, states = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(400, WIDTH, seed=1)
    # A target that is probable: for one that is not, the gradient hardly depends on its share of the softmax.
    targets = encoder.logits(states)[:, 1:].argmax(1) + 1
    full = full_cross_entropy(states[:1], encoder.items, targets[:1])
    exact = torch.autograd.grad(full, encoder.items)[0]
    error = {}
    for logq in (1.0, 0.0):
        sampling = Sampling(**{"alpha": alpha, "logq": logq, **chosen})
        gradient = mean_gradient("sampled-softmax", sampling, encoder, states, targets)
        error[logq] = ((gradient - exact).norm() / exact.norm()).item()
    assert error[1.0] < 0.04
    assert error[0.0] > 0.1


@pytest.mark.parametrize("in_batch", [False, True])
def test_noise_contrastive_estimation_is_at_rest_where_scores_are_log_probabilities(in_batch: bool) -> None:
    # Targets in proportion to the support, noise by its square root; one state, so that the bias is the score.
    targets = torch.from_numpy(np.repeat(np.arange(len(SUPPORT)), SUPPORT))
    truth = torch.from_numpy(np.log(np.maximum(SUPPORT, 1) / SUPPORT.sum())).float()
    sampling = Sampling(n_samples=2_000, alpha=0.5, in_batch=in_batch)
    loss = catalogue_loss("nce", SUPPORT, sampling, seed=0)
    size = {}
    for off in (0.0, 0.5):
        encoder = Table(torch.stack((torch.zeros(N_ITEMS + 1), truth + off), dim=1))
        states, total = torch.ones(len(targets), 1), torch.zeros(N_ITEMS + 1)
        for step in range(40):
            total += torch.autograd.grad(loss(states, targets, encoder, 0, step), encoder.items)[0][:, 1] / 40
        size[off] = total.norm().item()
    assert size[0.0] < 0.05 * size[0.5]


def naive_scores(
    states: Tensor, table: Tensor, own: int, row: int, columns: list[int]
) -> tuple[list[float], list[bool]]:
    items = [own, *columns]
    scores = [float(states[row] @ table[item, :WIDTH] + table[item, WIDTH:].sum()) for item in items]
    return scores, [column > 0 and item == own for column, item in enumerate(items)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("name", ["bce", "bpr", "top1-max"])
def test_scores_and_hits_equal_a_loop(name: LossName, in_batch: bool, bias: bool) -> None:
    encoder, states = (
        (WithBiases if bias else Table)(random(N_ITEMS + 1, WIDTH + bias, seed=0)),
        random(5, WIDTH, seed=1),
    )
    targets, weights = torch.tensor([3, 7, 3, 1, 9]), torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0])
    loss = catalogue_loss(name, SUPPORT, Sampling(n_samples=40, in_batch=in_batch), seed=4)
    drawn = PopularitySampler(SUPPORT, 0.5, 40, 4).draw(2, 5).tolist()
    expected = 0.0
    for row, own in enumerate(targets.tolist()):
        scores, excluded = naive_scores(
            states, encoder.items.detach(), own, row, [*(targets.tolist() if in_batch else []), *drawn]
        )
        value = LOSSES[name](torch.tensor([scores]), torch.tensor([0]), torch.tensor([excluded]))
        expected += weights[row].item() / 5 * value.item()
    assert any(own in drawn for own in targets.tolist())
    assert loss(states, targets, encoder, 2, 5, weights).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["bce", "gbce", "bpr"])
def test_negatives_of_a_few_rows_equal_a_loop(name: LossName, bias: bool) -> None:
    encoder, states = (
        (WithBiases if bias else Table)(random(N_ITEMS + 1, WIDTH + bias, seed=0)),
        random(5, WIDTH, seed=1),
    )
    targets = torch.tensor([3, 7, 3, 1, 9])
    loss = catalogue_loss(name, SUPPORT, Sampling(n_samples=40, sharing=2), seed=4)
    drawn = PopularitySampler(SUPPORT, 0.5, 40, 4).draw_rows(2, 5, 3).tolist()
    assert drawn[0] != drawn[1]
    value = 0.0
    naive = make_loss(name, n_items=N_ITEMS)
    for row, own in enumerate(targets.tolist()):
        scores, excluded = naive_scores(states, encoder.items.detach(), own, row, drawn[row // 2])
        value += naive(torch.tensor([scores]), torch.tensor([0]), torch.tensor([excluded])).item() / 5
    assert loss(states, targets, encoder, 2, 5).item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bias", [False, True])
def test_every_loss_learns_which_item_follows(name: LossName, bias: bool) -> None:
    encoder = (WithBiases if bias else Table)(0.3 * random(N_ITEMS + 1, 16 + bias, seed=0))
    states = torch.nn.Parameter(0.3 * random(N_ITEMS, 16, seed=1))
    targets = torch.arange(1, N_ITEMS + 1)
    loss = catalogue_loss(name, np.where(SUPPORT > 0, 1, 0), options(name), seed=0)
    optimizer = torch.optim.Adam([states, encoder.items], 0.05)
    for step in range(150):
        optimizer.zero_grad()
        loss(states, targets, encoder, 0, step).backward()
        optimizer.step()
    found = (
        encoder.logits(states)[:, 1:]
        if name != "cosine"
        else states @ torch.nn.functional.normalize(encoder.items[1:, :16]).T
    )
    assert (found.argmax(1) + 1 == targets).float().mean() > 0.8


@pytest.mark.parametrize("name", ["bce", "gbce", "bpr", "bpr-max", "top1", "top1-max"])
def test_candidates_make_negatives_harder(name: LossName) -> None:
    encoder, states, targets = (
        Table(random(N_ITEMS + 1, WIDTH, seed=0)),
        random(50, WIDTH, seed=1),
        torch.full((50,), 3),
    )
    easy, hard = (
        catalogue_loss(name, SUPPORT, options(name, candidate_num=n), seed=0)(states, targets, encoder, 0, 0).item()
        for n in (1, 4)
    )
    assert hard > easy


def test_kept_hits_are_negatives_and_rejected_ones_are_not() -> None:
    encoder, states, targets = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(4, WIDTH, seed=1), torch.full((4,), 3)
    only = np.where(np.arange(N_ITEMS + 1) == 3, 5, 0)
    for in_batch in (False, True):
        values = {
            hits: catalogue_loss(
                "sampled-softmax",
                only,
                Sampling(n_samples=6, logq=0.0, in_batch=in_batch, accidental_hits=hits),
                seed=0,
            )(states, targets, encoder, 0, 0).item()
            for hits in ("keep", "reject")
        }
        assert values["reject"] == pytest.approx(0.0, abs=1e-6)
        assert values["keep"] == pytest.approx(math.log(7 + 3 * in_batch))


def test_bf16_sampled_softmax_is_off_by_less_than_a_hundredth() -> None:
    encoder, states = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(200, WIDTH, seed=1).requires_grad_()
    targets = torch.from_numpy(np.random.default_rng(0).integers(1, N_ITEMS, 200))
    results = []
    for precision in ("fp32", "bf16"):
        loss = catalogue_loss("sampled-softmax", SUPPORT, Sampling(n_samples=50), seed=0, precision=precision)
        results.append(torch.autograd.grad(loss(states, targets, encoder, 0, 0), (states, encoder.items)))
    for exact, short in zip(*results, strict=True):
        assert (exact - short).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize(
    ("name", "chosen", "reason"),
    [
        ("cross-entropy", {"n_samples": 5}, "training.n_samples: must be 0 .* needs no negatives"),
        ("cosine", {"in_batch": True}, "training.in_batch: must be False .* needs no negatives"),
        ("bpr", {"n_samples": 5, "logq": 0.5}, "training.logq: must be 1.0 .* got 0.5: only 'sampled-softmax'"),
        ("sampled-softmax", {"n_samples": 5, "candidate_num": 2}, "training.candidate_num: must be 1 .* chosen"),
        ("nce", {"n_samples": 5, "candidate_num": 2}, "training.candidate_num: must be 1"),
        ("nce", {"n_samples": 5, "accidental_hits": "keep"}, "training.accidental_hits: must be reject .* definition"),
        ("bce", {"n_samples": 5, "gbce_t": 0.5}, "training.gbce_t: must be 0.75 .* only 'gbce'"),
        ("bce", {}, "training.n_samples: must be at least 1 .* got 0"),
        (
            "top1",
            {"in_batch": True, "n_samples": 5, "candidate_num": 2},
            "training.candidate_num: must be 1 with in_batch",
        ),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused_with_the_reason(name: LossName, chosen: dict, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        catalogue_loss(name, SUPPORT, Sampling(**chosen), seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_with_what_it_needs_is_accepted(name: LossName) -> None:
    check_pair(name, options(name))
