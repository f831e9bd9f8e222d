"""The models of a run and their runtime, built from its configuration."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from segue.data.cases import Cases
from segue.data.sessions import SECONDS_PER_DAY, Sessions
from segue.data.vocabulary import VECTOR
from segue.errors import InputError, ParameterError, UnknownNameError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.results import Epoch
from segue.models.base import Model
from segue.models.blend import Blend
from segue.models.popularity import Popularity
from segue.models.registry import COMPOSED, model_class, model_names
from segue.parameters import describe, flatten, merge, typed
from segue.progress import Progress
from segue.protocols.protocol import Protocol
from segue.training.runtime import EpochRecord, Runtime

logger = logging.getLogger(__name__)

BASELINES = ("popularity", "markov", "sequential-rules", "v-sknn")
"""Trained in every run unless they are turned off; so is popularity in the last days, where the log has times."""

_FEWEST_BLENDED = 2
_SHOWN = 20
"""Owners of parameters that a message names; the others are counted."""


@dataclass(frozen=True)
class ModelSpec:
    """A model to train, and its name in this run.

    Attributes:
        label: name of the model in the run.
        model: the model, not fitted yet.
        baseline: whether the run added it by itself.
        extra: what decides the outcome besides log, model, parameters and seed, ready for JSON.
    """

    label: str
    model: Model
    baseline: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the model."""
        self.model.fit(train, valid=valid, seed=seed, runtime=runtime)

    def after(self, fitted: Mapping[str, tuple[Model, Sequence[Epoch]]]) -> "ModelSpec":
        """Return the model to train after others of the run, each with its epochs."""
        return self


@dataclass(frozen=True)
class BlendSpec(ModelSpec):
    """A blend of models that the run has trained.

    Attributes:
        fitted: these models and their epochs, by label.
        added: the model that was added to the only requested one.
    """

    fitted: Mapping[str, tuple[Model, Sequence[Epoch]]] = field(default_factory=dict)
    added: str | None = None

    def after(self, fitted: Mapping[str, tuple[Model, Sequence[Epoch]]]) -> "BlendSpec":
        """Return the blend with its models."""
        assert isinstance(self.model, Blend)
        return replace(self, fitted={label: fitted[label] for label in self.model.parts})

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Choose the weights; the epochs of the models are those of the blend as well."""
        assert isinstance(self.model, Blend)
        for label, (_, curve) in self.fitted.items():
            for epoch in curve:
                record = EpochRecord(**epoch.model_dump(exclude={"stage"}))
                runtime.part(label if epoch.stage == runtime.stage else f"{label}, {epoch.stage}").end_epoch(record)
        added = f"; {self.added} was added, as --model names one model to blend" if self.added else ""
        logger.info("%s: of %s%s", self.label, ", ".join(self.fitted), added)
        self.model.take([model for model, _ in self.fitted.values()], valid, runtime.progress)


def build_runtime(config: RunConfig, *, resume: bool = False, progress: Progress | None = None) -> Runtime:
    """Return the runtime that a configuration names.

    Raises:
        ParameterError: this machine cannot do it, or only slowly.
    """
    runtime = Runtime(
        device=config.device,
        precision=config.precision,
        deterministic=config.deterministic,
        checkpoint_seconds=config.checkpoint_seconds,
        resume=resume,
        progress=progress or Progress(),
    )
    runtime.check()
    return runtime


def build_specs(config: RunConfig, *, alone: bool = False) -> list[ModelSpec]:
    """Build the requested models, and the baselines that are missing among them.

    Args:
        config: names the models and sets their parameters.
        alone: exactly one model is trained, so messages do not suggest to add another.

    Raises:
        ParameterError: wrong names and parameters, all together.
    """
    requested = list(dict.fromkeys(config.models))
    names = list(dict.fromkeys([*requested, *(BASELINES if config.baselines else ())]))
    if not names:
        raise ParameterError("--model: names no model and the baselines are off; name one (see: segue models)")
    remedy = (
        f"is not the model that is trained here, {names[0]}; leave it out"
        if alone
        else "is not trained in this run; add it to --model"
    )
    specs: list[ModelSpec] = []
    problems = _unused("--set", config.set, [PROTOCOL, *names], remedy)
    problems += _unused("--preset", list(config.preset), names, remedy)
    for name in sorted(names, key=lambda name: name == Blend.name):  # A blend comes after its models.
        try:
            if name == Blend.name and not problems:
                specs.append(_blend(specs, config))
                continue
            kind = model_class(name)
            model = kind(preset=config.preset.get(name), **_parameters(kind, config))
            specs.append(ModelSpec(name, model, baseline=name not in requested))
        except InputError as error:
            problems += error.lines
    _raise(problems)
    return specs


def _blend(specs: Sequence[ModelSpec], config: RunConfig) -> ModelSpec:
    """Return a blend of models of a run: those that its parameter ``models`` names, else all requested ones.

    With one requested model and no ``models``, the best baseline of most logs, V-SKNN, is added. A blend whose models
    are not all in the run, or have parameters of its own, trains them itself.
    """
    own, preset = _parameters(Blend, config), config.preset.get(Blend.name)
    others = {spec.label: spec for spec in specs if spec.model.name not in COMPOSED}
    named = own.get("models", [label for label, spec in others.items() if not spec.baseline])
    if not isinstance(named, list) or not all(isinstance(name, str) and name in others for name in named):
        return ModelSpec(Blend.name, Blend(preset=preset, **own))
    added = "v-sknn" if len(named) == 1 and "models" not in own and "v-sknn" in others else None
    named = [*named, *([added] if added else [])]
    if len(named) == 1 and not own.keys() & {"models", "parameters"}:
        raise ParameterError(
            f"--model: must name two or more models to blend, got {named[0]}; add another one, such as v-sknn"
        )
    if len(named) < _FEWEST_BLENDED or "parameters" in own:
        return ModelSpec(Blend.name, Blend(preset=preset, **own))
    parameters = {name: others[name].model.config.model_dump(mode="json") for name in named}
    blend = Blend(preset=preset, **{**own, "models": named, "parameters": parameters})
    return BlendSpec(Blend.name, blend, added=added)


def _parameters(kind: type[Model], config: RunConfig) -> dict[str, Any]:
    """Return the parameters set for a model; the protocol's validation metric chooses its best epoch."""
    preset: Mapping[str, Any] = Protocol.presets.get(config.protocol or "", {})
    metric = {**preset, **config.set.get(PROTOCOL, {})}.get("valid_metric")
    training = getattr(kind.Config.model_construct(), "training", None)
    chosen: dict[str, Any] = {"training": {"metric": metric}} if hasattr(training, "metric") else {"metric": metric}
    if metric is None or not (hasattr(training, "metric") or "metric" in kind.Config.model_fields):
        chosen = {}
    return merge(chosen, config.set.get(kind.name, {}))


