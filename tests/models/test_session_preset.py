"""The preset sessions of the networks."""

import pytest
from chains import blocks

from segue.models.base import Model
from segue.models.registry import model_classes

KINDS = [kind for kind in model_classes() if "sessions" in kind.Config.presets]


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_with_its_preset(kind: type[Model]) -> None:
    task = blocks(n_sessions=400)
    model = kind(preset="sessions").fit(task.train)
    lists, _ = model.top_k(task.cases.prefixes, task.k)
    assert (lists == task.cases.targets[:, None]).any(axis=1).mean() > 0.7
