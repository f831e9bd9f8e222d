"""Losses and samplers put together: against the exact softmax, against closed forms, and what is refused."""

import math
from typing import ClassVar, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.errors import ParameterError
from segue.nn.encoders.base import Encoder
from segue.nn.losses.config import GBCE, NCE, Loss, LossConfig, RankingLoss, SampledSoftmax
from segue.nn.losses.functions import LOSSES
from segue.nn.losses.sampled import LossInput
from segue.nn.losses.softmax import ProductPrecision, full_cross_entropy
from segue.nn.sampling import PopularitySampler
from segue.parameters import Section
from segue.validation import build

N_ITEMS, WIDTH = 30, 4
SUPPORT = np.concatenate(([0], np.random.default_rng(0).integers(1, 8, N_ITEMS)))


class Training(Section):
    """A configuration with a loss."""

    loss: Loss = NCE()


NAMES = [name for kind in get_args(get_args(Loss)[0]) for name in get_args(kind.model_fields["kind"].annotation)]


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


def options(name: str, **chosen: object) -> LossConfig:
    drawn = {} if name in ("cross-entropy", "cosine") else {"n_samples": 20}
    return Training(loss={"kind": name, **drawn, **chosen}).loss


class Step:
    """A loss with its negatives."""

    def __init__(
        self, config: LossConfig, support: np.ndarray = SUPPORT, *, seed: int = 0, precision: ProductPrecision = "fp32"
    ) -> None:
        self.loss, self.negatives = config.loss(len(support) - 1, precision), config.negatives(support, seed)

    def __call__(
        self,
        states: Tensor,
        targets: Tensor,
        encoder: Table,
        epoch: int,
        step: int,
        weights: Tensor | None = None,
    ) -> Tensor:
        drawn = None if self.negatives is None else self.negatives.draw(targets.numpy(), epoch, step)
        rows = None if drawn is None else encoder.rows(drawn.ids)
        return self.loss(LossInput(states, targets, encoder, drawn, rows, weights))


def mean_gradient(config: LossConfig, encoder: Table, states: Tensor, targets: Tensor) -> Tensor:
    """Mean gradient by the items of the first row's loss; in every step the other rows have other targets."""
    loss, rng = Step(config, seed=1), np.random.default_rng(2)
    weights = torch.zeros(len(targets))
    weights[0] = 1.0
    total = torch.zeros_like(encoder.items)
    for step in range(80):
        targets[1:] = torch.from_numpy(rng.choice(len(SUPPORT), len(targets) - 1, p=SUPPORT / SUPPORT.sum()))
        total += torch.autograd.grad(loss(states, targets, encoder, 0, step, weights), encoder.items)[0]
    return total / 80


@pytest.mark.parametrize(("n_samples", "in_batch"), [(400, False), (200, True), (0, True)])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_with_logq_the_sampled_softmax_has_the_gradient_of_the_full_one(
    n_samples: int, in_batch: bool, alpha: float
) -> None:
    encoder, states = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(400, WIDTH, seed=1)
    # A target that is probable: for one that is not, the gradient hardly depends on its share of the softmax.
    targets = encoder.logits(states)[:, 1:].argmax(1) + 1
    full = full_cross_entropy(states[:1], encoder.items, targets[:1])
    exact = torch.autograd.grad(full, encoder.items)[0]
    error = {}
    for logq in (1.0, 0.0):
        gradient = mean_gradient(
            SampledSoftmax(n_samples=n_samples, in_batch=in_batch, alpha=alpha, logq=logq), encoder, states, targets
        )
        error[logq] = ((gradient - exact).norm() / exact.norm()).item()
    assert error[1.0] < 0.04
    assert error[0.0] > 0.1


