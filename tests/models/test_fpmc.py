"""FPMC: the contract, its equations in a loop, and users who are told, known, unknown or refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import SECONDS_BETWEEN_SESSIONS, every_next, markov_chain, sessions
from neural_contract import NeuralModelContract

from segue.data.events import Events
from segue.data.sessions import Prefixes, Sessions
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.models.fpmc import FPMC
from segue.models.registry import load
from segue.nn.sampling import PopularitySampler
from segue.protocols.prepare import prepare
from segue.training.runtime import Runtime

SMALL: dict = {
    "embedding_size": 16,
    "training": {"batch_size": 32, "loss": {"n_samples": 32}, "epochs": 5, "learning_rate": 0.03},
}
N_ITEMS = 12


class TestFPMC(NeuralModelContract):
    model = FPMC
    parameters: ClassVar = SMALL
    make_task = staticmethod(markov_chain)
    long: ClassVar = {
        "embedding_size": 16,
        "training": {"batch_size": 8, "loss": {"n_samples": 32}, "epochs": 4, "patience": None},
    }


def users_log(n_sessions: int = 240) -> Sessions:
    """Sessions of four users; each user goes on to an item of their own, whatever came last."""
    rng = np.random.default_rng(3)
    owners = rng.integers(0, 4, n_sessions)
    lists = [[int(rng.integers(5, N_ITEMS + 1)), int(owner) + 1] * 2 for owner in owners]
    log = sessions(lists, N_ITEMS)
    return replace(log, columns=pl.DataFrame({"user": [f"user {owner}" for owner in np.repeat(owners, 4)]}))


def basket_log() -> Sessions:
    """Sessions with equal times: baskets of one, two, three and one events, then of two."""
    log = sessions([[3, 1, 2, 4, 5, 6, 7], [8, 9]], N_ITEMS)
    times = SECONDS_BETWEEN_SESSIONS + np.array([0, 60, 60, 90, 90, 90, 200, 300, 300])
    return replace(log, times=times, columns=pl.DataFrame({"user": ["a"] * 7 + ["b"] * 2}))


def fitted(log: Sessions, **parameters: object) -> FPMC:
    """A model whose factors are large enough to compare."""
    model = FPMC(embedding_size=4, training={"loss": {"n_samples": 3}, "batch_size": 8, "epochs": 1}, **parameters).fit(
        log
    )
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight[1:] = torch.randn(weight[1:].shape, generator=rng)
    return model


def by_hand(model: FPMC, user: int, basket: Sequence[int]) -> torch.Tensor:
    """Score of every item, one after the other; user 0 is nobody."""
    weights = model.network.state_dict()
    scores = torch.zeros(N_ITEMS + 1)
    for item in range(1, N_ITEMS + 1):
        if model.config.user:
            of_user, of_last = weights["items"][item, :4], weights["items"][item, 4:]
            scores[item] += weights["context.weights.0"][user] @ of_user
        else:
            of_last = weights["items"][item]
        for last in basket:
            scores[item] += (of_last @ weights["before"][last]) / len(basket)
    return scores


@pytest.mark.parametrize("user", [True, False])
@pytest.mark.parametrize("basket", ["last-event", "equal-times"])
def test_scores_equal_a_loop_over_items_and_the_last_basket(user: bool, basket: str) -> None:
    log = basket_log()
    model = fitted(log, user=user, basket=basket)
    baskets = [[3], [1], [1, 2], [4], [4, 5], [4, 5, 6], [7], [8], [8, 9]]
    prefixes = log.prefixes(np.array([0] * 7 + [7] * 2), np.arange(1, 10))
    for row, scores in enumerate(model.score(prefixes)):
        last = baskets[row] if basket == "equal-times" else baskets[row][-1:]
        expected = by_hand(model, 1 if row < 7 else 2, last)
        torch.testing.assert_close(scores[1:], expected[1:], rtol=1e-5, atol=1e-5)


def test_loss_and_gradient_of_s_bpr_equal_a_loop() -> None:
    log = basket_log()
    model = fitted(log, user=True, basket="equal-times")
    objective = model.objective(log, 7, Runtime(device="cpu"))
    objective.begin_epoch(0)
    network = model.network.train()
    network.zero_grad()
    objective.loss(0).backward()
    gradients = {name: weight.grad.clone() for name, weight in network.named_parameters()}

    drawn = PopularitySampler(log.vocabulary.support, 0.5, 3, 7).draw(0, 0).tolist()
    network.zero_grad()
    before = {1: [3], 2: [1], 3: [1, 2], 4: [4], 5: [4, 5], 6: [4, 5, 6], 8: [8]}
    total = torch.zeros(())
    for event, basket in before.items():
        scores = _differentiable(network, 1 if event < 7 else 2, basket)
        target = int(log.items[event])
        negatives = [item for item in drawn if item != target]
        for item in negatives:
            total = total - torch.log(torch.sigmoid(scores(target) - scores(item))) / len(negatives) / len(before)
    total.backward()
    for name, weight in network.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-6)


def _differentiable(network: torch.nn.Module, user: int, basket: Sequence[int]):
    weights = dict(network.named_parameters())
    state = torch.cat(
        [weights["context.weights.0"][user], sum(weights["before"][last] for last in basket) / len(basket)]
    )
    return lambda item: weights["items"][item] @ state


def test_it_learns_what_each_user_likes_and_knows_them_again(tmp_path: Path) -> None:
    log = users_log()
    cases = every_next(log)
    own = replace(cases, prefixes=replace(cases.prefixes, columns=log.columns))
    odd = own[np.flatnonzero(own.targets <= 4)]
    alone = FPMC(**SMALL).fit(log)
    model = FPMC(**SMALL, user=True).fit(log)
    assert measure(model, odd, {"metrics": ["hit@1"]}).metrics["hit@1"] > 0.98
    assert measure(alone, odd, {"metrics": ["hit@1"]}).metrics["hit@1"] < 0.5

    loaded = load(model.save(tmp_path / "model"))
    told = [loaded.recommend([110], k=1, context={"user": f"user {number}"}).items for number in range(4)]
    assert told == [[101], [102], [103], [104]]
    answers = loaded.recommend([[110, 111], [110]], k=3, context={"user": ["user 2", "user 0"]})
    assert [answer.items[0] for answer in answers] == [103, 101]


def test_who_is_not_known_has_no_user_term() -> None:
    model = fitted(users_log(), user=True)
    nobody = model.recommend([110], k=N_ITEMS)
    assert model.recommend([110], k=N_ITEMS, context={"user": "never seen"}) == nobody
    assert model.recommend([110], k=N_ITEMS, context={"user": "user 1"}) != nobody
    np.testing.assert_allclose(
        model.score(Prefixes.from_lists([np.array([10])]))[0, 1:], by_hand(model, 0, [10])[1:], rtol=1e-5, atol=1e-5
    )
    with pytest.raises(ParameterError, match="context: fpmc can read time of a session, got 'user'; leave it out"):
        FPMC(**SMALL).fit(users_log()).recommend([110], context={"user": "user 1"})


def test_the_histories_of_users_are_their_sessions() -> None:
    frame = pl.DataFrame({"session": np.repeat(np.arange(6), 5), "item": np.tile(np.arange(3), 10)})
    data = prepare(Events(frame, unit="user"), "leave-one-out", cleaning={"k_core": 1})
    model = FPMC(user=True, training={"epochs": 1}).fit(data.train)
    model.check(data.train)
    table = model.network.context.weights[0]
    assert len(table) == 6 + 1
    state = model.network.encode(data.test.prefixes[:1])
    torch.testing.assert_close(state[0, :64], table[1])


def test_what_the_log_does_not_have_is_refused_before_training() -> None:
    log = replace(basket_log(), times=None, columns=None)
    with pytest.raises(ParameterError) as caught:
        FPMC(user=True, basket="equal-times").fit(log)
    first, second = str(caught.value).splitlines()
    assert first.startswith("fpmc.user: needs a log with a column 'user' and this log has none")
    assert second == "fpmc.basket: 'equal-times' needs a log with times and this one has none; use 'last-event'"


def test_the_preset_of_recbole() -> None:
    config = FPMC(preset="recbole").config
    assert (config.embedding_size, config.training.loss.kind, config.training.loss.alpha) == (64, "bpr", 0.0)