def recent_popularity_specs(train: Sessions) -> list[ModelSpec]:
    """Return the baseline that depends on the log: popularity in its last days, where it has times."""
    if train.times is None:
        return []
    # "Recent" is the last week of a log of some weeks, the last day of a shorter one.
    days = 7 if train.times.max() - train.times.min() >= 21 * SECONDS_PER_DAY else 1
    return [ModelSpec(f"popularity-{days}d", Popularity(window_days=float(days)), baseline=True)]


def check_specs(specs: Sequence[ModelSpec], train: Sessions) -> None:
    """Refuse models that cannot learn from the log.

    Raises:
        ParameterError: the parameters that do not suit it, all together.
    """
    problems = []
    for spec in specs:
        try:
            spec.model.check(train)
        except ParameterError as error:
            problems += error.lines
    _raise(problems)
    if VECTOR in train.vocabulary.table.columns and not any(spec.model.uses_item_vectors for spec in specs):
        logger.warning(
            "no model of this run uses the vectors of the items; a sequence encoder does with, for example, --set "
            "sasrec.item_vectors=features"
        )


def _unused(option: str, owners: Iterable[str], names: Sequence[str], remedy: str) -> list[str]:
    """Return a message for each owner of parameters that this run does not train."""
    known, unused = set(model_names()), [owner for owner in owners if owner not in names]
    problems = []
    for owner in unused[:_SHOWN]:
        given = flatten({owner: owners[owner]}) if isinstance(owners, Mapping) else {}
        problem = f"{owner} {remedy}" if owner in known else _misplaced(owner, given, names) or _no_model(owner, names)
        problems.append(f"{option}: {problem}")
    return [*problems, *([f"{option}: ... and {len(unused) - _SHOWN:,} more"] if len(unused) > _SHOWN else [])]


def _misplaced(owner: str, given: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Say what to write if a name is not that of a model but of a parameter of one; None if it is of none."""
    configs: dict[str, type[BaseModel]] = {name: model_class(name).Config for name in names if name in model_names()}
    if PROTOCOL in names:
        configs[PROTOCOL] = Protocol
    owning = {
        name: {one.name for one in describe(config)} for name, config in configs.items() if owner in config.model_fields
    }
    found = [(name, one) for one in given for name in owning]
    if not found:
        return None
    name, one = next(((name, one) for name, one in found if one in owning[name]), found[0])
    return f"{owner} is no model but a parameter of {name}; write {name}.{one}={typed(given[one])}"


def _no_model(owner: str, names: Sequence[str]) -> UnknownNameError:
    """Explain that a name is not that of a model, with similar ones."""
    known = {*model_names(), *names} - {PROTOCOL}
    near = UnknownNameError("model", owner, {*known, *names})
    return near if f"'{PROTOCOL}'" in str(near) else UnknownNameError("model", owner, known)


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise ParameterError(*problems)
