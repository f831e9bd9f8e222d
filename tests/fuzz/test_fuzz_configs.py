"""Mutated configurations and options of all commands end in a result or in one message, within limits."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml
from limits import SEED, Runner, runner

from segue.cli.main import COMMANDS, import_command
from segue.data.synthetic import shop

BLOCK = 50
SMALL = ["--set", "gru4rec.training.epochs=1", "--set", "gru4rec.hidden_size=4", "--no-baselines"]

CONFIG = {
    "log": "shop.csv",
    "models": ["popularity", "markov"],
    "protocol": "session-next",
    "set": {
        "protocol": {"cleaning": {"min_support": 2, "since": "2025-01-01"}, "split": {"kind": "ratio"}},
        "markov": {"smoothing": 0.1},
    },
    "baselines": False,
    "seed": 3,
    "slices": ["weekday"],
    "columns": {"session": "session", "item": "item"},
    "device": "cpu",
    "notes": ["a note"],
}
RECBOLE = {
    "model": "Pop",
    "dataset": "shop",
    "seed": 2020,
    "USER_ID_FIELD": "session",
    "ITEM_ID_FIELD": "item",
    "TIME_FIELD": "time",
    "load_col": {"inter": ["session", "item", "time"]},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
    "topk": [5, 10],
    "metrics": ["Recall", "MRR"],
    "user_inter_num_interval": "[2,inf)",
    "learning_rate": 0.01,
    "epochs": 1,
}
VALUES: list[object] = [
    *(None, True, -1, 0, 1, 10**5, 2**63, 10**30, 1e308, -0.5, "", "x", "none", "auto", "cuda:9", "meta", "1e999"),
    *(
        [],
        [[]],
        {},
        {"kind": "ratio"},
        ["x"] * 50,
        {"a": {"b": {"c": 1}}},
        "2026-02-30",
        "\x1b[31m",
        "é\u202e",
        "../..",
    ),
    *("9" * 5000, "a" * 5000, [1, "a", None], {"x": None}, "[1", "{", "0..1", "1e-3", "nan", ".inf", "/dev/null", "."),
]
TEXTS = [
    *("2026-02-30", "9" * 5000, "[" * 5000, "{a: " * 3000, "*x", "&x [*x]", "!!python/object:os.system x", "!!int x"),
    *("a: 1\na: 2", "\t", "\0", "\ufeff", "? [1]\n: 2", "<<: *x", "- 1\n- 2", "%YAML 9", "--- a\n--- b", "\x85", "'"),
]


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(one for key, item in inside for one in places(item, (*path, key)))]


def mutated(rng: random.Random, config: dict[str, object]) -> dict[str, object]:
    """Replace, remove or add some values."""
    changed = json.loads(json.dumps(config))
    for _ in range(rng.choice([1, 1, 2, 3])):
        path = rng.choice(places(changed))
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        match rng.randrange(4):
            case 0:
                del holder[path[-1]]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(["kind", "x", "\x1b[2J", "epochs", "a" * 300, "1"])] = rng.choice(VALUES)
            case _:
                holder[path[-1]] = rng.choice(VALUES)
        if not places(changed):
            break
    return changed


def damaged(rng: random.Random, text: str) -> str:
    """Damage the text of a configuration, or leave it alone."""
    place = rng.randrange(len(text) + 1)
    match rng.randrange(8):
        case 0:
            return text[:place] + rng.choice(TEXTS) + text[place:]
        case 1:
            return text[:place]
        case 2:
            return text.replace(rng.choice(": \n-"), rng.choice(["", ":", "\n", "  "]), 2)
        case 3:
            lines = text.splitlines()
            return "\n".join([*lines, rng.choice(lines or [""])])
    return text


def configuration(seed: int, folder: Path) -> list[str]:
    """Write one configuration; return the command that reads it."""
    rng = random.Random(seed)
    recbole, name = rng.random() < 0.4, f"case-{seed}"
    config = mutated(rng, RECBOLE if recbole else CONFIG)
    text = json.dumps(config) if rng.random() < 0.3 else yaml.safe_dump(config, allow_unicode=rng.random() < 0.5)
    (folder / name).write_bytes(damaged(rng, text).encode("utf-8", "replace"))
    option = ["--recbole", name] if recbole else ["--config", name]
    return ["run", "shop.csv", *option, "--out", f"out-{seed}", "--device", "cpu"]


def options(seed: int) -> list[str]:
    """Return a command with options of which some are mad."""
    rng = random.Random(seed)
    name = rng.choice(sorted(COMMANDS.keys() - {"demo", "serve", "import-events"}))
    parameters = [one for one in import_command(name).params if one.param_type_name == "option" and one.name != "help"]
    first = {"explain": "gru4rec", "models": "gru4rec"}.get(name, "shop.csv")
    if name in ("recommend", "add-items", "plot", "evaluate", "score"):
        first = "run/markov"
    if name in ("compare", "report", "doctor"):
        first = "run"
    found = [name, first if rng.random() < 0.8 else str(rng.choice(VALUES))]
    for one in rng.sample(parameters, min(len(parameters), rng.randint(1, 4))):
        option = one.opts[0]
        if option in (
            "--workers",
            "--trials",
            "--timeout",
        ):  # They may ask for any time.
            continue
        value = str(rng.choice([*VALUES, *TEXTS])).replace("\0", "")
        owner = rng.choice(["gru4rec.layers", "protocol.split", "protocol.cleaning.since", "x", "a.b.c", "item"])
        found += [option] if one.is_flag else [option, value if rng.random() < 0.5 else f"{owner}={value}"]
    if name in ("run", "fit", "tune", "distill", "prepare"):
        found += ["--out", f"out-{seed}"]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log and a run."""
    folder = tmp_path_factory.mktemp("fuzz")
    shop(200, 0).frame.write_csv(folder / "shop.csv")
    with runner(folder) as run:
        answer = run.run(["run", "shop.csv", "--model", "markov", "--no-baselines", "--out", "run"])
    assert answer.code == 0, answer.text
    return folder


def check_block(run: Runner, commands: list[list[str]]) -> Counter[int]:
    problems, codes = [], Counter[int]()
    for command in commands:
        answer = run.run(command)
        codes[answer.code] += 1
        if problem := answer.problem(20_000):
            problems.append(f"{command}: {problem}")
    assert not problems, "\n".join(problems)
    return codes


def test_some_mutated_configurations(place: Path) -> None:
    with runner(place) as run:
        codes = check_block(run, [configuration(100_000 * SEED + seed, place) for seed in range(BLOCK // 2)])
    assert codes[2] > codes[0] > 0


def test_some_mad_options(place: Path) -> None:
    with runner(place) as run:
        check_block(run, [options(100_000 * SEED + seed) for seed in range(BLOCK // 4)])


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_500_mutated_configurations(place: Path, block: int) -> None:
    with runner(place) as run:
        first = 100_000 * SEED + BLOCK * block
        check_block(run, [configuration(seed, place) for seed in range(first, first + BLOCK)])


@pytest.mark.soak
@pytest.mark.parametrize("block", range(7))
def test_300_mad_options(place: Path, block: int) -> None:
    with runner(place) as run:
        first = 100_000 * SEED + BLOCK * block
        check_block(run, [options(seed) for seed in range(first, first + BLOCK)])
