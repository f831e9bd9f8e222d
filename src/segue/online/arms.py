"""The arms of an experiment, and which of them a session or a user is in.

Weighted rendezvous hashing (Thaler and Ravishankar 1998): each arm of weight w draws -log(u) / w for a unit, where u in
(0, 1) comes from the SHA-256 of salt, arm and unit; the least draw wins. An arm wins with a probability proportional to
its weight, and nothing has to be remembered. If one weight changes, units only move to this arm, or from it: as few as
possible. If several change, at most 2d / (1 + d) of the units move, where d is the total variation distance of the old
and the new shares, below which no rule can stay (Daliri et al. 2024).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import log
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, StringConstraints, field_validator, model_validator

from segue import strict_yaml
from segue.errors import ParameterError, UnknownNameError
from segue.parameters import Section
from segue.printable import short
from segue.strict_json import dumps
from segue.validation import build

KEY = "experiment"
"""The section of a file that declares an experiment."""

BESIDE = ("rules",)
"""Sections that the file may have for others."""

_MAX_ARMS = 20
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_NO_CONTROLS)]


class Arm(Section):
    """An arm of an experiment."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_NO_CONTROLS)]
    """Model in service that answers."""
    weight: float = Field(1.0, ge=0, le=1e6)
    """Share of the traffic, relative to the other arms; 0 ends the arm."""


