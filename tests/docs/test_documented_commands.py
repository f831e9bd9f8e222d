"""Every command in the README and the docs is valid, and runs where it needs no real log."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from itertools import dropwhile
from pathlib import Path

import polars as pl
import pytest
import yaml

import segue
from segue.cli.main import COMMANDS, import_command, main
from segue.data.synthetic import shop
from segue.errors import EmptyDataError
from segue.experiment.config import parse_assignments
from segue.experiment.model_specs import build_specs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

REAL_LOGS = {"diginetica": "part", "yoochoose-100k": "part", "ml-1m": "user", "beauty": "user", "ml-100k": "user"}
"""Logs that are not shipped, by what decides their protocol."""
NETWORKS = ("gru4rec", "sasrec")


def blocks(text: str, *languages: str) -> list[str]:
    """Return the code blocks of a page in given languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of a page; in a console block, commands follow a ``$``."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", "").splitlines() if line]
    for block in blocks(text, "console"):
        lines += re.findall(r"^\$ (.*)$", block.replace("\\\n", ""), flags=re.MULTILINE)
    for line in lines:
        yield list(dropwhile(re.compile(r"[A-Z_]+=").match, shlex.split(line, comments=True)))


def titles(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def nested(assignments: list[str]) -> dict[str, dict]:
    """Turn ``a.b=1`` into ``{"a": {"b": 1}}``."""
    tree: dict = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = None if text == "none" else yaml.safe_load(text)
    return tree


def tiny_log(kind: str) -> segue.Events:
    frame = shop(300, 0).frame.select("session", "item", "time")
    if kind == "user":
        return segue.read(frame.rename({"session": "user"}))
    if kind == "part":
        part = pl.when(pl.col("session") % 5 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
        frame = frame.with_columns(part=part)
    return segue.read(frame)


def check_segue(words: list[str]) -> None:
    """Check options, names of models, and parameters, without running the command."""
    assert words[0] in COMMANDS, words
    command = import_command(words[0])
    with command.make_context(words[0], list(words[1:])) as context:
        values = {name: value for name, value in context.params.items() if value is not None}
    if words[0] in ("models", "evaluate", "serve") or values.get("recbole"):
        return
    named = [name for text in values.get("model") or [] for name in text.split(",")] if words[0] == "run" else []
    named += [values[name] for name in ("model", "student") if isinstance(values.get(name), str)]
    tree = nested(list(values.get("settings") or []))
    presets = parse_assignments("--preset", list(values.get("preset") or []))
    protocol = tree.pop("protocol", {})
    tree.pop("distillation", None)
    if words[0] != "demo" and named:
        assert set(tree) | set(presets) <= set(named), words
    if words[0] == "run":
        build_specs(segue.RunConfig(models=named, set=tree, preset=presets))
    else:
        for name in {*named, *tree}:
            segue.model_class(name)(preset=presets.get(name), **tree.get(name, {}))
    kind = REAL_LOGS.get(values.get("log"), "user" if str(values.get("log")).startswith("ratings") else "session")
    with suppress(EmptyDataError):  # A step may leave nothing of a log this small; its parameters are valid.
        segue.prepare(tiny_log(kind), values.get("protocol"), **protocol)


def check_python(words: list[str]) -> None:
    """Check that a script takes the options."""
    script = ROOT / words[0]
    text = script.read_text(encoding="utf-8")
    for option in (word for word in words[1:] if word.startswith("--")):
        shared = (ROOT / "benchmarks").glob("*.py") if script.parent.name == "benchmarks" else ()
        assert any(f'"{option}"' in file for file in (text, *(path.read_text(encoding="utf-8") for path in shared)))


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets), words


def check_pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert words[0] == "install"
    for extras in re.findall(r"\[(.+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), words


def check_torchrun(words: list[str]) -> None:
    """Check the command of segue that several processes run."""
    first = words.index("-m")
    assert words[first + 1] == "segue"
    check_segue(words[first + 2 :])


CHECKS = {
    **{"segue": check_segue, "python": check_python, "make": check_make, "pip": check_pip},
    "torchrun": check_torchrun,
}
OTHER_TOOLS = {"tensorboard", "mlflow", "git", "cd", "pre-commit", "curl", "echo", "docker"}


@pytest.mark.parametrize("page", PAGES, ids=titles(PAGES))
def test_every_command_is_valid(page: Path) -> None:
    for program, *words in commands(page):
        if program not in OTHER_TOOLS:
            CHECKS[program](words)


def test_every_extra_in_the_docs_exists() -> None:
    for page in PAGES:
        for extras in re.findall(r"segue\[([a-z,]+)\]", page.read_text(encoding="utf-8")):
            check_pip(["install", f"segue[{extras}]"])


def runnable(page: Path) -> list[list[str]]:
    """Return the commands of a page that need no real log, without repetitions."""
    real = (*REAL_LOGS, "runs/ml-100k/", "runs/yc/", "segue-state/", "/shared/")
    found = []
    for program, *words in commands(page):
        served = words[:1] in (["serve"], ["sessions"], ["import-events"], ["experiment"])  # Run by tests/serving.
        if program == "segue" and not served and words not in found and not any(one.startswith(real) for one in words):
            found.append(words)
    return found


def quickly(words: list[str]) -> list[str]:
    """Make the networks that a command trains small, its search short, and the demo's shop small; it needs no GPU."""
    if words[0] == "demo":
        return [*words, "--sessions", "1000"]
    if words[0] == "best":
        return [*words, "--model", "gru4rec", "--set", "gru4rec.training.epochs=1"]
    if words[0] not in ("run", "distill", "tune") or {"--config", "--recbole"} & set(words):
        return words
    pairs = list(zip(["", *words], words, strict=False))
    short = {"--trials": "1", "--workers": "1", "--device": "auto"}
    words = [short.get(option, word) for option, word in pairs]
    if words[0] == "tune" and "--trials" not in words:
        words += ["--trials", "1"]
    trained = [name for option, word in pairs if option in ("--model", "--student") for name in word.split(",")]
    settings = [("--set", f"{name}.training.epochs=1") for name in trained if name in NETWORKS]
    return [*words, *(word for setting in settings for word in setting)]


def write_files(folder: Path, sessions: int = 2000) -> None:
    """Write the files that the docs name."""
    events = shop(sessions, 0)
    frame = events.frame.select("session", pl.col("item") - 1000, "time")  # Items 1, 2, 3, ...
    where = pl.when(pl.col("session") % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b"))
    frame.with_columns(shop=where, day=where, weather=where).write_csv(folder / "clicks.csv")
    frame.with_columns(pl.col("time") + pl.duration(days=7)).write_csv(folder / "next-week.csv")
    frame.rename({"session": "basket", "item": "sku", "time": "when"}).write_parquet(folder / "log.parquet")
    frame.select("session", "time", "item").write_csv(folder / "raw.csv", include_header=False)
    frame.with_columns(pl.col("time").dt.strftime("%d/%m/%Y %H:%M")).write_csv(folder / "orders.csv")
    users = frame.select(
        pl.col("session").alias("user_id:token") // 3,
        pl.col("item").alias("item_id:token"),
        pl.col("time").dt.epoch("s").cast(pl.Float64).alias("timestamp:float"),
    )
    users.write_csv(folder / "ratings.inter", separator="\t")
    ids = [*frame["item"].unique().sort(), 99_999]
    names = ["Lid, 24 cm" if number == 24 else f"Pan {number}" for number in ids]
    table = {"item": ids, "category": [number % 4 for number in ids], "brand": [number % 9 for number in ids]}
    pl.DataFrame({**table, "name": names}).write_csv(folder / "items.csv")
    sequences = frame.group_by("session", maintain_order=True).agg(pl.col("item").cast(str)).head(1000)
    lines = [f"{session} {' '.join(items)}" for session, items in sequences.iter_rows()]
    (folder / "visits.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "ratings").mkdir()
    users.write_csv(folder / "ratings" / "ratings.inter", separator="\t")
    config = {"model": "SASRec", "data_path": ".", "dataset": "ratings", "epochs": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ids = pl.read_csv(folder / "items.csv").to_series()
    vectors = [[float(number % 7), float(number % 3)] for number in range(len(ids))]
    pl.DataFrame({"item": ids, "vector": vectors}).write_parquet(folder / "vectors.parquet")


def run(words: list[str]) -> tuple[int, str]:
    out = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
        patch.setattr(sys, "argv", ["segue", *words])
        patch.delenv("SEGUE_DATA", raising=False)
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0), out.getvalue()
    return 0, out.getvalue()


def run_apart(words: list[str]) -> tuple[int, str]:
    """Run a command in a process and on a Ray of its own: this process may be connected to that of another test."""
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    environment.pop("SEGUE_DATA", None)
    command = [sys.executable, "-m", "segue", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


RUNNABLE = [page for page in PAGES if runnable(page)]


@pytest.mark.parametrize("page", RUNNABLE, ids=titles(RUNNABLE))
def test_commands_run_in_the_order_of_the_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, 600 if page.stem in ("README", "get-started") else 2000)
    if not any(words[0] == "fit" for words in runnable(page)):
        segue.VSKNN().fit(segue.prepare(segue.read("clicks.csv", items="items.csv")).train).save("production")
    for words in runnable(page):
        code, said = (run_apart if "ray" in words else run)(quickly(words))
        assert code == 0, (words, said)


@pytest.mark.parametrize("name", ["docs/get-started.md", "docs/index.md", "docs/item-vectors.md", "README.md"])
def test_python_blocks_run_in_the_order_of_the_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    code = "\n".join(blocks((ROOT / name).read_text(encoding="utf-8"), "python"))
    exec(compile(code, name, "exec"), {})
