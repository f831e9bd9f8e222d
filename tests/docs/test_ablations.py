"""The plans of benchmarks/ablation.py name models, presets and parameters that exist."""

from pathlib import Path

import pytest

from segue import strict_yaml
from segue.metrics import MetricName
from segue.models.registry import model_class
from segue.parameters import nested

FOLDER = Path(__file__).parents[2] / "benchmarks" / "ablations"
OWN = ("model", "preset", "against")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_is_a_model_with_its_parameters(path: Path) -> None:
    plan = strict_yaml.read(path)
    MetricName.parse_all(plan["metrics"])
    for name, change in {"recipe": {}, **plan["variants"]}.items():
        settings = change if "model" in change else {**plan["recipe"], **change}
        given = nested({key: value for key, value in settings.items() if key not in OWN})
        model = model_class(settings["model"])(preset=settings.get("preset"), **given)
        assert model.name == settings["model"], name
        assert settings.get("against", "recipe") in {"recipe", *plan["variants"]}, name
    assert f"benchmarks/ablations/{path.name}" in (FOLDER.parents[1] / "docs/results.md").read_text(encoding="utf-8")
