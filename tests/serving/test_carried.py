"""States that are carried from click to click give the lists of the whole sessions, whatever happens in between."""

import random
from typing import Any

import numpy as np

import segue
from segue.serving.carried import CarriedStates


def test_states_follow_the_items(artifact: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("segue.serving.carried._MOST", 4)
    model = segue.load(artifact("gru4rec"))
    states, rng = CarriedStates(model), random.Random(0)
    sessions: dict[str, list[int]] = {name: [] for name in "abcdefg"}
    for _ in range(150):
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
