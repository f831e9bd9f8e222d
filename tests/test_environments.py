"""Commands give the same files in a hostile environment: ASCII, no docstrings, no asserts, only one folder to write in.

The short forms run a copy of segue without the permission to write; the long one runs the whole suite where the file
system is read-only.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

import segue
from segue.cli.main import COMMANDS
from segue.data.synthetic import shop
from segue.docstrings import docstring
from segue.models.stan import STAN

ROOT = Path(__file__).parents[1]
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
OPTIMIZED = {"PYTHONOPTIMIZE": "2"}

DRIVER = """
import json, sys
from segue.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["segue", *arguments]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            sys.exit(ascii(f"{arguments}: {stop.code}"))
"""

SPLIT = ("--set", "protocol.split=ratio")
NETWORK = ("--set", "sasrec.embedding_size=4", "--set", "sasrec.layers=1", "--set", "sasrec.training.epochs=1")
TUNED = ("--trials", "2", "--only", "--search", "v-sknn.k=[5,6]")
RUN = ["run", "clicks.csv", "--items", "items.csv", "--no-baselines", *SPLIT]
SHORT = [  # With models that need little compiled code, since each process compiles its own.
    [*RUN, "--model", "popularity,session-popularity", "--out", "short"],
    ["compare", "short", "--out", "compared.md"],
    ["recommend", "short/popularity", "--items", "1", "--json"],
    ["data", "clicks.csv"],
]
LONG = [
    *SHORT,
    [*RUN, "--model", "markov,popularity", "--out", "first"],
    ["recommend", "first/markov", "--items", "1", "--json"],
    ["prepare", "clicks.csv", *SPLIT, "--out", "prepared"],
    ["run", "prepared", "--model", "als,sasrec,v-sknn", *NETWORK, "--no-baselines", "--out", "run"],
    ["report", "run"],
    ["doctor", "run"],
    ["evaluate", "run/v-sknn", "prepared"],
    ["score", "run/v-sknn", "clicks.csv", "--out", "scores"],
    ["fit", "clicks.csv", "--items", "items.csv", "--like", "run/als", "--out", "production"],
    ["add-items", "production", "items.csv", "--by", "group", "--to", "extended"],
    ["fit", "clicks.csv", "--like", "run/v-sknn", "--set", "v-sknn.updatable=true", "--out", "earlier"],
    ["update", "earlier", "later.csv", "--out", "later"],
    ["why", "run/v-sknn", "--items", "1", "--json"],
    ["export", "run/sasrec", "--format", "onnx", "--out", "sasrec.onnx"],
    ["best", "clicks.csv", "--model", "sasrec", *NETWORK, *SPLIT, "--out", "best"],
    ["tune", "clicks.csv", "--model", "v-sknn", *TUNED, *SPLIT, "--out", "search"],
    ["distill", "run/v-sknn", "clicks.csv", *NETWORK, "--out", "distilled"],
    ["plot", "run/sasrec", "--out", "items.html"],
    ["explain", "negative-sampling"],
    ["models", "sasrec", "--summary"],
    ["demo", "--model", "popularity", "--sessions", "1000"],
]
HELP = [["--help"], *([name, "--help"] for name in COMMANDS), ["models"], ["models", "stan"], ["models", "gru4rec"]]


def run(
    commands: list[list[str]], before: tuple[str, ...] = (), **options: object
) -> subprocess.CompletedProcess[bytes]:
    """Run commands in one process."""
    process = [*before, sys.executable, "-c", DRIVER, json.dumps(commands)]
    done = subprocess.run(process, capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr.decode(errors="backslashreplace")
    return done


def made(folder: Path) -> dict[str, str | None]:
    """Return all files below a folder, with the hash of those that contain no times and no names of files."""
    kinds = (".npy", ".safetensors", ".parquet")
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        os.fsdecode(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() if path.suffix in kinds else None
        for path in files
    }


@pytest.fixture
def bound() -> tuple[str, ...]:
    """What to put before a command so that permissions bind it: they bind root without its capabilities."""
    if os.name == "nt":
        pytest.skip("folders have no permission to write")
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("permissions do not bind root, and there is no setpriv to take its capabilities away")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Path]:
    """A folder with a copy of segue and an empty HOME, none of which may be written."""
    place = tmp_path / "installation"
    shutil.copytree(Path(segue.__file__).parent, place / "segue", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "home").mkdir()
    folders = [place, *(path for path in place.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    yield place
    for folder in folders:
        folder.chmod(0o700)


def write_files(folder: Path) -> Path:
    folder.mkdir()
    frame = shop(300, 0).frame.select("session", "item", "time")
    codes = {item: number for number, item in enumerate(frame["item"].unique().sort(), 1)}
    frame = frame.with_columns(pl.col("item").replace_strict(codes))
    frame.write_csv(folder / "clicks.csv")
    frame.with_columns(pl.col("time") + pl.duration(days=365)).write_csv(folder / "later.csv")
    items = [*codes.values(), len(codes) + 1]
    table = {"item": items, "group": [item % 3 for item in items], "name": [f"caf\u00e9 {item}" for item in items]}
    pl.DataFrame(table).write_csv(folder / "items.csv")
    return folder


@pytest.mark.parametrize("commands", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"])
def test_a_hostile_environment_gives_the_same_files(
    commands: list[list[str]], bound: tuple[str, ...], installation: Path, tmp_path: Path
) -> None:
    usual = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR" and name[:3] != "XDG"}
    (tmp_path / "temporary").mkdir()
    folders = {"HOME": installation / "home", "PYTHONPATH": installation, "TMPDIR": tmp_path / "temporary"}
    hostile = usual | ASCII | OPTIMIZED | {name: str(folder) for name, folder in folders.items()}
    probe = "import os, sys; import segue; print(segue.__file__, [os.access(path, os.W_OK) for path in sys.argv[1:]])"
    probed = [*bound, sys.executable, "-c", probe, installation / "segue", installation / "home", tmp_path]
    control = subprocess.run(probed, capture_output=True, env=hostile, check=True)
    assert control.stdout.decode().strip() == f"{installation / 'segue' / '__init__.py'} [False, False, True]"

    first, second = write_files(tmp_path / "usual"), write_files(tmp_path / "hostile")
    run(commands, cwd=first, env=usual)
    done = run(commands, bound, cwd=second, env=hostile)
    for printed in (done.stdout, done.stderr):
        printed.decode("ascii")
    assert done.stderr.count(b"No folder for compiled functions can be written") == 1
    assert made(second) == made(first)
    assert not list(installation.rglob("*.py[co]"))
    assert not list((installation / "home").iterdir())
    for path in second.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))


READ_ONLY = """
mount --bind "$1" "$1"
while read -r _ _ _ _ point _; do
    case $point in "$1" | /proc* | /sys* | /dev*) ;; *) mount -o remount,bind,ro "$point" 2>/dev/null ;; esac
