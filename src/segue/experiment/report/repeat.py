"""The configuration and command that repeat a run."""

from typing import Any

from pydantic import BaseModel

from segue import strict_yaml
from segue.errors import InputError
from segue.experiment.config import PROTOCOL
from segue.experiment.prepared_data import protocol_settings
from segue.experiment.results import Results
from segue.models.registry import model_class
from segue.protocols.protocol import Protocol


def repeat(results: Results) -> str | None:
    """Return the run as a YAML file for ``segue run --config``, or None where no such run gives these results.

    It names the parameters that are not at their defaults.
    """
    asked = [row for row in results.models if not row.baseline]
    if not all(row.label == row.model for row in asked):
        return None
    # Popularity in the last days has a label of its own: the baselines bring it, no setting reaches it.
    settable = [row for row in results.models if row.label == row.model]
    try:
        settings = {row.label: _changes(model_class(row.model)(**row.config).config) for row in settable}
        name, own = protocol_settings(Protocol.of(results.protocol))
    except (InputError, TypeError):  # Another version's results: its parameters are not ours.
        return None
    settings = {PROTOCOL: own, **settings}
    config: dict[str, Any] = {
        "log": results.log,
        "items": results.items,
        "item_vectors": results.item_vectors,
        "models": [row.label for row in asked],
        "baselines": any(row.baseline for row in results.models),
        "protocol": name,
        "seed": results.seed,
        "set": {owner: values for owner, values in settings.items() if values},
    }
    config = {name: value for name, value in config.items() if value not in (None, {}, [])}
    return strict_yaml.dumps(config)


def _changes(config: BaseModel, usual: BaseModel | None = None) -> dict[str, Any]:
    """Return the parameters that differ from the usual ones, sections as mappings."""
    usual = usual or type(config).model_construct()
    changes: dict[str, Any] = {}
    for name in type(config).model_fields:
        value, other = getattr(config, name), getattr(usual, name, None)
        if isinstance(value, BaseModel):
            if section := _changes(value, other if isinstance(other, type(value)) else None):
                changes[name] = section
        elif value != other:
            changes[name] = config.model_dump(mode="json", include={name})[name]
    return changes
