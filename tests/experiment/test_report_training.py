"""How a report tells the training of factorisations: train_auc before its bands, and the same in numbers."""

import json
import math
import re

import pytest

from made_up import results, row
from segue.chart_process import draw
from segue.experiment.report.charts import curve_charts
from segue.experiment.report.markdown import markdown
from segue.experiment.report.page import page
from segue.experiment.results import Epoch, ModelResult


def learnt(label: str, values: list[float], **diagnostics: float) -> ModelResult:
    curve = [Epoch(epoch=n, loss=math.nan, seconds=1.0, train_auc=value) for n, value in enumerate(values, 1)]
    return row(label, 0.2, curve=curve, diagnostics={"train_auc": values[-1], **diagnostics})


def test_train_auc_is_drawn_before_its_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = []
    monkeypatch.setattr("segue.charts.draw", lambda kind, spec, *rest: specs.append(spec) or draw(kind, spec, *rest))
    network = row("gru4rec", 0.4, curve=[Epoch(epoch=n, loss=7 - n, seconds=1.0) for n in (1, 2)])
    charts = {chart.title: chart.svg for chart in curve_charts([network, learnt("bpr", [0.6, 0.97])])}
    assert list(charts) == ["Training loss", "train_auc of factorisations"]
    assert "bpr" not in charts["Training loss"]
    svg = charts["train_auc of factorisations"]
    assert "gru4rec" not in svg
    found = re.findall(r'"low": ([\d.]+), "high": ([\d.]+), "middle": [\d.]+, "band": "(\w+)"', json.dumps(specs[-1]))
    assert [(float(low), float(high), band) for low, high, band in found[:4]] == [
        (0.95, 1.0, "excellent"),
        (0.9, 0.95, "good"),
        (0.8, 0.9, "weak"),
        (0.58, 0.8, "poor"),
    ]
    assert re.findall(r">(excellent|good|weak|poor)<", svg) == ["excellent", "good", "weak", "poor"]
    assert "#D55E00" in svg  # The second colour, as in the other charts of the page.


def test_the_training_of_factorisations_is_told_in_numbers() -> None:
    figures = {"skipped": 0.0123, "validation_best": 0.25, "validation_last": 0.2, "validation_cases": 1000.0}
    found = results(learnt("als", [0.5, 0.85]), learnt("bpr", [0.6, 0.97], **figures), row("markov", 0.3))
    found = found.model_copy(update={"data": {**found.data, "density": 0.00132, "density_class": "sparse"}})
    text = markdown(found)
    assert "| als | 2 | 85.0% | weak | – | – | – |" in text
    assert "| bpr | 2 | 97.0% | excellent | 1.2% | 0.2500 | 0.2000 |" in text
    told = (
        "ranked correctly: excellent from 95%, good from 90%, weak from 80%, else poor. A high train_auc with low test "
        "metrics indicates overfitting. The log is sparse: its density, events / (users x items) of training, is "
        "0.0013 (dense from 0.01, sparse from 0.0001); where the log has sessions, they count as users."
    )
    assert told in text
    shown = page(found)
    assert told in shown
    assert "<td>excellent</td>" in shown
    assert "Training of the factorisations" not in markdown(results(row("markov", 0.3)))
