from pathlib import Path

from made_up import results, row
from segue.data.synthetic import shop
from segue.experiment.config import RunConfig, load_config
from segue.experiment.report.repeat import repeat
from segue.experiment.run import run


def test_the_recipe_in_the_report_repeats_the_run(tmp_path: Path) -> None:
    protocol = {"split": {"test_days": 3}, "cleaning": {"min_support": 2}}
    config = RunConfig(log="shop", models=["stan"], seed=5, set={"protocol": protocol, "stan": {"k": 50}})
    events = shop(sessions=800)
    first = run(config, tmp_path / "first", events=events)
    text = repeat(first)
    assert text is not None
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    again = load_config(tmp_path / "recipe.yaml", {})
    assert again.set["stan"] == {"k": 50}
    second = run(again, tmp_path / "second", events=events)
    assert second.protocol == first.protocol
    for one, other in zip(second.models, first.models, strict=True):
        assert (one.label, one.config, one.metrics) == (other.label, other.config, other.metrics)
    assert [one.label for one in second.models if not one.baseline] == ["stan"]


def test_models_that_no_recipe_names_have_no_recipe() -> None:
    assert repeat(results(row("gru4rec-taught", 0.4, model="gru4rec"))) is None
    assert repeat(results(row("model of another version", 0.4))) is None