class Experiment(Section):
    """An experiment: the section ``experiment`` of a file."""

    name: Name
    """Its name, in the journal and in the report."""
    salt: Name | None = None
    """Decides with the id which arm a unit is in; none takes the name, so that experiments divide independently."""
    unit: Literal["session", "user"] = "session"
    """What is in an arm; users need the field user_id in requests."""
    arms: dict[Name, Arm]
    """The arms; the first one is what the others are compared with."""
    interleave: bool = False
    """Whether each answer merges the rankings of two arms, instead of dividing the traffic."""

    @field_validator("arms")
    @classmethod
    def _check_number(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        if not 2 <= len(arms) <= _MAX_ARMS:
            raise ValueError(f"2 to {_MAX_ARMS} arms")
        return arms

    @model_validator(mode="after")
    def _check_arms(self) -> "Experiment":
        if not any(arm.weight for arm in self.arms.values()):
            raise ValueError("an experiment with an arm whose weight is not 0")
        if self.interleave and len(self.arms) != 2:
            raise ValueError(f"an experiment of two arms with interleave: true, and has {len(self.arms)}")
        return self


@dataclass(frozen=True)
class Split:
    """Divides units among the arms of an experiment.

    Attributes:
        experiment: the experiment.
    """

    experiment: Experiment

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Share of the units in each arm."""
        weights = {name: arm.weight for name, arm in self.experiment.arms.items()}
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()}

    @cached_property
    def plan(self) -> str:
        """What the journal keeps of the experiment with each answer, as JSON: unit, arms, models and shares."""
        arms = {name: {"model": arm.model, "share": self.shares[name]} for name, arm in self.experiment.arms.items()}
        about = {"unit": self.experiment.unit, "interleave": self.experiment.interleave, "arms": arms}
        return dumps(about, compact=True)

    @cached_property
    def _hashes(self) -> list[tuple[str, float, Any]]:
        salt = self.experiment.salt or self.experiment.name
        return [
            (name, arm.weight, sha256(f"{salt}\0{name}\0".encode()))
            for name, arm in self.experiment.arms.items()
            if arm.weight > 0
        ]

    def arm_of(self, unit: str) -> str:
        """Return the arm of a session or a user.

        Args:
            unit: its id.
        """
        encoded, best, chosen = unit.encode(), float("inf"), ""
        for name, weight, salted in self._hashes:
            hashed = salted.copy()
            hashed.update(encoded)
            number = int.from_bytes(hashed.digest()[:8], "big") >> 11
            draw = -log((number + 0.5) * 2.0**-53) / weight
            if draw < best:
                best, chosen = draw, name
        return chosen


def read_experiment(file: Path, models: Sequence[str]) -> Experiment:
    """Read a file whose section ``experiment`` declares an experiment.

    Args:
        file: YAML file.
        models: names of the models in service.

    Raises:
        ParameterError: it cannot be read, or breaks rules; each is named with its line.
    """
    try:
        tree = strict_yaml.read(file)
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ParameterError(
            f"--experiment: {file} cannot be read ({error.strerror or error}); name a YAML file"
        ) from error
    except ValueError as error:
        raise ParameterError(f"{file}: {error}") from error
    if not isinstance(tree, Mapping) or KEY not in tree:
        found = ", ".join(map(str, tree)) if isinstance(tree, Mapping) else short(tree)
        raise ParameterError(
            f"{file}: must have the section {KEY}, with name and arms, and beside it rules at most, got {found}; "
            f"write '{KEY}:' above them"
        )
    sections = (KEY, *BESIDE)
    problems = [f"{name}: {UnknownNameError('section', name, sections)}" for name in tree if name not in sections]
    experiment = None
    try:
        experiment = experiment_of(tree[KEY], models)
    except ParameterError as error:
        problems += error.lines
    if problems or experiment is None:
        places = _lines(text)
        numbered = sorted(((_line(one, places), one) for one in problems), key=lambda one: one[0])
        raise ParameterError(*(f"{file}, line {line}: {one}" for line, one in numbered))
    return experiment


def experiment_of(section: Any, models: Sequence[str]) -> Experiment:
    """Return the experiment that a section of a file declares.

    Args:
        section: its values.
        models: names of the models in service.

    Raises:
        ParameterError: it breaks rules, or names a model that is not in service; every mistake.
    """
    if not isinstance(section, Mapping):
        raise ParameterError(f"{KEY}: must be names and values, such as name and arms, got {short(section)}")
    problems = [*_unfit_names(section), *_unknown_models(section, models)]
    try:
        experiment = build(Experiment, KEY, base=_with_fit_names(section))
    except ParameterError as error:
        raise ParameterError(*problems, *error.lines) from None
    if problems:
        raise ParameterError(*problems)
    return experiment


def _arms(section: Mapping[str, Any]) -> Mapping[str, Any]:
    arms = section.get("arms")
    return arms if isinstance(arms, Mapping) else {}


def _unknown_models(section: Mapping[str, Any], models: Sequence[str]) -> Iterator[str]:
    """Yield which arms name a model that is not in service."""
    for name, arm in _arms(section).items():
        model = arm.get("model") if isinstance(arm, Mapping) else None
        if isinstance(model, str) and model not in models:
            yield (
                f"{KEY}.arms.{name}.model: must be a model in service ({', '.join(models)}), got {short(model)}; "
                "correct the name, or serve this model too"
            )


def _unfit_names(section: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the names of fields: unknown ones, and those that are missing."""
    named = {f"{KEY}.arms.{name}": arm for name, arm in _arms(section).items()}
    for place, values, fields in (
        (KEY, section, Experiment.model_fields),
        *((*one, Arm.model_fields) for one in named.items()),
    ):
        given = values if isinstance(values, Mapping) else {}
        for field in given:
            if field not in fields:
                yield f"{place}.{field}: {UnknownNameError('field', field, fields)}"
        for field, info in fields.items():
            if info.is_required() and field not in given and isinstance(values, Mapping):
                got = ", ".join(given) or "nothing"
                yield f"{place}: must have {field}, got {got}; add a line such as {_EXAMPLES[field]}"


_EXAMPLES = {"name": "'name: homepage-2026-11'", "arms": "'arms:' with two arms", "model": "'model: gru4rec'"}


def _with_fit_names(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section without unknown fields and with all that it needs, so that its values can be checked."""
    arms = {
        name: {"model": "any", **{field: arm[field] for field in arm if field in Arm.model_fields}}
        if isinstance(arm, Mapping)
        else arm
        for name, arm in _arms(section).items()
    }
    fields = {field: section[field] for field in section if field in Experiment.model_fields}
    return {"name": "any", "arms": _ANY_ARMS, **fields, **({"arms": arms} if arms else {})}


_ANY_ARMS = {"one": {"model": "any"}, "other": {"model": "any"}}


def _lines(text: str) -> dict[str, int]:
    """Return the line of each value of a YAML text by its dotted name."""
    found: dict[str, int] = {}

    def visit(node: Any, name: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = f"{name}.{key.value}" if name else key.value
                found[place] = key.start_mark.line + 1
                visit(value, place)

    visit(yaml.compose(text, Loader=strict_yaml.StrictLoader), "")
    return found


def _line(message: str, places: Mapping[str, int]) -> int:
    """Return the line of the value that a message begins with, or of the section that it should be in."""
    named = [place for place in places if message.startswith((f"{place}:", f"{place}."))]
    return places[max(named, key=len, default=KEY)]
