"""What each command imports: counted in modules, because seconds depend on the machine."""

import ast
import inspect
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command import Outcome

import segue.cli
from segue.cli.main import COMMANDS
from segue.docstrings import docstring
from segue.models.registry import BUILT_IN
from segue.models.two_stage import TwoStage

HEAVY = {"implicit", "numba", "numpy", "optuna", "polars", "scipy", "sklearn", "torch", "yaml"}

_COMMAND_LINE = """
import contextlib, io, sys
from segue.cli.main import main

def call(*arguments):
    sys.argv = ["segue", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
"""


def modules_after(code: str, *arguments: object) -> set[str]:
    """Return the modules that a new process has imported after it ran the code."""
    report = "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code + report, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


def modules_after_command(*arguments: object) -> set[str]:
    return modules_after(_COMMAND_LINE + f"call(*{list(map(str, arguments))!r})")


def of_segue(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "segue"}


def model_modules(modules: set[str]) -> set[str]:
    """Return which models were imported."""
    return {name for name, (module, _) in BUILT_IN.items() if f"segue.models.{module}" in modules}


def test_the_help_imports_no_command() -> None:
    found = modules_after_command("--help")
    assert of_segue(found) == {
        "segue",
        "segue.cli",
        "segue.cli.main",
        "segue.cli.streams",
        "segue.docstrings",
        "segue.errors",
        "segue.printable",
    }
    assert not HEAVY & found


def test_the_help_of_a_command_imports_its_signature_alone() -> None:
    found = modules_after(_COMMAND_LINE + "for name in sys.argv[1:]:\n    call(name, '--help')", *COMMANDS)
    shared = {"segue.cli", "segue.docstrings", "segue.errors", "segue.printable"}
    shared |= {f"segue.cli.{name}" for name in ("engines", "main", "options", "processes", "streams", "terminal")}
    commands = {f"segue.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert of_segue(found) == {"segue", *shared, *commands}
    assert not HEAVY & found


def test_the_list_of_commands_is_that_of_their_modules() -> None:
    modules = {one.name: import_module(f"segue.cli.{one.name}") for one in pkgutil.iter_modules(segue.cli.__path__)}
    first = {name: ast.get_docstring(ast.parse(inspect.getsource(module))) or "" for name, module in modules.items()}
    commands = {name: module for name, module in modules.items() if first[name].startswith("`segue ")}
    assert {name.replace("_", "-") for name in commands} == COMMANDS.keys()
    for name, module in commands.items():
        command = name.replace("_", "-")
        assert first[name].startswith(f"`segue {command}`: ")
        assert COMMANDS[command] == docstring(getattr(module, name)).splitlines()[0]


def test_topics_are_listed_without_what_their_examples_need() -> None:
    assert not (HEAVY - {"yaml"}) & modules_after_command("explain")
    assert "torch" not in modules_after_command("explain", "k-core")


def test_segue_alone_imports_nothing() -> None:
    found = modules_after("import segue")
    assert of_segue(found) == {"segue"}
    assert not HEAVY & found


def test_a_log_is_read_without_compiled_code_and_prepared_without_torch(log: Path) -> None:
    assert not {"numba", "scipy", "torch"} & modules_after("import sys, segue; segue.read(sys.argv[1])", log)
    code = "import sys, segue; data = segue.prepare(segue.read(sys.argv[1])); segue.lint(data); data.statistics()"
    found = modules_after(code, log)
    assert not {"implicit", "torch"} & found
    assert not {name for name in found if name.startswith(("segue.models", "segue.training", "segue.data.batches"))}


def test_the_statistics_of_a_log_do_not_wait_for_torch(log: Path) -> None:
    found = modules_after_command("data", log)
    assert "segue.evaluation.linter" in found
    assert not {"implicit", "torch"} & found
    assert not {name for name in found if name.startswith(("segue.models", "segue.training"))}


def test_an_artifact_is_loaded_with_the_module_of_its_model(finished: tuple[Path, Outcome]) -> None:
    found = modules_after("import sys, segue; segue.load(sys.argv[1])", finished[0] / "v-sknn")
    assert model_modules(found) == {"v-sknn"}
    assert not {"implicit", "optuna", "sklearn"} & found


def test_commands_that_ask_an_artifact_load_its_model_alone(finished: tuple[Path, Outcome], log: Path) -> None:
    model = finished[0] / "v-sknn"
    for arguments in (("recommend", model, "--items", "1"), ("evaluate", model, log)):
        found = modules_after_command(*arguments)
        assert model_modules(found) == {"v-sknn"}
        assert "implicit" not in found


def test_two_stages_load_the_modules_of_their_two_models(log: Path, tmp_path: Path) -> None:
    data = segue.prepare(segue.read(log))
    TwoStage(retriever="popularity", ranker="markov").fit(data.train).save(tmp_path / "pair")
    found = modules_after("import sys, segue; segue.load(sys.argv[1])", tmp_path / "pair")
    assert model_modules(found) == {"two-stage", "popularity", "markov"}


@pytest.mark.parametrize(
    "code",
    [
        "model_class('no-such-model')",
        "single_model('two-stage')",
        "counterpart('no-such-model')",
    ],
)
def test_a_wrong_name_is_answered_without_importing_models(code: str) -> None:
    found = modules_after(
        "from contextlib import suppress\nfrom segue.errors import UnknownNameError\n"
        "from segue.recbole.models import counterpart\n"
        "from segue.models.registry import model_class\nfrom segue.models.registry import single_model\n"
        f"with suppress(UnknownNameError):\n    {code}\n    raise SystemExit('no error')"
    )
    assert not model_modules(found)
