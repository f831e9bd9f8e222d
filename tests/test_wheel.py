"""The built wheel runs from another folder with the core dependencies alone, and names the extra that it misses."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def built_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def required(requirements: list[str], found: dict[str, Distribution]) -> dict[str, Distribution]:
    """Add the distributions that requirements without extras bring, with all that these require."""
    for requirement in map(Requirement, requirements):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or not all(
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in requirement.extras or {""}
        ):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        required(found[name].requires or [], found)
    return found


def link(one: Distribution, folder: Path) -> None:
    """Link the installed files of a distribution into a folder."""
    for top in {file.parts[0] for file in one.files or [] if file.parts[0] not in ("..", "__pycache__")}:
        target = folder / top
        if not target.exists():
            target.symlink_to(Path(str(one.locate_file(top))))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its core dependencies, which are linked from this one; its Python."""
    wheel = built_wheel(tmp_path_factory.mktemp("wheel"))
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=os.name != "nt")
    (packages,) = (path for path in home.rglob("site-packages") if path.parent.name != "lib64")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    requirements = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    for one in required([text for text in requirements if "extra ==" not in text], {}).values():
        link(one, packages)
    return home / ("Scripts" if os.name == "nt" else "bin") / "python"


def run(python: Path, folder: Path, *arguments: str, compiled: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment, with interpreted kernels unless they are to be compiled, which takes long."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SEGUE_DATA")}
    variables["NUMBA_DISABLE_JIT"] = "0" if compiled else "1"
    code = "from segue.cli.main import main; main()"
    command = [str(python), "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
def test_the_demo_runs_from_another_folder(environment: Path, tmp_path: Path, compiled: bool) -> None:
    code = (
        "import importlib.util, segue\n"
        "missing = [importlib.util.find_spec(name) for name in ('implicit', 'optuna', 'vl_convert')]\n"
        "print(segue.__file__, missing)"
    )
    done = subprocess.run([str(environment), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert str(environment.parents[1]) in done.stdout
    assert "[None, None, None]" in done.stdout
    demo = run(environment, tmp_path, "demo", "--sessions", "1000", "--model", "stan", compiled=compiled)
    assert demo.returncode == 0, demo.stderr
    assert (tmp_path / "segue-demo" / "report.html").stat().st_size > 10_000
    advice = run(environment, tmp_path, "recommend", "segue-demo/stan", "--items", "1001", "-k", "3", compiled=compiled)
    assert advice.returncode == 0, advice.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run", "segue-demo/shop/visits.csv", "--model", "als,stan"), "mf"),
        (("run", "segue-demo/shop/visits.csv", "--model", "bpr", "--no-baselines"), "mf"),
        (("tune", "segue-demo/shop/visits.csv", "--model", "stan"), "tune"),
        (("run", "segue-demo/shop/visits.csv", "--model", "stan", "--track", "mlflow"), "track"),
    ],
)
def test_a_missing_extra_is_named(arguments: tuple[str, ...], extra: str, environment: Path, tmp_path: Path) -> None:
    (tmp_path / "segue-demo" / "shop").mkdir(parents=True)
    rows = [f"{number // 4},{number % 7},{1_700_000_000 + 900 * number}" for number in range(800)]
    log = tmp_path / "segue-demo" / "shop" / "visits.csv"
    log.write_text("session,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    done = run(environment, tmp_path, *arguments)
    assert done.returncode == 2, done.stdout
    assert f'pip install "segue[{extra}]"' in " ".join(done.stderr.split())
    assert not list(tmp_path.glob("runs/*/*/"))


@pytest.mark.soak
def test_the_demo_runs_in_an_empty_environment(tmp_path: Path) -> None:
    """Installs the dependencies from the package index."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, str(built_wheel(tmp_path / "dist"))], check=True)
    demo = run(python, tmp_path, "demo", "--sessions", "2000", compiled=True)
    assert demo.returncode == 0, demo.stderr
