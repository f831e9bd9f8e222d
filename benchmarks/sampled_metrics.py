"""Sampled metrics order three models differently: the example of Krichene and Rendle, in expectation.

    python benchmarks/sampled_metrics.py

prints the tables of docs/sampled-metrics.md. The expectations are exact: if m distinct items are sampled uniformly from
the N - 1 items other than the target, the number of items ranked before a target of rank r is hypergeometric, so the
expectation of a metric of its rank is a finite sum.
"""

from itertools import pairwise
from statistics import fmean

import numpy as np
from scipy.stats import hypergeom

from segue.metrics.rank_metrics import RANK_METRICS, case_auc

ITEMS = 10_000
RANKS = {"A": (100, 100, 100, 100, 100), "B": (40, 40, 8437, 9266, 4482), "C": (212, 2, 743, 5342, 1548)}
"""Ranks of the one relevant item of five cases among all items, by model (Krichene and Rendle 2020, section 4)."""

METRICS = ("auc", "map", "ndcg", "recall@10")
DRAWN = (9, 99, 499, 1999, 2999, ITEMS - 1)


def values(metric: str, ranks: np.ndarray, candidates: int) -> np.ndarray:
    """Measure cases with one relevant item each, ranked among so many candidates."""
    column, one = ranks.astype(np.float64)[:, None], np.ones(len(ranks), dtype=np.int64)
    if metric == "auc":
        return case_auc(column, one, candidates * one)
    name, _, cutoff = metric.partition("@")
    return RANK_METRICS[name](column, one, int(cutoff or candidates))


def chances(rank: int, drawn: int) -> np.ndarray:
    """Return how likely each rank from 1 to ``drawn + 1`` is among so many drawn items, for an exact rank."""
    return np.asarray(hypergeom(ITEMS - 1, rank - 1, drawn).pmf(np.arange(drawn + 1)))


def expected(model: str, metric: str, drawn: int) -> float:
    """Return the expectation of a metric of a model among so many drawn items."""
    possible = values(metric, np.arange(1, drawn + 2), drawn + 1)
    return fmean(float(chances(rank, drawn) @ possible) for rank in RANKS[model])


def order(figures: dict[str, float]) -> str:
    """Write the models from the best to the worst."""
    ranked = sorted(figures, key=lambda model: (-round(figures[model], 9), model))
    signs = [" = " if np.isclose(figures[a], figures[b]) else " > " for a, b in pairwise(ranked)]
    return ranked[0] + "".join(sign + model for sign, model in zip(signs, ranked[1:], strict=True))


def row(first: str, metric: str, drawn: int) -> str:
    """Write the figures of the models as a row."""
    figures = {model: expected(model, metric, drawn) for model in RANKS}
    return f"| {first} | " + " | ".join(f"{value:.3f}" for value in figures.values()) + f" | {order(figures)} |"


def table(first: str, rows: list[str]) -> str:
    """Put a head on rows."""
    return "\n".join([f"| {first} | " + " | ".join(RANKS) + " | order |", "|---|---|---|---|---|", *rows])


def tables() -> dict[str, str]:
    """Return the tables by what they show."""
    return {
        "exact": table("among all items", [row(f"`{metric}`", metric, ITEMS - 1) for metric in METRICS]),
        "sampled": table("among 99 sampled", [row(f"`{metric}`", metric, 99) for metric in METRICS]),
        "sizes": table("`recall@10` among", [row(f"{drawn:,}", "recall@10", drawn) for drawn in DRAWN]),
    }


if __name__ == "__main__":
    print("\n\n".join(tables().values()))