@pytest.mark.parametrize("in_batch", [False, True])
def test_noise_contrastive_estimation_is_at_rest_where_scores_are_log_probabilities(in_batch: bool) -> None:
    # Targets in proportion to the support, noise by its square root; one state, so that the bias is the score.
    targets = torch.from_numpy(np.repeat(np.arange(len(SUPPORT)), SUPPORT))
    truth = torch.from_numpy(np.log(np.maximum(SUPPORT, 1) / SUPPORT.sum())).float()
    loss = Step(NCE(n_samples=2_000, alpha=0.5, in_batch=in_batch))
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
def test_scores_and_hits_equal_a_loop(name: str, in_batch: bool, bias: bool) -> None:
    encoder, states = (
        (WithBiases if bias else Table)(random(N_ITEMS + 1, WIDTH + bias, seed=0)),
        random(5, WIDTH, seed=1),
    )
    targets, weights = torch.tensor([3, 7, 3, 1, 9]), torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0])
    loss = Step(RankingLoss(kind=name, n_samples=40, in_batch=in_batch), seed=4)
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
def test_negatives_of_a_few_rows_equal_a_loop(name: str, bias: bool) -> None:
    encoder, states = (
        (WithBiases if bias else Table)(random(N_ITEMS + 1, WIDTH + bias, seed=0)),
        random(5, WIDTH, seed=1),
    )
    targets = torch.tensor([3, 7, 3, 1, 9])
    config = options(name, n_samples=40, targets_per_draw=2)
    assert isinstance(config, RankingLoss)
    loss = Step(config, seed=4)
    drawn = PopularitySampler(SUPPORT, 0.5, 40, 4).draw_groups(2, 5, 3).tolist()
    assert drawn[0] != drawn[1]
    value = 0.0
    naive = config.score_loss(N_ITEMS)
    for row, own in enumerate(targets.tolist()):
        scores, excluded = naive_scores(states, encoder.items.detach(), own, row, drawn[row // 2])
        value += naive(torch.tensor([scores]), torch.tensor([0]), torch.tensor([excluded])).item() / 5
    assert loss(states, targets, encoder, 2, 5).item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bias", [False, True])
def test_every_loss_learns_which_item_follows(name: str, bias: bool) -> None:
    encoder = (WithBiases if bias else Table)(0.3 * random(N_ITEMS + 1, 16 + bias, seed=0))
    states = torch.nn.Parameter(0.3 * random(N_ITEMS, 16, seed=1))
    targets = torch.arange(1, N_ITEMS + 1)
    loss = Step(options(name), np.where(SUPPORT > 0, 1, 0))
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
def test_candidates_make_negatives_harder(name: str) -> None:
    encoder, states, targets = (
        Table(random(N_ITEMS + 1, WIDTH, seed=0)),
        random(50, WIDTH, seed=1),
        torch.full((50,), 3),
    )
    easy, hard = (Step(options(name, candidate_num=n))(states, targets, encoder, 0, 0).item() for n in (1, 4))
    assert hard > easy


def test_kept_hits_are_negatives_and_rejected_ones_are_not() -> None:
    encoder, states, targets = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(4, WIDTH, seed=1), torch.full((4,), 3)
    only = np.where(np.arange(N_ITEMS + 1) == 3, 5, 0)
    for in_batch in (False, True):
        values = {
            hits: Step(SampledSoftmax(n_samples=6, logq=0.0, in_batch=in_batch, accidental_hits=hits), only)(
                states, targets, encoder, 0, 0
            ).item()
            for hits in ("keep", "reject")
        }
        assert values["reject"] == pytest.approx(0.0, abs=1e-6)
        assert values["keep"] == pytest.approx(math.log(7 + 3 * in_batch))


def test_bf16_sampled_softmax_is_off_by_less_than_a_hundredth() -> None:
    encoder, states = Table(random(N_ITEMS + 1, WIDTH, seed=0)), random(200, WIDTH, seed=1).requires_grad_()
    targets = torch.from_numpy(np.random.default_rng(0).integers(1, N_ITEMS, 200))
    results = []
    for precision in ("fp32", "bf16"):
        loss = Step(SampledSoftmax(n_samples=50), precision=precision)
        results.append(torch.autograd.grad(loss(states, targets, encoder, 0, 0), (states, encoder.items)))
    for exact, short in zip(*results, strict=True):
        assert (exact - short).norm() < 0.01 * exact.norm()


DRAWN = "'sampled-softmax', 'bce', 'bpr', 'bpr-max', 'top1', 'top1-max', 'gbce', 'nce'"
COMPARED = "'bce', 'bpr', 'bpr-max', 'top1', 'top1-max', 'gbce'"


@pytest.mark.parametrize(
    ("name", "chosen", "reason"),
    [
        (
            "cross-entropy",
            {"n_samples": 5},
            f"n_samples: belongs to loss {DRAWN}, got loss 'cross-entropy'",
        ),
        (
            "cosine",
            {"in_batch": True},
            f"in_batch: belongs to loss {DRAWN}, got loss 'cosine'",
        ),
        (
            "bpr",
            {"n_samples": 5, "logq": 0.5},
            "logq: belongs to loss 'sampled-softmax', got loss 'bpr'; leave it out, or set ",
        ),
        (
            "sampled-softmax",
            {"n_samples": 5, "candidate_num": 2},
            f"candidate_num: belongs to loss {COMPARED}, got loss",
        ),
        (
            "sampled-softmax",
            {"targets_per_draw": 2},
            f"targets_per_draw: belongs to loss {COMPARED}, got loss",
        ),
        ("nce", {"n_samples": 5, "candidate_num": 2}, "candidate_num: belongs to loss "),
        (
            "nce",
            {"n_samples": 5, "accidental_hits": "keep"},
            "accidental_hits: belongs to loss 'sampled-softmax', ",
        ),
        (
            "bce",
            {"n_samples": 5, "gbce_t": 0.5},
            "gbce_t: belongs to loss 'gbce', got loss 'bce'; leave it out, or set training.loss=gbce$",
        ),
        (
            "bce",
            {"n_samples": 0},
            "in_batch: must be true with n_samples 0 .* for example to 256.*got False",
        ),
        (
            "top1",
            {"in_batch": True, "n_samples": 5, "candidate_num": 2},
            "candidate_num: must be 1 with in_batch",
        ),
        (
            "top1",
            {"n_samples": 0, "in_batch": True, "targets_per_draw": 2},
            "targets_per_draw: must be 0 with in_batch",
        ),
        ("hinge", {}, "must be one of 'cross-entropy', .*got 'hinge'"),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused_with_the_reason(name: str, chosen: dict, reason: str) -> None:
    with pytest.raises(ParameterError, match=rf"^training\.loss[.:] ?{reason}"):
        build(Training, "training", parameters={"loss": {"kind": name, **chosen}})


def test_a_misspelt_parameter_is_answered_with_those_of_all_losses() -> None:
    for name in ("bce", "cosine"):
        with pytest.raises(ParameterError, match=r"training 'loss\.n_smaples': did you mean 'loss\.n_samples'"):
            build(Training, "training", parameters={"loss": {"kind": name, "n_smaples": 5}})


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_name_is_the_loss_with_its_defaults(name: str) -> None:
    assert Training(loss=name).loss == Training(loss={"kind": name}).loss
    assert Training.model_validate(Training(loss=name).model_dump()) == Training(loss=name)


def test_another_loss_keeps_the_parameters_that_both_have() -> None:
    class Usual(Section):
        presets: ClassVar = {"drawn": {"loss": {"n_samples": 9}}}
        loss: Loss = GBCE(n_samples=7, alpha=0.0, gbce_t=0.5)

    for given in ("sampled-softmax", {"kind": "sampled-softmax"}):
        assert build(Usual, "u", parameters={"loss": given}).loss == SampledSoftmax(n_samples=7, alpha=0.0)
    assert build(Usual, "u", preset="drawn", parameters={"loss": "nce"}).loss == NCE(n_samples=9, alpha=0.0)
    assert build(Usual, "u", parameters={"loss": {"n_samples": 3}}).loss == GBCE(n_samples=3, alpha=0.0, gbce_t=0.5)
    with pytest.raises(
        ParameterError,
        match=r"u\.loss\.gbce_t: belongs to loss 'gbce', got loss 'bpr'; leave it out, or set u\.loss=gbce",
    ):
        build(Usual, "u", parameters={"loss": {"kind": "bpr", "gbce_t": 0.5}})
