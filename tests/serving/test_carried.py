"""States that are carried from click to click give the lists of the whole sessions, whatever happens in between."""

import random
import threading
from typing import Any

import numpy as np
import pytest
from live import memory_store, run, serving

import segue
from segue.serving.carried import MAX_STEPS, CarriedStates


@pytest.mark.parametrize("rounds", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_states_follow_the_items(artifact: Any, monkeypatch: Any, rounds: int) -> None:
    monkeypatch.setattr("segue.serving.carried._MOST", 4)
    model = segue.load(artifact("gru4rec"))
    states, rng = CarriedStates(model), random.Random(0)
    sessions: dict[str, list[int]] = {name: [] for name in "abcdefg"}
    for _ in range(rounds):
        chosen = rng.sample(sorted(sessions), rng.randrange(1, 5))
        for name in chosen:
            change = rng.random()
            if change < 0.1 and sessions[name]:
                sessions[name].insert(rng.randrange(len(sessions[name])), rng.randrange(1, 31))  # A late event.
            elif change < 0.15:
                sessions[name] = []
            sessions[name].append(rng.randrange(1, 31))
        items, scores = states.top_k([(name, list(sessions[name])) for name in chosen], 8)
        for row, name in enumerate(chosen):
            expected = segue.Prefixes.from_lists([np.array(sessions[name], dtype=np.int32)], model.vocabulary)
            _, values = model.top_k(expected, 8)
            np.testing.assert_allclose(scores[row], values[0], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(model.score(expected)[0][items[row]], values[0], rtol=1e-4, atol=1e-6)


def test_a_long_session_is_read_whole_in_a_thread(artifact: Any, tmp_path: Any, monkeypatch: Any) -> None:
    folder, threads, steps = artifact("gru4rec"), set(), []
    monkeypatch.setattr(CarriedStates, "top_k", lambda *_, **__: steps.append(1))

    async def story() -> None:
        client = await serving({"gru4rec": folder}, memory_store(), tmp_path)
        served = client.app.service.models.ranker(None).served
        model, top_k = served.model, served.model.top_k
        monkeypatch.setattr(
            model, "top_k", lambda *a, **b: threads.add(threading.current_thread().name) or top_k(*a, **b)
        )
        events = [{"item": str(100 + number % 30)} for number in range(MAX_STEPS + 1)]
        found = await client.post("/v1/recommend", {"session_id": "s", "append": events, "k": 5})
        expected = model.recommend([event["item"] for event in events], k=5)
        assert [one["item"] for one in found["items"]] == list(map(str, expected.items))

    run(story())
    assert steps == []
    assert {name[:18] for name in threads} == {"ThreadPoolExecutor"}


def test_a_click_costs_one_step(artifact: Any, monkeypatch: Any) -> None:
    model = segue.load(artifact("gru4rec"))
    states, steps = CarriedStates(model), []
    step = model.step
    monkeypatch.setattr(model, "step", lambda state, items: steps.append(len(items)) or step(state, items))
    states.top_k([("a", [1, 2, 3])], 5)
    assert steps == [1, 1, 1]
    states.top_k([("a", [1, 2, 3, 4]), ("b", [9])], 5)
    assert steps[3:] == [2]
    states.forget("a")
    states.top_k([("a", [1, 2])], 5)
    assert steps[4:] == [1, 1]
