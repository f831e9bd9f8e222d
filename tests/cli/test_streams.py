"""Output that is not UTF-8, full or closed, Ctrl-C at any time, and files and names that are hostile."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from command import Outcome, segue, write_shop

from segue.cli.main import main
from segue.cli.terminal import echo_json

RUN = (sys.executable, "-m", "segue")
PACKAGE = Path(inspect.getfile(main)).parents[1]
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_output_in_any_encoding(log: Path, finished: tuple[Path, Outcome], variables: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | variables
    encoding = environment.get("PYTHONIOENCODING", "ascii")
    for command in (("data", log), ("compare", finished[0]), ("explain", "recall"), ("run", "--help")):
        ran = subprocess.run([*RUN, *map(str, command)], capture_output=True, env=environment, check=False)
        assert ran.returncode == 0, ran.stderr
        assert b"Traceback" not in ran.stderr
        assert ran.stdout.strip()
        (ran.stdout + ran.stderr).decode(encoding)


def test_json_in_ascii_is_the_same_value() -> None:
    value = {"cup \u00e9": ["\U0001f6d2", "\x9b"]}
    for encoding in ("ascii", "cp1252", "utf-8"):
        with redirect_stdout(TextIOWrapper(BytesIO(), encoding)) as out:
            echo_json(value)
            assert json.loads(out.buffer.getvalue().decode(encoding)) == value


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_ends_in_one_message(log: Path) -> None:
    for command in (("data", log), ("--help",), ("explain",)):
        with Path("/dev/full").open("wb") as full:
            ran = subprocess.run(
                [*RUN, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert ran.returncode == 2
        assert ran.stderr.endswith("error: standard output: No space left on device\n")
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["explain", "--help"])
def test_a_reader_that_has_enough_is_no_error(command: str) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([*RUN, command], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("redirect", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams(log: Path, redirect: str, code: int) -> None:
    line = f'"$1" -m segue data "$2" {redirect}'
    assert (
        subprocess.run(["sh", "-c", line, "sh", sys.executable, log], capture_output=True, check=False).returncode
        == code
    )


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 0.9, 1.3])
def test_ctrl_c_at_any_time(log: Path, seconds: float) -> None:
    ran = subprocess.Popen([*RUN, "data", str(log)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    ran.send_signal(signal.SIGINT)
    err = ran.communicate()[1]
    if "Traceback" in err:  # Python was interrupted before it had imported the package.
        files = [Path(file) for file in re.findall(r'File "([^"]+)"', err)]
        assert {file for file in files if file.is_relative_to(PACKAGE)} <= {PACKAGE / "__init__.py"}, err
        return
    interrupted = ran.returncode == 130 and err.endswith("interrupted\n")
    assert interrupted or ran.returncode == 0 or (ran.returncode, err) == (-signal.SIGINT, "")


def test_a_device_without_values_is_refused(log: Path, tmp_path: Path) -> None:
    outcome = segue("run", log, "--model", "gru4rec", "--device", "meta", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "device: must be " in outcome.err
    assert not (tmp_path / "out").exists()


def test_foreign_text_of_a_log_is_visible_in_every_file_and_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    letter = "\u202e" if sys.getfilesystemencoding() == "utf-8" else ""  # Else it is no name of a file.
    name = f"clicks\x1b[31m{letter}.csv"
    text = write_shop(tmp_path / name, 300).read_text(encoding="utf-8")
    head, *lines = text.splitlines()
    rows = [f"{line},\x1b[2Jcup {number % 7}\x9b<img onerror=x>" for number, line in enumerate(lines)]
    Path(name).write_text("\n".join([f"{head},na\u202eme", *rows, ""]), encoding="utf-8")
    ran = [segue("data", name), segue("data", name, "--json"), segue("data", f"{name}x")]
    out = "out\x1b[1m<img onerror=x>"
    options = ("--no-baselines", "--set", "protocol.split=ratio", "--slices", "na\u202eme")
    ran.append(segue("run", name, "--model", "markov,popularity", *options, "--out", out))
    ran += [
        segue("compare", out, "--out", "x.md"),
        segue("doctor", out),
        segue("recommend", f"{out}/markov", "--items", "1"),
    ]
    assert [one.code for one in ran] == [0, 0, 2, 0, 0, 0, ran[-1].code]
    for one in ran:
        assert not RAW.search(one.out + one.err)
    for file in (Path("x.md"), Path(out) / "report.md", Path(out) / "report.html"):
        written = file.read_text(encoding="utf-8")
        assert not RAW.search(written), file
        assert "<img" not in written


def test_pipes_and_devices_are_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for source in ("pipe", "/dev/zero"):
        outcome = segue("data", source)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {source}: must be a file, which can be read more than once, got a pipe")


@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("results.json", ("protocol", "headline"), []),
        ("results.json", ("protocol", "ranking"), None),
        ("results.json", ("protocol", "decimals"), "x"),
        ("results.json", ("data", "stages"), [{}]),
        ("results.json", ("data", "stages", 0, "items"), []),
        ("results.json", ("data", "test_cases"), None),
        ("results.json", ("models",), []),
        ("results.json", ("models", 0, "metrics"), {}),
        ("results.json", ("models", 0, "fit_seconds"), 10**400),
        ("run.json", ("run",), []),
        ("run.json", ("models",), {"gru4rec": 1}),
        ("run.json", ("run", "protocol"), [1]),
    ],
)
def test_edits_by_hand_end_in_one_message(
    finished: tuple[Path, Outcome], tmp_path: Path, file: str, path: tuple[str | int, ...], value: object
) -> None:
    import shutil

    shutil.copytree(finished[0], tmp_path / "run")
    content = holder = json.loads((tmp_path / "run" / file).read_text(encoding="utf-8"))
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    (tmp_path / "run" / file).write_text(json.dumps(content), encoding="utf-8")
    codes = [segue(command, tmp_path / "run").code for command in ("compare", "report", "doctor")]
    assert 2 in codes
    assert set(codes) <= {0, 2}


def test_without_memory_for_charts_the_report_is_written_without_them(
    finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from segue.experiment.report import write_reports\n"
        "from segue.experiment.results import Results; import segue.experiment.report.page\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * 4096 + (200 << 20)\n"
        "resource.setrlimit(*((resource.RLIMIT_AS, (used, used)) if sys.argv[3] == 'memory' else "
        "(resource.RLIMIT_NOFILE, (8, 8))))\n"
        "write_reports(Results.read(Path(sys.argv[1]) / 'results.json'), Path(sys.argv[2]))"
    )
    for limit in ("memory", "files"):
        ran = subprocess.run(
            [sys.executable, "-c", code, finished[0], tmp_path, limit], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "No charts: charts: cannot be drawn" in page
        assert "<svg" not in page
        assert "Traceback" not in ran.stderr
