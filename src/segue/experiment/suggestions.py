"""What suits a log, by its statistics: the presets of networks, and the models that are worth a try."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segue.experiment.config import RunConfig
from segue.models.registry import COMPOSED, model_class
from segue.protocols.dataset import Dataset

Kind = Literal["sessions", "histories"]
Preset = Literal["sessions", "beauty", "ml-1m"]

_LONG = 30
"""Mean length from which sessions are treated like histories, and histories are long."""
_SAMPLE = 1_000_000
"""Most recent events that repeats are counted in."""

COUNT_BASED = ("popularity", "session-popularity", "markov", "sequential-rules", "item-knn", "v-sknn", "vstan", "stan")
"""Models that learn by counting, cheapest first."""

NETWORKS: Mapping[Preset, Mapping[str, float]] = {
    "sessions": {"core": 0.08, "gru4rec": 0.05, "fmlp-rec": 0.06, "sasrec": 0.04, "gce-gnn": 0.08},
    "beauty": {"sasrec": 0.30, "hstu": 0.30, "gce-gnn": 0.30, "gru4rec": 0.20, "core": 0.20, "fmlp-rec": 0.30},
    "ml-1m": {"sasrec": 0.45, "hstu": 0.45, "gru4rec": 0.35},
}
"""Networks that are worth a try, by the preset that suits the log; each of them has it. The value is the gain to
expect: how much better than the best count-based model a blend of both is, as a share. The values are rounded from
docs/results.md; they only decide which network is trained first."""


@dataclass(frozen=True)
class Traits:
    """What decides which parameters suit a log.

    Attributes:
        mean_length: mean number of events of a training session.
        items: number of items.
        repeats: share of the events whose item the session already had.
        excludes_seen: whether the test excludes the items of the session.
    """

    mean_length: float
    items: int
    repeats: float
    excludes_seen: bool

    @classmethod
    def of(cls, data: Dataset) -> "Traits":
        """Return the traits of a prepared log."""
        train = data.train
        first = int(np.searchsorted(train.offsets, len(train.items) - _SAMPLE))
        recent = train.items[train.offsets[first] :]
        session = np.repeat(np.arange(len(train) - first), train.lengths[first:])
        distinct = len(np.unique(session * (len(train.vocabulary) + 1) + recent))
        return cls(
            mean_length=len(train.items) / len(train),
            items=len(train.vocabulary),
            repeats=1 - distinct / len(recent),
            excludes_seen=data.protocol.cases.exclude_seen,
        )

    @property
    def kind(self) -> Kind:
        """Whether the sessions are histories of users, or visits."""
        return "histories" if self.excludes_seen or self.mean_length >= _LONG else "sessions"

    @property
    def preset(self) -> Preset:
        """Name of the presets that suit the log: those for sessions, or for many short or for long histories."""
        if self.kind == "sessions":
            return "sessions"
        return "ml-1m" if self.mean_length >= _LONG else "beauty"

    def __str__(self) -> str:
        seen = "seen items are excluded" if self.excludes_seen else f"{self.repeats:.0%} of the events repeat an item"
        return f"{self.kind} of {self.mean_length:.1f} events on average, {self.items:,} items, {seen}"


def suggested_presets(names: Iterable[str], preset: str) -> dict[str, str]:
    """Return a preset by the name of each model that has it."""
    models = {name: model_class(name) for name in names if name not in COMPOSED}
    return {name: preset for name, model in models.items() if preset in model.Config.presets}


def preset_hint(config: RunConfig, data: Dataset) -> str | None:
    """Return a remark on presets that suit the log, for requested models without any parameters; None if none do."""
    plain = [name for name in config.models if name not in config.preset and name not in config.set]
    if not plain:
        return None
    traits = Traits.of(data)
    found = suggested_presets(plain, traits.preset)
    if not found:
        return None
    presets = ",".join(f"{name}={preset}" for name, preset in found.items())
    return f"presets that suit this log ({traits}): --preset {presets}"
