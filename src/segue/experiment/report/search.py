"""What a search for the best model found over time, as a chart of the page."""

from itertools import accumulate
from math import isfinite

from segue.charts import PALETTE, Spec
from segue.experiment.candidates import SearchResult
from segue.experiment.report.charts import FAINT, INK, WIDTH, Chart, chart_of, value_of
from segue.experiment.report.labels import label_layers, place_labels

_NETWORK, _COUNT = PALETTE[0], "#8A8A8A"


def search_chart(search: SearchResult | None) -> list[Chart]:
    """Draw the validation of each trained candidate against the time, and the best one so far."""
    timed = [
        (one.ended_seconds, one.value, one)
        for one in (search.candidates if search is not None else ())
        if one.state == "trained" and one.ended_seconds and one.value is not None and isfinite(one.value)
    ]
    timed.sort(key=lambda one: one[0])
    if search is None or len(timed) < 2:
        return []
    seconds, found = [one[0] for one in timed], [one[1] for one in timed]
    labels = [one.label for _, _, one in timed]
    placer, ticks, places = place_labels(seconds, found, labels, width=WIDTH - 60, height=240)
    values = [
        {"model": one.label, "seconds": ended, "value": value, "kind": _kind(one.epochs, one.label), **place}
        for (ended, value, one), place in zip(timed, places, strict=True)
    ]
    best = [{"seconds": ended, "value": value} for ended, value in zip(seconds, accumulate(found, max), strict=True)]
    axis = {"values": ticks[:: max(1, len(ticks) // 6)], "format": "~g"}
    scale = {"type": "log", "domain": list(placer.x), "nice": False}
    x: Spec = {
        "field": "seconds",
        "type": "quantitative",
        "title": "seconds of the search",
        "scale": scale,
        "axis": axis,
    }
    y: Spec = {**value_of("value", f"{search.metric}, validation")}
    y["scale"] = {"domain": list(placer.y), "nice": False}
    leader, *texts = label_layers(x, y, "model", ink=INK, line=FAINT)
    colour = {"field": "kind", "scale": {"domain": ["network", "other"], "range": [_NETWORK, _COUNT]}, "legend": None}
    layers: list[Spec] = [
        {
            "data": {"values": best},
            "mark": {"type": "line", "interpolate": "step-after", "stroke": FAINT, "strokeWidth": 2},
            "encoding": {"x": x, "y": y},
        },
        leader,
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"color": colour}},
        *texts,
    ]
    spec = {"data": {"values": values}, "encoding": {"x": x, "y": y}, "layer": layers, "height": placer.height}
    return [chart_of("search", "Validation over the time of the search", spec, "The line is the best value so far.")]


def _kind(epochs: int | None, label: str) -> str:
    return "network" if epochs is not None or label == "blend" else "other"
