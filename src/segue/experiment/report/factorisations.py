"""How the factorisations of a run were trained: train_auc with its bands, and the density of the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from segue.charts import Spec
from segue.data.statistics import DENSITY_CLASSES
from segue.evaluation.train_auc import BANDS, band
from segue.experiment.results import ModelResult

HEAD = ["model", "passes", "train_auc", "band", "skipped", "validation, best", "validation, last"]

_FILLS = {"excellent": "#009E73", "good": "#56B4E9", "weak": "#E69F00", "poor": "#D55E00"}
_NEAREST = 0.75
"""The axis of train_auc begins here, or below what was measured."""


def training_rows(rows: Sequence[ModelResult]) -> list[list[str]]:
    """Return a line of the table for each model that has a train_auc."""
    return [
        [row.label, f"{len(row.curve)}" if row.curve else "–", f"{auc:.1%}", band(auc)]
        + [_shown(row.diagnostics.get("skipped"), ".1%")]
        + [_shown(row.diagnostics.get(f"validation_{which}"), ".4f") for which in ("best", "last")]
        for row in rows
        if (auc := row.diagnostics.get("train_auc")) is not None
    ]


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def training_note(data: Mapping[str, Any]) -> str:
    """Explain train_auc, with the density of the log.

    Args:
        data: the statistics of the data set; those that earlier versions wrote have no density.
    """
    bands = [f"{name} from {least:.0%}" for least, name in BANDS if least]
    text = (
        "train_auc is the share of sampled triples of the training sessions that are ranked correctly: "
        f"{', '.join(bands)}, else {BANDS[-1][1]}. A high train_auc with low test metrics indicates overfitting."
    )
    if "density" not in data:
        return text
    classes = ", ".join(f"{name} from {least:.4g}" for least, name in DENSITY_CLASSES if least)
    return (
        f"{text} The log is {data['density_class']}: its density, events / (users x items) of training, is "
        f"{data['density']:.2g} ({classes}); where the log has sessions, they count as users."
    )


def band_layers(values: Sequence[Spec], ink: str) -> tuple[list[Spec], Spec]:
    """Return the layers of the bands behind a chart of train_auc, and the scale of its axis.

    Args:
        values: the data of the chart, with the field ``value``.
        ink: colour of the names of the bands.
    """
    low = min(_NEAREST, max(0.0, min(one["value"] for one in values) - 0.02))
    scale = {"domain": [low, 1.0], "nice": False, "zero": False}
    ends = [1.0, *(least for least, _ in BANDS)]
    strips = [
        {"low": max(low, least), "high": high, "middle": (max(low, least) + high) / 2, "band": name}
        for high, (least, name) in zip(ends, BANDS, strict=False)
        if high > low
    ]
    y: Spec = {"type": "quantitative", "scale": scale, "title": None}
    colours = {"domain": list(_FILLS), "range": list(_FILLS.values())}
    fill = {"field": "band", "type": "nominal", "legend": None, "scale": colours}
    text = {"type": "text", "align": "right", "baseline": "middle", "dx": -4, "fontSize": 11, "fill": ink}
    return [
        {
            "data": {"values": strips},
            "mark": {"type": "rect", "opacity": 0.16},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "fill": fill},
        },
        {
            "data": {"values": strips},
            "mark": text,
            "encoding": {"y": {**y, "field": "middle"}, "x": {"value": "width"}, "text": {"field": "band"}},
        },
    ], scale
