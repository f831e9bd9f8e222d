from rich.console import Console

from segue.cli.tables import interval_bar, leaderboard
from segue.experiment.results import ModelResult
from segue.parameters import typed


def test_the_picture_places_value_and_interval_on_the_scale() -> None:
    picture = interval_bar(0.5, (0.25, 1.0), low=0.0, high=1.0)
    assert len(picture) == 20
    assert picture.index("●") == 10
    assert picture.index("─") == 5
    assert picture.rindex("─") == 19


def test_a_figure_without_an_interval_is_a_point() -> None:
    row = ModelResult(
        model="stan",
        label="stan",
        baseline=False,
        config={},
        metrics={"coverage@20": 0.75},
        confidence={},
        fit_seconds=1.0,
        evaluate_seconds=1.0,
        peak_memory_mb=1.0,
    )
    console = Console(width=80)
    with console.capture() as shown:
        console.print(leaderboard([row], ["coverage@20"]))
    assert "0.7500" in shown.get()
    assert shown.get().count("●") == 2
    assert shown.get().count("─●─") == 1
    assert "0.000 ─●─ 1.000" in shown.get()


def test_a_default_is_shown_as_it_is_typed() -> None:
    values = [None, True, 2048, 0.5, "mrr@20", ["a", "b"]]
    assert [typed(value) for value in values] == ["none", "true", "2048", "0.5", "mrr@20", '["a", "b"]']
