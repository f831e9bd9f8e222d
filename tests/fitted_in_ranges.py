"""Models fitted on an engine beside the same models fitted in memory."""

from pathlib import Path
from typing import Any

import segue
from protocols.test_out_of_core import content, in_pieces
from segue.data.events import Events
from segue.data.partitions import OnDisk
from segue.errors import InputError
from segue.experiment.production import fit_in_ranges
from segue.experiment.training_plan import plan_training

Files = dict[str, bytes] | str
"""The files of an artifact, or the message of the error."""


def configured(name: str, cleaning: dict[str, Any] | None = None, **parameters: Any) -> segue.RunConfig:
    """Return a configuration of one model, whose rows in the index are short enough to be cut."""
    values = {"sample_size": 7, "updatable": True} | parameters
    return segue.RunConfig(models=[name], set={name: values, "protocol": {"cleaning": cleaning or {}}})


def fitted(events: Events, config: segue.RunConfig, out: Path) -> Files:
    """Fit a model in memory."""
    try:
        segue.fit(events, like=config, out=out, log_name="shop")
    except InputError as error:
        return str(error)
    return content(out)


def fitted_on(engine: OnDisk, events: Events, config: segue.RunConfig, out: Path, partitions: int) -> Files:
    """Fit a model on an engine."""
    source: Any = in_pieces(events, partitions)
    plan = plan_training(config)
    try:
        fit_in_ranges(source, plan, out, engine, memory=1 << 30, log_name="shop", partitions=partitions)
    except InputError as error:
        return str(error)
    return content(out)
