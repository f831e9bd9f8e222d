"""The search space: what a model declares, changed by the options of a user, checked before anything is trained."""

from collections.abc import Iterator, Mapping
from typing import Any

from optuna import Trial

from segue.data.sessions import Sessions
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.experiment.config import RunConfig
from segue.models.base import Model
from segue.models.registry import model_class
from segue.parameters import field_of, flatten, merge, nested
from segue.spaces import Choice, Space, is_integer_parameter, parse_space, spaces_of


def build_model(run_config: RunConfig, found: Mapping[str, Any] | None = None) -> Model:
    """Build the model of a run configuration, with values by dotted name on top.

    Raises:
        ParameterError: parameters break their rules.
    """
    (name,) = run_config.models
    parameters = merge(run_config.set.get(name, {}), nested(found or {}))
    return model_class(name)(preset=run_config.preset.get(name), **parameters)


def search_space(
    run_config: RunConfig, overrides: Mapping[str, Mapping[str, Any]], *, only: bool = False
) -> dict[str, Space]:
    """Return the search space of the one model of a run configuration.

    What ``--set`` gives is not searched. A declared space whose ends the model refuses beside the other parameters
    is left out; an override of that kind is a problem.

    Args:
        run_config: with one model.
        overrides: spaces by model and parameter, as they are typed.
        only: whether declared spaces are left out.

    Raises:
        ParameterError: all problems of the overrides together, or nothing is left to search.
    """
    (name,) = run_config.models
    model = build_model(run_config)
    fixed = flatten(run_config.set.get(name, {}))
    problems = [
        f"--search: {owner} is not what is tuned, which is {name}; leave it out" for owner in overrides if owner != name
    ]
    own: dict[str, Space] = {}
    for parameter, text in overrides.get(name, {}).items():
        try:
            own[parameter] = parse_space(f"--search: {name}.{parameter}", text)
        except ParameterError as error:
            problems += error.lines
    problems += [f"--search: {name}.{one} has one value by --set; give one of them" for one in own if one in fixed]
    problems += space_problems(run_config, {parameter: one for parameter, one in own.items() if parameter not in fixed})
    if problems:
        raise ParameterError(*problems)
    declared = {} if only else {one: space for one, space in spaces_of(model.config).items() if one not in fixed}
    return _non_empty(
        name, {one: space for one, space in declared.items() if not any(space_problems(run_config, {one: space}))} | own
    )


def applicable(
    run_config: RunConfig, spaces: Mapping[str, Space], overrides: Mapping[str, Any], train: Sessions
) -> dict[str, Space]:
    """Return the spaces without declared ones that do not fit a log, such as a decay by days without times.

    Raises:
        ParameterError: an override does not fit it, or nothing is left to search.
    """
    problems = list(
        space_problems(run_config, {name: space for name, space in spaces.items() if name in overrides}, train)
    )
    if problems:
        raise ParameterError(*problems)
    suits = {
        name: space
        for name, space in spaces.items()
        if name in overrides or not any(space_problems(run_config, {name: space}, train))
    }
    return _non_empty(run_config.models[0], suits)


def _non_empty(name: str, spaces: dict[str, Space]) -> dict[str, Space]:
    if not spaces:
        raise ParameterError(
            f"{name}: has nothing to search; name a parameter, as in --search {name}.NAME=LOW..HIGH "
            f"(see: segue models {name})"
        )
    return spaces


def space_problems(run_config: RunConfig, spaces: Mapping[str, Space], train: Sessions | None = None) -> Iterator[str]:
    """Yield the rules that the ends of each space break, the other parameters being as they are."""
    for name, space in spaces.items():
        for value in space.ends:
            try:
                model = build_model(run_config, {name: value})
                if train is not None:
                    model.check(train)
            except (InputError, EmptyDataError) as error:
                yield from (f"--search: {line}" for line in error.lines)
                break


def suggest(trial: Trial, run_config: RunConfig, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """Sample a value for each parameter, or return those that the trial has already."""
    config = type(build_model(run_config).config)
    return {name: _value(trial, name, space, config) for name, space in spaces.items()}


def _value(trial: Trial, name: str, space: Space, config: type) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(name, space.values)
    info = field_of(config, name)
    among_free_values = info is None and isinstance(space.low, int) and isinstance(space.high, int)
    if among_free_values or is_integer_parameter(config, name):
        return trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(name, float(space.low), float(space.high), log=space.log)
