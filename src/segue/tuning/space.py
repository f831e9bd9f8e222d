"""The space of a search: what a model declares, changed by what a user asks for, checked before anything is trained."""

from collections.abc import Iterator, Mapping
from typing import Any

from optuna import Trial

from segue.data.sessions import Sessions
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.experiment.config import RunConfig
from segue.models.base import Model
from segue.models.catalog import model_class
from segue.parameters import field_of, flatten, merge, nested
from segue.spaces import Choice, Space, is_integer_parameter, parse_space, spaces_of


def build_model(config: RunConfig, found: Mapping[str, Any] | None = None) -> Model:
    """Build the model of a config, with values by dotted name on top.

    Raises:
        ParameterError: parameters break their rules.
    """
    (name,) = config.models
    parameters = merge(config.set.get(name, {}), nested(found or {}))
    return model_class(name)(preset=config.preset.get(name), **parameters)


def search_space(config: RunConfig, asked: Mapping[str, Mapping[str, Any]], *, only: bool = False) -> dict[str, Space]:
    """Return where each parameter of the one model of a config is searched.

    What ``--set`` gives is not searched. A declared space whose ends the model refuses beside the other parameters
    is left out; one that was asked for is a mistake.

    Raises:
        ParameterError: what is wrong with the spaces that were asked for, all together, or nothing is left to search.
    """
    (name,) = config.models
    model = build_model(config)
    fixed = flatten(config.set.get(name, {}))
    mistakes = [
        f"--search: {owner} is not what is tuned, which is {name}; leave it out" for owner in asked if owner != name
    ]
    own: dict[str, Space] = {}
    for parameter, text in asked.get(name, {}).items():
        try:
            own[parameter] = parse_space(f"--search: {name}.{parameter}", text)
        except ParameterError as error:
            mistakes.append(str(error))
    mistakes += [f"--search: {name}.{one} has one value by --set; give one of them" for one in own if one in fixed]
    mistakes += refusals(config, {parameter: one for parameter, one in own.items() if parameter not in fixed})
    if mistakes:
        raise ParameterError("\n".join(mistakes))
    declared = {} if only else {one: space for one, space in spaces_of(model.config).items() if one not in fixed}
    return _some(name, {one: space for one, space in declared.items() if not any(refusals(config, {one: space}))} | own)


def suited(
    config: RunConfig, spaces: Mapping[str, Space], asked: Mapping[str, Any], train: Sessions
) -> dict[str, Space]:
    """Return the spaces without the declared ones that do not suit a log, as a decay by days where it has no times.

    Raises:
        ParameterError: one that was asked for does not suit it, or nothing is left to search.
    """
    mistakes = list(refusals(config, {name: space for name, space in spaces.items() if name in asked}, train))
    if mistakes:
        raise ParameterError("\n".join(mistakes))
    suits = {
        name: space
        for name, space in spaces.items()
        if name in asked or not any(refusals(config, {name: space}, train))
    }
    return _some(config.models[0], suits)


def _some(name: str, spaces: dict[str, Space]) -> dict[str, Space]:
    if not spaces:
        raise ParameterError(
            f"{name}: has nothing to search; name a parameter, as in --search {name}.NAME=LOW..HIGH "
            f"(see: segue models {name})"
        )
    return spaces


def refusals(config: RunConfig, spaces: Mapping[str, Space], train: Sessions | None = None) -> Iterator[str]:
    """Say what the model refuses of the ends of spaces, each beside the other parameters as they are."""
    for name, space in spaces.items():
        for value in space.ends:
            try:
                model = build_model(config, {name: value})
                if train is not None:
                    model.check(train)
            except (InputError, EmptyDataError) as error:
                yield f"--search: {error}"
                break


def suggest(trial: Trial, config: RunConfig, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """Draw a value for each parameter, or return those that the trial has already."""
    kind = type(build_model(config).config)
    return {name: _value(trial, name, space, kind) for name, space in spaces.items()}


def _value(trial: Trial, name: str, space: Space, kind: type) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(name, space.values)
    info = field_of(kind, name)
    among_free_values = info is None and isinstance(space.low, int) and isinstance(space.high, int)
    if among_free_values or is_integer_parameter(kind, name):
        return trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(name, float(space.low), float(space.high), log=space.log)
