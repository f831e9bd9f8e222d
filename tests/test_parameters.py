from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from segue.errors import ParameterError, UnknownNameError
from segue.parameters import describe, flatten, merge, nested
from segue.validation import build


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    rate: float = Field(0.1, gt=0, le=1)
    """Step size."""
    rounds: int | None = 3
    """How often."""


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"slow": {"inner": {"rate": 0.01}}}

    size: int = Field(8, ge=1)
    """Width of
    the thing."""
    kind: Literal["a", "b"] = "a"
    """Which one."""
    inner: Inner = Inner(rounds=5)
    """A section."""


def test_sections_are_merged_not_replaced() -> None:
    assert merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 9}}) == {"a": 1, "b": {"c": 9, "d": 3}}


def test_single_parameters_go_on_top_of_the_preset_and_of_the_defaults() -> None:
    config = build(Outer, "outer", preset="slow", parameters={"inner": {"rounds": 7}, "size": 2})
    assert config.model_dump() == {"size": 2, "kind": "a", "inner": {"rate": 0.01, "rounds": 7}}
    assert build(Outer, "outer").inner.rounds == 5


def test_all_mistakes_come_together_each_with_name_rule_value() -> None:
    with pytest.raises(ParameterError) as caught:
        build(Outer, "outer", parameters={"size": 0, "kind": "c", "inner": {"rate": 2, "ratr": 1}})
    lines = str(caught.value).splitlines()
    assert lines == [
        "outer.size: must be greater than or equal to 1, got 0",
        "outer.kind: must be 'a' or 'b', got 'c'",
        "outer.inner.rate: must be less than or equal to 1, got 2",
        "unknown parameter of outer 'inner.ratr': did you mean 'inner.rate'? "
        "choose one of inner.rate, inner.rounds, kind, size",
    ]


def test_a_value_of_another_type_is_answered_with_what_to_type() -> None:
    class Several(BaseModel):
        names: tuple[str, ...] = ()
        size: int = 1
        rate: float = 0.1
        on: bool = False
        inner: Inner = Inner()

    wrong = {"names": "hour", "size": "abc", "rate": "x", "on": "maybe", "inner": 5}
    with pytest.raises(ParameterError) as caught:
        build(Several, "s", parameters=wrong)
    assert str(caught.value).splitlines() == [
        "s.names: must be a list such as '[hour]', got 'hour'",
        "s.size: must be an integer, got 'abc'",
        "s.rate: must be a number, got 'x'",
        "s.on: must be true or false, got 'maybe'",
        "s.inner: must be names and values, got 5",
    ]
    with pytest.raises(ParameterError, match=r"s\.size: must be an integer, got 1\.5"):
        build(Several, "s", parameters={"size": 1.5})


def test_sections_are_written_with_dots() -> None:
    assert flatten({"a": 1, "inner": {"rate": None, "deep": {"kind": "b"}}}) == {
        "a": 1,
        "inner.rate": None,
        "inner.deep.kind": "b",
    }


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'slow'"):
        build(Outer, "outer", preset="slo")


def test_a_preset_where_there_is_none_is_answered_with_that() -> None:
    with pytest.raises(ParameterError) as caught:
        build(Inner, "inner", preset="slow")
    assert str(caught.value) == "inner has no presets, got 'slow'; leave the preset out"


def test_names_are_listed_without_a_similar_one_or_where_they_are_few() -> None:
    many = [f"name_{letter}" for letter in "abcdefghijklm"]
    assert str(UnknownNameError("thing", "nam_c", many)) == "unknown thing 'nam_c': did you mean 'name_c'?"
    assert str(UnknownNameError("thing", "xyz", many)) == f"unknown thing 'xyz': choose one of {', '.join(many)}"
    assert str(UnknownNameError("thing", "nam_c", many[:12])).endswith(
        f"did you mean 'name_c'? choose one of {', '.join(many[:12])}"
    )


def test_a_description_holds_default_rule_and_meaning() -> None:
    shown = {one.name: (one.default, one.rule, one.meaning) for one in describe(Outer)}
    assert shown == {
        "size": (8, "int, ≥ 1", "Width of the thing."),
        "kind": ("a", "a | b", "Which one."),
        "inner.rate": (0.1, "float, > 0, ≤ 1", "Step size."),
        "inner.rounds": (5, "int | none", "How often."),
    }


@pytest.mark.parametrize("names", [("a.loss.n", "a.loss.kind", "a.k"), ("a.k", "a.loss.kind", "a.loss.n")])
def test_the_kind_of_a_section_is_set_before_its_parameters(names: tuple[str, ...]) -> None:
    values = {"a.loss.n": 5, "a.loss.kind": "bpr", "a.k": 1}
    assert nested({name: values[name] for name in names}) == {"a": {"loss": {"kind": "bpr", "n": 5}, "k": 1}}
    assert nested({"a.loss.n": 5, "a.loss": "bpr"}) == {"a": {"loss": {"kind": "bpr", "n": 5}}}
