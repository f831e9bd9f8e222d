"""Spaces of parameters: how they are typed, and that every model declares them within its own bounds."""

import pytest

from segue.errors import ParameterError
from segue.models.gru4rec import GRU4Rec
from segue.models.registry import model_classes
from segue.models.sasrec import SASRec
from segue.parameters import nested
from segue.spaces import Choice, Range, is_integer_parameter, parse_searches, parse_space, spaces_of


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("1..3", Range(1, 3)),
        ("0.001..0.1:log", Range(0.001, 0.1, log=True)),
        ("1e-4..1E-2:log", Range(1e-4, 1e-2, log=True)),
        (" -1 .. .5 ", Range(-1, 0.5)),
        ("[64, 128]", Choice((64, 128))),
        ("[gru,lstm]", Choice(("gru", "lstm"))),
        ("[none, 0.5, true]", Choice((None, 0.5, True))),
        ([1, 2], Choice((1, 2))),
    ],
)
def test_a_space_is_read_as_it_is_typed(text: object, space: Range | Choice) -> None:
    found = parse_space("m.x", text)
    assert found == space
    assert parse_space("m.x", str(found)) == space


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3..1", "m.x: must be a range LOW..HIGH with LOW < HIGH, got 3..1"),
        ("0..1:log", "m.x: must begin above 0 to be searched on a log scale, got 0..1:log"),
        ("1..1", "m.x: must be a range LOW..HIGH with LOW < HIGH, got 1..1"),
        ("5", r"m.x: must be LOW..HIGH, LOW..HIGH:log or a list \[A, B, ...\], got '5'"),
        ("1..2:lin", "m.x: must be LOW..HIGH"),
        ("[1, 2", "m.x: must be LOW..HIGH"),
        ("[1]", "m.x: must list at least two distinct values, got .*; use --set to fix one value"),
        ("[1, 2, 1]", "m.x: must list at least two distinct values"),
        ("[[1], 2]", "m.x: must list numbers, words, true, false or none"),
    ],
)
def test_a_mistake_in_a_space_is_named(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_space("m.x", text)


@pytest.mark.parametrize("text", ["gru4rec", "gru4rec.layers", "layers=1..2", "=1..2", "gru4rec.=1..2"])
def test_what_names_no_parameter_of_a_model_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"--search: must be MODEL.NAME=SPACE such as gru4rec.hidden_size=50..200"):
        parse_searches([text])


def test_searches_are_put_together_by_model() -> None:
    found = parse_searches(["gru4rec.layers=1..2", "gru4rec.training.loss.logq = [0, 1]", "stan.k=1..9"])
    assert found == {"gru4rec": {"layers": "1..2", "training.loss.logq": "[0, 1]"}, "stan": {"k": "1..9"}}


@pytest.mark.parametrize("kind", model_classes(), ids=lambda kind: kind.name)
def test_every_model_declares_spaces_within_its_bounds(kind: type) -> None:
    model = kind()
    assert {name.split(".")[0] for name in kind.Config.search} <= set(kind.Config.model_fields)
    spaces = spaces_of(model.config)
    assert spaces or kind.name == "session-popularity"
    for name, space in spaces.items():
        for value in space.ends:
            kind(**nested({name: value}))
        if is_integer_parameter(kind.Config, name):
            assert all(isinstance(value, int) for value in space.ends)


def test_a_space_around_a_value_follows_it() -> None:
    assert spaces_of(SASRec().config)["training.learning_rate"] == Range(0.0002, 0.005, log=True)
    faster = SASRec(training={"optimizer": "adagrad", "learning_rate": 0.07})
    assert spaces_of(faster.config)["training.learning_rate"] == Range(0.014, 0.35, log=True)
    assert spaces_of(GRU4Rec().config)["training.loss.n_samples"] == Range(512, 8192, log=True)


def test_there_is_nothing_around_nothing() -> None:
    assert "training.loss.n_samples" not in spaces_of(SASRec().config)
    assert "training.loss.n_samples" in spaces_of(SASRec(training={"loss": {"kind": "bce", "n_samples": 8}}).config)


def test_what_lies_in_a_space() -> None:
    assert 2 in Range(1, 3)
    assert 4 not in Range(1, 3)
    assert None not in Range(1, 3)
    assert True not in Range(0, 3)
    assert 1 in Choice((1, "a"))
    assert 1.0 not in Choice((1, "a"))
