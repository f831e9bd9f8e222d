"""Every sequence encoder learns from a teacher, from itself backwards, and from the lists of a retriever."""

import numpy as np
import pytest
from chains import Task, markov_chain

from segue.models.markov import Markov
from segue.models.neural import NeuralModel
from segue.models.registry import BUILT_IN, model_class
from segue.models.sequence import SequenceModel
from segue.models.two_stage import TwoStage

NETWORKS = [name for name in BUILT_IN if issubclass(model_class(name), NeuralModel)]
ENCODERS = [name for name in NETWORKS if issubclass(model_class(name), SequenceModel)]


@pytest.fixture(scope="module")
def task() -> Task:
    return markov_chain(n_items=12, n_sessions=60, length=5)


def test_all_networks_but_the_one_that_follows_its_authors_are_sequence_encoders() -> None:
    assert set(NETWORKS) - set(ENCODERS) == {"gru4rec"}


@pytest.mark.parametrize("name", ENCODERS)
def test_it_learns_from_soft_labels_and_from_lists(name: str, task: Task) -> None:
    kind, quick = model_class(name), {"epochs": 1}
    teacher, student = Markov().fit(task.train), kind(embedding_size=8, training=quick)
    plain, taught = student.fit(task.train), student.learn_from(teacher, task.train)
    backwards = kind(embedding_size=8, training={**quick, "privileged": {"weight": 0.5}}).fit(task.train)
    pair = TwoStage(
        retriever="markov",
        ranker=name,
        ranker_parameters={"embedding_size": 8, "training": quick},
        listwise={"loss": "lambdarank", "epochs": 1},
    ).fit(task.train)
    vectors = [one.item_vectors() for one in (plain, taught, backwards, pair.ranker)]
    for first in range(4):
        assert np.isfinite(vectors[first]).all()
        assert all(not np.array_equal(vectors[first], vectors[other]) for other in range(first))
