"""Settings of models and of their training -> parameters of segue."""

from collections.abc import Iterator, Mapping
from typing import Any

from segue.errors import ParameterError
from segue.parameters import merge, typed
from segue.recbole.models import Counterpart
from segue.recbole.protocol import choosing_metric
from segue.recbole.settings import Given

_OPTIMIZERS: Mapping[str, str] = {"adam": "adamw", "adamw": "adamw", "adagrad": "adagrad"}
_LOSSES: Mapping[str, str] = {"CE": "cross-entropy", "BPR": "bpr"}
_NEGATIVES = "train_neg_sample_args"


def parameters_of(model: Counterpart, given: Given) -> dict[str, Any]:
    """Return the parameters of a model.

    Raises:
        ParameterError: settings contradict each other or are invalid.
    """
    training: dict[str, Any] = {}
    if model.trained == "by prefix":
        training = _by_prefix(given, model.loss)
    elif model.trained == "by triple":
        training = {"epochs": given.take("epochs"), **_negatives(given)}
    tree = merge({"training": training} if training else {}, model.fixed)
    for setting, (target, default) in model.parameters.items():
        value = given.take(setting, default)
        for path, part in [(target, value)] if isinstance(target, str) else _apart(setting, target, value):
            section, _, name = path.rpartition(".")
            tree = merge(tree, {section: {name: part}} if section else {name: part})
    return tree


def remarks_on(model: Counterpart, given: Given) -> Iterator[str]:
    """Yield notes on settings of a model that are honoured in part."""
    if model.differs:
        yield f"{model.segue} for RecBole's {model.recbole}: {model.differs}"
    if not model.recbole:
        yield f"{model.segue}: has no counterpart in RecBole; it keeps segue's parameters"
    for setting, wanted in model.only.items():
        if (value := given.take(setting, wanted)) != wanted:
            yield f"RecBole's {setting} ({typed(value)}) is not honoured: {model.segue} uses {typed(wanted)}"
    if model.trained == "by prefix":
        yield from _on_training(given)


def _by_prefix(given: Given, usual_loss: str) -> dict[str, Any]:
    """Return the training section of a sequence model."""
    clip = given.take("clip_grad_norm") or {}
    learner, metric = str(given.take("learner")).lower(), choosing_metric(given.take("valid_metric"))
    return {
        "epochs": given.take("epochs"),
        "batch_size": given.take("train_batch_size"),
        "learning_rate": given.take("learning_rate"),
        "optimizer": _OPTIMIZERS.get(learner, "adamw"),
        "weight_decay": given.take("weight_decay"),
        "clip_norm": clip.get("max_norm") if isinstance(clip, Mapping) else clip,
        "patience": _patience(given),
        **({"metric": metric} if metric else {}),
        **_loss(given, usual_loss),
    }


def _patience(given: Given) -> int | None:
    """Return the patience: RecBole stops after more than stopping_step validations in a row without improvement."""
    step, waited = given.take("eval_step"), given.take("stopping_step")
    return (waited + 1) * step if step > 0 else None


def _loss(given: Given, usual: str) -> dict[str, Any]:
    """Return the loss and its negatives."""
    asked = given.take("loss_type", usual)
    if asked not in _LOSSES:
        raise ParameterError(f"loss_type: must be CE or BPR, got {typed(asked)}")
    negatives = given.sections.get(_NEGATIVES)
    if asked == "CE":
        if negatives not in (None, "None") and negatives.get("distribution", "uniform") not in (None, "None"):
            raise ParameterError(
                f"{_NEGATIVES}: must be ~ with loss_type CE, which uses all items as negatives, got "
                f"{typed(negatives)}; RecBole also refuses it; remove it, or set loss_type to BPR"
            )
        return {"loss": _LOSSES[asked]}
    return {"loss": {"kind": _LOSSES[asked], "targets_per_draw": 1, **_negatives(given)}}


def _negatives(given: Given) -> dict[str, Any]:
    """Return how negatives are drawn."""
    if _NEGATIVES in given.sections and given.sections[_NEGATIVES] in (None, "None"):
        raise ParameterError(
            f"{_NEGATIVES}: must say how negatives are drawn with the loss BPR, got ~; leave it out for one uniform "
            "negative, which is RecBole's default"
        )
    names = ("distribution", "sample_num", "alpha", "dynamic", "candidate_num")
    distribution, number, alpha, dynamic, candidates = (given.take(f"{_NEGATIVES}.{name}") for name in names)
    if distribution not in ("uniform", "popularity"):
        raise ParameterError(f"{_NEGATIVES}.distribution: must be uniform or popularity, got {typed(distribution)}")
    if dynamic and candidates < 1:
        raise ParameterError(f"{_NEGATIVES}.candidate_num: must be at least 1 if dynamic is true, got {candidates}")
    return {
        "n_samples": number,
        "alpha": alpha if distribution == "popularity" else 0.0,
        "candidate_num": candidates if dynamic else 1,
    }


def _on_training(given: Given) -> Iterator[str]:
    learner, clip = given.take("learner"), given.take("clip_grad_norm")
    if str(learner).lower() not in _OPTIMIZERS:
        yield f"RecBole's learner ({typed(learner)}) is not honoured: adamw is used instead; adagrad is also supported"
    if isinstance(clip, Mapping) and clip.get("norm_type", 2) != 2:
        yield f"RecBole's clip_grad_norm.norm_type ({clip['norm_type']}) is not honoured: the Euclidean norm is used"
    if given.take("eval_step") < 1:
        yield "RecBole's eval_step is not honoured: every epoch is validated, and the best epoch is kept"


def _apart(setting: str, names: tuple[str, ...], values: Any) -> list[tuple[str, Any]]:
    if not isinstance(values, list) or len(values) != len(names):
        raise ParameterError(f"{setting}: must be a list of {len(names)} numbers, got {typed(values)}")
    return list(zip(names, values, strict=True))
