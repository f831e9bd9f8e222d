"""The preset sessions of the networks."""

import pytest
from chains import blocks

from segue.models.base import Model
from segue.models.registry import model_classes
from segue.models.sequence import SequenceModel

KINDS = [kind for kind in model_classes() if "sessions" in kind.Config.presets]


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_from_every_prefix_with_its_preset(kind: type[Model]) -> None:
    task = blocks(n_sessions=400)
    model = kind(preset="sessions").fit(task.train)
    lists, _ = model.top_k(task.cases.prefixes, task.k)
    assert (lists == task.cases.targets[:, None]).any(axis=1).mean() > 0.7
    if isinstance(model, SequenceModel):
        assert model.config.training.positions == "last"
        assert model.config.training.metric == "mrr@20"
