"""Rating prediction: measure predicted values against labels, where nothing is ranked."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64

from segue.data.cases import Cases
from segue.errors import ParameterError
from segue.evaluation.accumulators import ROC_STEPS
from segue.evaluation.result import Evaluation
from segue.evaluation.scorer import Scorer, score_items
from segue.metrics import MetricName
from segue.metrics.values import CASE_VALUE_METRICS, GLOBAL_VALUE_METRICS, WeightedStatistic, check_labels
from segue.progress import Progress


def measure_values(
    scorer: Scorer, cases: Cases, names: Mapping[str, MetricName], *, chunk: int, seed: int, progress: Progress
) -> Evaluation:
    """Measure the score of the target of each case against its label.

    Where labels are 0 and 1, the scores of a model that are logits become probabilities by a sigmoid; all other scores
    are taken as they are.

    Args:
        scorer: what is measured.
        cases: cases with labels, one target each.
        names: metrics of values.
        chunk: cases scored at once.
        seed: seed of the confidence intervals.
        progress: receives progress updates.

    Raises:
        ParameterError: the cases have no labels, or labels that a metric has no use for.
    """
    if cases.labels is None or cases.offsets is not None:
        raise ParameterError(
            f"metrics: {', '.join(names)} compare a score with a label, and these cases have none; set "
            "protocol.ranking.candidates=labeled and name the column with protocol.cases.label"
        )
    labels, predictions = cases.labels, np.empty(len(cases))
    check_labels(labels, names)
    with progress.task("evaluate", len(cases)) as task:
        for start in range(0, len(cases), chunk):
            part = cases[start : start + chunk]
            own = score_items(scorer, part.prefixes, part.targets[:, None].astype(np.int64))
            predictions[start : start + len(part)] = own[:, 0]
            task.advance(len(part))
    if getattr(scorer, "scores_are_logits", False) and np.isin(labels, (0, 1)).all():
        predictions = torch.sigmoid(torch.from_numpy(predictions)).numpy()
    values = {text: CASE_VALUE_METRICS[text](predictions, labels) for text in names if text in CASE_VALUE_METRICS}
    statistics: dict[str, WeightedStatistic] = {
        text: GLOBAL_VALUE_METRICS[text](predictions, labels) for text in names if text in GLOBAL_VALUE_METRICS
    }
    once = np.ones(len(cases), dtype=np.int64)
    totals = {text: float(column.mean()) for text, column in values.items()}
    totals |= {text: statistic(once) for text, statistic in statistics.items()}
    return Evaluation(
        metrics={text: totals[text] for text in names},
        values=values,
        ranks=np.empty(0),
        groups=cases.groups.astype(np.int64),
        seed=seed,
        statistics=statistics,
        roc=_roc(predictions, labels) if "auc" in names else [],
    )


def _roc(predictions: Float64[np.ndarray, "C"], labels: Float64[np.ndarray, "C"]) -> list[tuple[float, float]]:
    """Return the rates at which cases of label 0 and of label 1 are taken for liked, as the threshold falls."""
    order = np.argsort(-predictions, kind="stable")
    last_of_equals = np.append(np.diff(predictions[order]) != 0, True)
    liked = np.cumsum(labels[order])[last_of_equals]
    others = np.cumsum(1 - labels[order])[last_of_equals]
    if not (liked[-1] and others[-1]) or np.isnan(predictions).any():
        return []
    grid = np.linspace(0, 1, ROC_STEPS + 1)
    rates = np.interp(grid, np.append(0, others / others[-1]), np.append(0, liked / liked[-1]))
    return [(0.0, 0.0), *zip(grid.tolist(), rates.tolist(), strict=True)]
