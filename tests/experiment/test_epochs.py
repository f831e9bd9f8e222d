"""How many epochs validation chose, by the curve of a fit."""

import math

from segue.experiment.results import Epoch
from segue.experiment.training_plan import Epochs, chosen_epochs, epochs_of, with_epochs


def curve(stage: str, *validated: tuple[float | None, bool]) -> list[Epoch]:
    return [
        Epoch(epoch=number, stage=stage, loss=1.0, validation=value, seconds=1.0, kept=kept)
        for number, (value, kept) in enumerate(validated, 1)
    ]


def test_each_stage_has_its_own_epochs() -> None:
    found = chosen_epochs(
        [
            *curve("teacher", (None, True), (None, True)),
            *curve("training", (0.1, True), (0.3, True), (0.2, False)),
            *curve("fine-tuning", (0.2, False), (0.1, False)),
        ]
    )
    assert {stage: one.epochs for stage, one in found.items()} == {"training": 2, "fine-tuning": 0}
    assert found["training"].why == "best of 3 on validation"


def test_without_validation_all_epochs_count() -> None:
    assert chosen_epochs(curve("training", (None, True), (None, True)))["training"].epochs == 2
    assert chosen_epochs([]) == {}
    assert chosen_epochs(curve("training", (math.nan, False), (math.nan, False)))["training"].epochs == 2


def test_epochs_go_to_the_parameter_of_their_stage_and_changes_on_top() -> None:
    own = {"epochs": 10, "learning_rate": 0.1, "fine_tuning": {"epochs": 3}}
    config = {"training": own, "k": 5}
    epochs = {"training": Epochs(epochs=4, why="x"), "fine-tuning": Epochs(epochs=0, why="y")}
    found, in_force = with_epochs(config, epochs, {})
    assert found == {"training": {"epochs": 4, "learning_rate": 0.1, "fine_tuning": {"epochs": 0}}, "k": 5}
    assert in_force == epochs
    found, in_force = with_epochs(config, epochs, {"k": 6, "training": {"epochs": 7}})
    assert (found["k"], found["training"]["epochs"]) == (6, 7)
    assert in_force["training"] == Epochs(epochs=7, why="set by hand")
    assert config == {"training": own, "k": 5}
    assert epochs_of(config, "z") == {"training": Epochs(epochs=10, why="z")}
    assert epochs_of({"k": 5}, "z") == {}


def test_a_pair_has_the_epochs_of_both_and_of_its_lists() -> None:
    training = {"epochs": 9, "fine_tuning": {"epochs": 9}}
    config = {
        "retriever_parameters": {"embedding_size": 8},
        "ranker_parameters": {"training": training},
        "listwise": {"loss": "listnet", "epochs": 3},
    }
    stages = {"ranker": 4, "ranker, fine-tuning": 2, "ranker, teacher": 9, "lists": 0}
    found, in_force = with_epochs(config, {stage: Epochs(epochs=n, why="") for stage, n in stages.items()}, {})
    assert found["ranker_parameters"] == {"training": {"epochs": 4, "fine_tuning": {"epochs": 2}}}
    assert found["listwise"] == {"loss": None, "epochs": 3}
    assert in_force.keys() == {"ranker", "ranker, fine-tuning", "lists"}
    found, _ = with_epochs(config, {"lists": Epochs(epochs=1, why="")}, {})
    assert found["listwise"] == {"loss": "listnet", "epochs": 1}
