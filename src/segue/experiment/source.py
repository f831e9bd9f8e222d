"""Where the data of a recipe come from: a log that is prepared, or a folder that holds a prepared one."""

from collections.abc import Mapping
from typing import Any

from segue.data.events import Events
from segue.errors import ParameterError
from segue.experiment.recipe import PROTOCOL, Recipe, read_log
from segue.parameters import KIND, merge
from segue.protocols.dataset import Dataset, dataset_at, open_dataset
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol


def with_prepared(recipe: Recipe, events: Events | None = None) -> tuple[Recipe, Dataset | None]:
    """Open the data set that a recipe names instead of a log; if it names a log, nothing is opened.

    Args:
        recipe: the recipe.
        events: the log itself; the recipe's ``log`` is only its name then.

    Returns:
        The recipe, with the name of the log behind the data set and the metric by which its protocol chooses epochs;
        and the data set, measured as the recipe says.

    Raises:
        ParameterError: the recipe says how to read or prepare a log, too.
        ArtifactError: the folder is damaged, or an incompatible version wrote it.
    """
    folder = None if events is not None or recipe.log is None else dataset_at(recipe.log)
    if folder is None:
        return recipe, None
    opened = open_dataset(folder)
    settings = recipe.set.get(PROTOCOL, {})
    protocol = None if recipe.protocol == opened.protocol.name else recipe.protocol
    mistakes = [
        f"{option}: cannot be used with {folder}, which is prepared already; leave it out, or name the log"
        for option, given in (
            ("--protocol", protocol),
            ("--format", recipe.format),
            ("--columns", recipe.columns),
            ("--items", recipe.items),
            *((f"--set {PROTOCOL}.{name}", True) for name, _ in opened.prepared_otherwise(settings)),
        )
        if given
    ]
    if mistakes:
        raise ParameterError("\n".join(mistakes))
    data = opened.measured_by(settings)
    metric = data.protocol.valid_metric
    chosen = recipe.set if metric is None else merge(recipe.set, {PROTOCOL: {"valid_metric": metric}})
    return recipe.model_copy(update={"log": data.log or recipe.log, "set": chosen}), data


def protocol_settings(protocol: Protocol) -> tuple[str | None, dict[str, Any]]:
    """Return a protocol as a recipe holds it: its name, and the parameters that the named protocol does not have."""
    name = protocol.name if protocol.name in Protocol.presets else None
    usual = (Protocol() if name is None else Protocol.named(name)).model_dump(mode="json")
    values = protocol.model_dump(mode="json", exclude={"name"})
    return name, {
        part: own for part, value in values.items() if (own := _changes(usual[part], value)) not in ({}, None)
    }


def _changes(usual: Any, value: Any) -> Any:
    """Return what a part of a protocol has that the usual one has not; a split of another kind has everything."""
    if not isinstance(value, dict):
        return None if value == usual else value
    if value.get(KIND) != usual.get(KIND):
        return value
    return {name: one for name, one in value.items() if one != usual[name]}


def prepare_log(recipe: Recipe, events: Events | None = None) -> Dataset:
    """Read the log of a recipe, unless it is given, and prepare it.

    Raises:
        InputError: the recipe names no log, or the log or the protocol breaks a rule.
    """
    settings: Mapping[str, Any] = recipe.set.get(PROTOCOL, {})
    return prepare(events or read_log(recipe), recipe.protocol, **settings)
