"""How the attention-clustering network reads one session, as tables and as a chart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segue.charts import BLUE, CONFIG, GREY, PALETTE, Spec, checked_picture, write_chart
from segue.data.vocabulary import RawId

_GATE, _ATTENTION, _FINAL = "gate", "attention", "final_attention"
_WIDTH, _STEP = 150, 22
"""Pixels: width of a panel, height of an event."""


@dataclass(frozen=True, eq=False)
class SessionAttention:
    """Gates, attention weights and clusters of one session, after its last event.

    Attributes:
        events: a row per event that the network read, oldest first: ``item``; ``name``, if the items have names;
            ``gate``, the mean over its components; ``attention``, the weight before the clustering. With clusters also
            ``cluster``, the one it belongs to most; ``membership``, how much of it does; and ``final_attention``.
        clusters: a row per cluster with events, the largest weight first: ``cluster``; ``share`` of its events in the
            attention; ``weight`` of its vector in the state. None for a network without clusters.
        unknown: items of the session that the model does not know, and ignored.
    """

    events: pl.DataFrame
    clusters: pl.DataFrame | None
    unknown: tuple[RawId, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as lists of rows."""
        clusters = None if self.clusters is None else self.clusters.to_dicts()
        return {"events": self.events.to_dicts(), "clusters": clusters, "unknown": list(self.unknown)}

    def chart(self) -> Spec:
        """Return a Vega-Lite chart: a bar per event for each weight, and one per cluster, coloured by cluster."""
        names = self.events["name"] if "name" in self.events.columns else self.events["item"]
        labels = [f"{number}  {name}" for number, name in enumerate(names, start=1)]
        events = self.events.with_columns(pl.Series("label", labels))
        weights = [name for name in (_GATE, _ATTENTION, _FINAL) if name in events.columns]
        if self.clusters is None:
            panels = [_bars(events, name, title=name, color={"value": BLUE}) for name in weights]
            return _figure([panels[0], *map(_without_labels, panels[1:])])
        ranked = self.clusters["cluster"].to_list()
        colours = [*PALETTE[:-1], *[GREY] * len(ranked)][: len(ranked)]
        scale = {"domain": ranked, "range": colours}
        color = {"field": "cluster", "type": "nominal", "scale": scale, "legend": None}
        panels = [_bars(events, name, title=name.replace("_", " "), color=color) for name in weights]
        clusters = self.clusters.with_columns(pl.format("cluster {}", "cluster").alias("label"))
        of_clusters = _bars(clusters, "weight", title="weight of the cluster", color=color)
        return _figure([panels[0], *map(_without_labels, panels[1:]), of_clusters])

    def write(self, path: str | Path) -> Path:
        """Write the chart atomically, as .png or .svg.

        Raises:
            ParameterError: the name ends in something else.
            MissingExtraError: vl-convert is not installed.
            StorageError: the write failed.
        """
        path = checked_picture(Path(path))
        write_chart(self.chart(), path)
        return path


def _bars(rows: pl.DataFrame, name: str, *, title: str, color: Spec) -> Spec:
    fields = [field for field in ("label", "cluster", name) if field in rows.columns]
    axis = {"title": None, "labelLimit": 260, "labelPadding": 6, "ticks": False, "domain": False}
    return {
        "data": {"values": rows.select(fields).to_dicts()},
        "width": _WIDTH,
        "height": {"step": _STEP},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": None, "axis": axis},
            "x": {"field": name, "type": "quantitative", "title": title, "axis": {"tickCount": 4}},
            "color": color,
        },
    }


def _without_labels(panel: Spec) -> Spec:
    y = {**panel["encoding"]["y"], "axis": None}
    return {**panel, "encoding": {**panel["encoding"], "y": y}}


def _figure(panels: list[Spec]) -> Spec:
    return {"hconcat": panels, "spacing": 18, "padding": 20, "background": "white", "config": CONFIG}