done < /proc/self/mountinfo
shift
exec setpriv --bounding-set=-all --inh-caps=-all "$@"
"""
"""Runs a command that can write into one folder only: in mounts of its own, which end with it, without capabilities."""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short name, in which the paths of Ray's sockets are not too long."""
    with TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mounts of one process")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_suite_where_one_folder_can_be_written(threads: str, short_folder: Path) -> None:
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ["unshare", "--mount", *root, "sh", "-c", READ_ONLY, "sh", str(short_folder)]
    probe = 'touch "$1" && ! touch "$2" && ! touch "$3" && ! touch "$4"'
    paths = [str(place / "touched") for place in (short_folder, ROOT, Path(segue.__file__).parent, Path.home())]
    if subprocess.run([*command, "sh", "-c", probe, "sh", *paths], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    variables = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, "TMPDIR": str(short_folder)}
    variables |= {"NUMBA_CACHE_DIR": str(short_folder / "numba"), **(ASCII if threads == "1" else OPTIMIZED)}
    suite = ["-n", "2", "--dist", "worksteal", "-m", "not soak", "-p", "no:cacheprovider"]
    suite += ["-W", "ignore::pytest.PytestConfigWarning"]  # It says that Python runs without asserts.
    if threads != "1":
        suite += ["--ignore", "tests/models/test_processes.py"]  # Sums of several threads differ from those of one.
    pytest_command = [*command, sys.executable, "-m", "pytest", *suite]
    done = subprocess.run(
        pytest_command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:]


def test_the_long_form_has_every_command_but_those_of_a_cache_or_a_service() -> None:
    assert {words[0] for words in LONG} == COMMANDS.keys() - {
        "warm-up",
        "serve",
        "sessions",
        "import-events",
        "experiment",
    }


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (ASCII, rb"error: caf\udce9.csv: must be text in ascii, the encoding of file names; set PYTHONUTF8=1"),
        (
            {"PYTHONUTF8": "1"},
            rb"error: caf\udce9.csv: must be text in utf-8, the encoding of file names; rename the file",
        ),
    ],
)
def test_a_name_in_another_encoding_is_refused(variables: dict[str, str], message: bytes) -> None:
    command = [os.fsencode(sys.executable), b"-m", b"segue", b"data", b"caf\xe9.csv"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **variables}, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_help_is_complete_without_docstrings() -> None:
    environment = {**os.environ, "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    optimized = run(HELP, env=environment | OPTIMIZED).stdout.decode()
    assert optimized == run(HELP, env=environment | {"PYTHONOPTIMIZE": "0"}).stdout.decode()
    assert optimized.count("Examples:") == len(COMMANDS)


def test_a_docstring_is_read_from_the_source_where_python_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = docstring(STAN), docstring(shop)
    assert all(expected)
    monkeypatch.setattr(STAN, "__doc__", None)
    monkeypatch.setattr(shop, "__doc__", None)
    assert (docstring(STAN), docstring(shop)) == expected
    monkeypatch.setattr("inspect.getsource", lambda _: (_ for _ in ()).throw(OSError))
    assert docstring(STAN) == ""
