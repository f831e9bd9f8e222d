"""Configuration of a run, from command line options, a YAML file or Python."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from segue import strict_yaml
from segue.errors import ParameterError
from segue.parameters import merge, nested
from segue.printable import short
from segue.validation import build

PROTOCOL = "protocol"
"""Prefix of the parameters of the protocol, in addition to the names of the models."""


_MAX_PARTS = 10
"""Parts of the name of a parameter."""


class RunConfig(BaseModel):
    """Everything that decides the outcome of a run, except the content of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    log: str | None = None
    """File, folder or name of the log, or the folder of a data set that ``segue prepare`` wrote."""
    format: str | None = None
    """Format of the log; recognised from the file where it is not given."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column names by role, for example ``{"session": "sid", "item": "iid", "time": "ts"}``."""
    time_format: str | None = None
    """Format of the times: s, ms, us, ns, yyyymmdd, mmdd, excel or strptime codes; recognised where it is not given."""
    unit: Literal["session", "user"] | None = None
    """What one session is, ``session`` (a visit) or ``user`` (a history); recognised where it is not given."""
    quoting: Literal["auto", "double", "none"] = "auto"
    """How double quotes in delimited text are read: auto, double or none."""
    items: str | None = None
    """Table of the items, their ids and metadata; a file, or the name of a file in ``$SEGUE_DATA``."""
    item_vectors: str | None = None
    """Table of one vector per item, from a text or image model; a file, or the name of a file in ``$SEGUE_DATA``."""
    models: list[str] = Field(default_factory=list)
    """Names of the models to train."""
    protocol: str | None = None
    """Name of the protocol; picked from the kind of log where it is not given."""
    preset: dict[str, str] = Field(default_factory=dict)
    """Preset by model name."""
    set: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Parameters by model name, and by part under ``protocol``."""
    baselines: bool = True
    """Also train the baselines; models that lose to one of them are flagged."""
    slices: list[str] = Field(default_factory=list)
    """Further ways to slice the test cases: weekday, day, or a column of the log or its items."""
    seed: int = Field(0, ge=0)
    """Seed of every random draw."""
    device: str = "auto"
    """Device of the neural models."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the neural models: auto is fp32 on a CPU, and bf16 on a GPU that has instructions for it."""
    deterministic: bool = False
    """Use only deterministic algorithms, so that training on a GPU is reproducible; a CPU does not need this option."""
    checkpoint_seconds: float = Field(60.0, ge=0, allow_inf_nan=False)
    """Least time between two checkpoints inside an epoch; each epoch ends with one."""
    chosen_epochs: dict[str, int] = Field(default_factory=dict)
    """Epochs that validation chose in a search, by training stage. `segue fit` uses them; `segue run` chooses again."""
    track: list[Literal["tensorboard", "mlflow"]] = Field(default_factory=list)
    """Trackers that also log the run."""
    notes: list[str] = Field(default_factory=list)
    """Remarks on how the configuration was made, repeated in the results; one sentence each."""

    @property
    def log_name(self) -> str:
        """Name of the log without folders and extensions."""
        return Path(self.log or "").name.split(".")[0] or "log"


def load_config(path: Path | None, options: Mapping[str, Any]) -> RunConfig:
    """Build a configuration from a YAML file and options on top of it; an option that is None was not given.

    Raises:
        ParameterError: the file cannot be read, or a key or value in it breaks its rule.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return build(RunConfig, "config", parameters=merge(_read_yaml(path), given))


_EXAMPLES = {"--preset": "gru4rec=sessions", "--columns": "session=visit_no"}


def parse_assignments(option: str, assignments: list[str]) -> dict[str, str]:
    """Turn ``["a=1", "b=2"]``, or ``["a=1,b=2"]``, into a mapping; other commas belong to the values.

    Raises:
        ParameterError: an entry is not of the form name=value.
    """
    pairs = {}
    for entry in (part for text in assignments for part in re.split(r",(?=[^,=]*=)", text)):
        name, separator, value = entry.partition("=")
        if not (separator and name.strip() and value.strip()):
            example = f" such as {_EXAMPLES[option]}" if option in _EXAMPLES else ""
            raise ParameterError(f"{option}: must be name=value{example}, got {short(entry)}")
        pairs[name.strip()] = value.strip()
    return pairs


def parse_settings(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Turn ``["gru4rec.training.epochs=5"]`` into ``{"gru4rec": {"training": {"epochs": 5}}}``.

    Values are read as YAML, so ``5``, ``0.1``, ``true`` and ``[1, 2]`` have their types; ``none`` is no value. The
    order does not matter: ``protocol.split=ratio`` and ``protocol.split.test_share=0.2`` go together.

    Raises:
        ParameterError: an entry is not of the form owner.name=value.
    """
    found: dict[str, Any] = {}
    for entry in settings:
        name, separator, text = entry.partition("=")
        path = name.strip().split(".")
        if not separator or not 2 <= len(path) <= _MAX_PARTS or not all(path):
            raise ParameterError(f"--set: must be OWNER.NAME=VALUE such as gru4rec.hidden_size=128, got {short(entry)}")
        found[".".join(path)] = _yaml_value(entry, text)
    return nested(found)


def _yaml_value(entry: str, text: str) -> Any:
    if text.strip().lower() == "none":
        return None
    try:
        return strict_yaml.loads(text)
    except ValueError as error:
        raise ParameterError(f"--set: the value in {short(entry)} cannot be read: {error}") from error


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = strict_yaml.read(path)
    except OSError as error:
        raise ParameterError(f"--config: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ParameterError(f"--config: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"--config: {path} must contain names and values, got {type(content).__name__}")
    return content
