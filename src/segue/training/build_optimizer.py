"""The optimizer that the training section of a model names."""

from collections.abc import Callable, Iterable, Mapping, Set

from torch import nn

from segue.training.config import TrainingConfig
from segue.training.optimizers import AdamW, Optimizer, RowAdagrad, SplitOptimizer

MakeAdagrad = Callable[[Iterable[nn.Parameter], float], RowAdagrad]


def build_optimizer(
    plan: TrainingConfig, weights: Mapping[str, nn.Parameter], by_adagrad: Set[str], adagrad: MakeAdagrad
) -> Optimizer:
    """Return an optimizer.

    Args:
        plan: its name and its learning rates.
        weights: the weights to learn, by name.
        by_adagrad: names of those that Adagrad learns; AdamW learns all others.
        adagrad: makes Adagrad for some weights and a learning rate.
    """
    if plan.optimizer == "adagrad":
        return adagrad(weights.values(), plan.learning_rate)
    others = [weight for name, weight in weights.items() if name not in by_adagrad]
    tables = adagrad([weights[name] for name in sorted(by_adagrad)], plan.table_learning_rate) if by_adagrad else None
    for group in tables.param_groups if tables is not None else ():
        group["scale"] = plan.table_learning_rate / plan.learning_rate
    if tables is not None and not others:
        return tables
    adamw = AdamW(others, plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay, fused=True)
    return adamw if tables is None else SplitOptimizer(tables, adamw)
