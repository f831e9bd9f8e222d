"""`segue demo`: train, compare and use models on a generated web shop."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, program, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = 2

_LOG = "demo shop"

_SETTINGS: dict[str, dict[str, Any]] = {
    "protocol": {"split": {"test_days": 2}},
    "gru4rec": {"hidden_size": 200, "dropout_hidden": 0.4, "training": {"loss": {"n_samples": 256}, "epochs": 8}},
}
"""Settings for a small shop: two test days, and half the catalogue as negatives."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("segue-demo"),
    models: Annotated[str, typer.Option("--model", help="Models to train, separated by commas.")] = "gru4rec,stan",
    sessions: Annotated[int, typer.Option(min=1000, help="Number of visits to the shop.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the shop and of the models.")] = 0,
) -> None:
    """Train and compare models on a generated web shop, and get recommendations of the best one.

    Examples:
    segue demo
    segue demo --sessions 50000 --out shop
    segue demo --model sasrec --out shop
    """
    from functools import partial

    from segue.cli.progress import progress_shown
    from segue.cli.run import show
    from segue.cli.tables import size_table
    from segue.data.synthetic import shop
    from segue.experiment.config import PROTOCOL, RunConfig
    from segue.experiment.run_folder import SHOP, add_names, check_folder
    from segue.experiment.run_settings import read_settings
    from segue.storage.claims import claimed

    check = partial(check_folder, out, resume=False, overwrite=True)
    check()
    started = read_settings(out)
    if started is not None and started["run"]["log"] != _LOG:
        raise ParameterError(
            f"--out: {out} contains a run on another log, {started['run']['log']}; choose another folder"
        )
    console = terminal()
    console.rule("A generated web shop: visits, products, categories")
    chosen = options.split_names([models])
    settings = {name: values for name, values in _SETTINGS.items() if name in (PROTOCOL, *chosen)}
    config = RunConfig(log=_LOG, models=chosen, set=settings, seed=seed)
    events = shop(sessions, seed)
    with progress_shown() as progress:
        results = segue.run(config, out, events=events, overwrite=True, progress=progress)
    with claimed(out, "segue demo", check):
        add_names(out, [SHOP])
        visits, products = _write_log(events, out / SHOP)
    console.print(size_table(results.data["stages"]))
    show(results, out)
    best = next((row.label for row in results.models if not row.baseline), results.models[0].label)
    model = segue.load(out / best)
    console.rule(f"What {best} recommends")
    for visit in _example_visits(model):
        _show_recommendations(console, model, visit)
    console.rule("Next steps")
    last = ",".join(str(item) for item in _example_visits(model)[0])
    folder, product = shlex.quote(str(out / best)), model.vocabulary.names.names[int(model.vocabulary.order.items[0])]
    for command in (
        f"recommend {folder} --items {last}",
        f"fit {visits} --items {products} --like {folder} --out production",
        f"recommend production --item {shlex.quote(product)}",
        *([f"plot {folder} --color category"] if model.per_item_arrays() and find_spec("sklearn") else []),
        "data YOUR_LOG.csv",
        "run YOUR_LOG.csv --model gru4rec,stan",
        "models gru4rec",
        f"serve {shlex.quote(str(out))}",
    ):
        echo(f"  {program()} {command}")


def _write_log(events: "segue.Events", folder: Path) -> tuple[str, str]:
    """Write the log as CSV files, and return their quoted paths."""
    from segue.storage import make_folder, replacing_file

    make_folder(folder)
    names = []
    for name, table in (("visits.csv", events.frame), ("products.csv", events.items)):
        assert table is not None
        with replacing_file(folder / name) as scratch:
            table.write_csv(scratch)
        names.append(shlex.quote(str(folder / name)))
    return names[0], names[1]


def _example_visits(model: "segue.Model") -> list[list[int | str]]:
    """Return short visits: popular products of two categories."""
    table = model.vocabulary.table.sort("support", descending=True)
    categories = table["category"].unique(maintain_order=True)[:_EXAMPLES]
    return [table.filter(table["category"] == category)["item"][:2].to_list() for category in categories]


def _show_recommendations(console: "Console", model: "segue.Model", visit: list[int | str]) -> None:
    from segue.cli.tables import recommendation_table

    table = model.vocabulary.table
    names = dict(zip(table["item"], table["name"], strict=True))
    seen = " → ".join(names[item] for item in visit)
    echo(f"After {seen}:")
    console.print(recommendation_table(model.recommend(visit, 5, exclude_seen=True), model.vocabulary))
