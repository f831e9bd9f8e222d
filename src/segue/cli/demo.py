"""`segue demo`: the main job on a generated web shop."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli.reading import names
from segue.cli.terminal import program, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = 2

_LOG = "demo shop"

_SETTINGS: dict[str, dict[str, Any]] = {
    "protocol": {"test_days": 2},
    "gru4rec": {"hidden_size": 200, "dropout_hidden": 0.4, "training": {"n_samples": 256, "epochs": 8}},
}
"""What suits a small shop: two days of visits to test on, and a sample of half the catalogue as negatives."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("segue-demo"),
    models: Annotated[str, typer.Option("--model", help="Models to train, separated by commas.")] = "gru4rec,stan",
    sessions: Annotated[int, typer.Option(min=1000, help="Visits to the shop.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shop and of the models.")] = 0,
) -> None:
    """Train and compare models on a generated web shop, and ask the best one for products.

    Examples:
    segue demo
    segue demo --sessions 50000 --out shop
    segue demo --model sasrec --out shop
    """
    from segue.cli.run import show
    from segue.cli.tables import size_table
    from segue.data.synthetic import shop
    from segue.experiment.begun import read_settings
    from segue.experiment.recipe import PROTOCOL, Recipe
    from segue.progress import progress_for

    begun = read_settings(out)
    if begun is not None and begun["run"]["log"] != _LOG:
        raise ParameterError(f"--out: {out} holds a run on another log, {begun['run']['log']}; choose another folder")
    console = terminal()
    console.rule("A generated web shop: visits, products, categories")
    chosen = names([models])
    settings = {name: values for name, values in _SETTINGS.items() if name in (PROTOCOL, *chosen)}
    recipe = Recipe(log=_LOG, models=chosen, set=settings, seed=seed)
    results = segue.run(recipe, out, events=shop(sessions, seed), overwrite=True, progress=progress_for())
    console.print(size_table(results.data["stages"]))
    show(results, out)
    best = next((row.label for row in results.models if not row.baseline), results.models[0].label)
    model = segue.load(out / best)
    console.rule(f"What {best} recommends")
    for visit in _example_visits(model):
        _answer(console, model, visit)
    console.rule("What next")
    last = ",".join(str(item) for item in _example_visits(model)[0])
    folder = shlex.quote(str(out / best))
    for command in (
        f"recommend {folder} --items {last}",
        *([f"plot {folder} --color category"] if model.rows_per_item() else []),
        "data YOUR_LOG.csv",
        "run YOUR_LOG.csv --model gru4rec,stan",
        "models gru4rec",
    ):
        typer.echo(f"  {shlex.quote(program())} {command}")


def _example_visits(model: "segue.Model") -> list[list[int | str]]:
    """Return short visits: well-known products of two categories."""
    table = model.vocabulary.table.sort("support", descending=True)
    categories = table["category"].unique(maintain_order=True)[:_EXAMPLES]
    return [table.filter(table["category"] == category)["item"][:2].to_list() for category in categories]


def _answer(console: "Console", model: "segue.Model", visit: list[int | str]) -> None:
    from segue.cli.tables import recommendation_table

    table = model.vocabulary.table
    names = dict(zip(table["item"], table["name"], strict=True))
    seen = " → ".join(names[item] for item in visit)
    typer.echo(f"After {seen}:")
    console.print(recommendation_table(model.recommend(visit, 5, exclude_seen=True), model.vocabulary))
