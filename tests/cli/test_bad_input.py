"""Bad input: the message, exit code 2, and what is left on disk."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import SMALL, Outcome, segue, tree, write_shop

HEADER = "session,item,time\n"
FIX = "correct them or remove their rows"

BAD_LOGS = {
    "missing column": (
        "session,colour\n1,2\n",
        "has no column for the item; it has 'session', 'colour'; say which one it is, "
        "for example columns={'item': 'session'} or --columns item=session",
    ),
    "empty file": ("", "is empty; a log needs at least one event"),
    "wrong delimiter": (
        HEADER + "1,2,3\n4;5;6\n",
        "line 3: must have 3 fields ('session', 'item', 'time') separated by comma, got 1; "
        "correct the line, or give another format if all lines are like that",
    ),
    "non-numeric time": (
        HEADER + "1,2,1700000000\n1,2,noon\n",
        f"line 3, column 'time': must be a number, got 'noon'; {FIX}",
    ),
    "mixed s and ms": (
        HEADER + "1,2,1700000000\n1,3,1700000001\n1,2,1700000000000\n",
        "line 4, column 'time': must have one unit, 2 values look like seconds but 1 like milliseconds, "
        "got '1700000000000'; correct them or, if all are in one unit, name it: --time-format s "
        "(time_format= in Python), or ms, us, ns",
    ),
    "duplicate header": (
        "session,item,time,item\n1,2,3,4\n",
        "line 1: columns must have different names, got 'item' more than once; rename or remove the others",
    ),
    "binary file": (bytes(range(256)) * 9, "is a binary file; save its rows as CSV or Parquet"),
}

BAD_OPTIONS = {
    "unknown model": (
        ("--model", "gru4rce"),
        "unknown model 'gru4rce': did you mean 'gru4rec'?\n",
    ),
    "unknown parameter": (
        ("--model", "gru4rec", "--set", "gru4rec.hiden_size=3"),
        "unknown parameter of gru4rec 'hiden_size': did you mean 'hidden_size'?\n",
    ),
    "parameter out of bounds": (
        ("--model", "gru4rec", "--set", "gru4rec.hidden_size=0"),
        "gru4rec.hidden_size: must be greater than or equal to 1, got 0\n",
    ),
    "parameter of another type": (
        ("--model", "gru4rec", "--set", "gru4rec.training.epochs=many"),
        "gru4rec.training.epochs: must be an integer, got 'many'\n",
    ),
    "mistakes in several models": (
        (
            "--model",
            "gru4rec,markof,stan",
            "--set",
            "stan.k=0",
            "--set",
            "gru4rec.layers=0",
            "--set",
            "markov.smoothing=-1",
        ),
        "gru4rec.layers: must be greater than or equal to 1, got 0\n"
        "unknown model 'markof': did you mean 'markov'?\n"
        "stan.k: must be greater than or equal to 1, got 0\n"
        "markov.smoothing: must be greater than or equal to 0, got -1\n",
    ),
    "parameter of a model that is not trained": (
        ("--model", "stan", "--set", "gru4rec.layers=1"),
        "--set: gru4rec is not trained in this run; add it to --model\n",
    ),
    "parameter of nobody": (
        ("--model", "stan", "--set", "protocl.k_core=1"),
        "--set: unknown model 'protocl': did you mean 'protocol'?\n",
    ),
    "parameter without its model": (
        ("--model", "stan,gru4rec", "--set", "training.epochs=2", "--set", "cleaning.k_core=2"),
        "--set: training is no model but a parameter of gru4rec; write gru4rec.training.epochs=2\n"
        "--set: cleaning is no model but a parameter of protocol; write protocol.cleaning.k_core=2\n",
    ),
    "entry of a parameter without its model": (
        ("--model", "stan,gru4rec", "--set", "cleaning.value_among={event: [view]}", "--set", "training.epoch=2"),
        '--set: cleaning is no model but a parameter of protocol; write protocol.cleaning.value_among.event=["view"]\n'
        "--set: training is no model but a parameter of gru4rec; write gru4rec.training.epoch=2\n",
    ),
    "parameters without their model, one of them misspelt": (
        ("--model", "stan,gru4rec", "--set", "training.epoch=2", "--set", "training.learning_rate=0.1"),
        "--set: training is no model but a parameter of gru4rec; write gru4rec.training.learning_rate=0.1\n",
    ),
    "preset of a parameter": (
        ("--model", "gru4rec", "--preset", "training=sessions"),
        "--preset: unknown model 'training': choose one of ",
    ),
    "parameter of no model": (
        ("--model", "stan", "--set", "qqqq.epochs=2"),
        "--set: unknown model 'qqqq': choose one of ",
    ),
    "preset without a model": (
        ("--preset", "session"),
        "--preset: must be name=value such as gru4rec=sessions, got 'session'\n",
    ),
    "preset of the protocol": (("--preset", "protocol=x"), "--preset: unknown model 'protocol': choose one of "),
    "setting without a value": (
        ("--set", "gru4rec.layers"),
        "--set: must be OWNER.NAME=VALUE such as gru4rec.hidden_size=128, got 'gru4rec.layers'\n",
    ),
    "setting that is not YAML": (
        ("--set", "gru4rec.layers=[1"),
        "--set: the value in 'gru4rec.layers=[1' cannot be read: line 1: a bracket or a quote is "
        "not closed; close it\n",
    ),
    "columns without a name": (
        ("--columns", "session"),
        "--columns: must be name=value such as session=visit_no, got 'session'\n",
    ),
    "columns that are not there": (
        ("--columns", "item=sku"),
        "shop.csv: has no column 'sku', which was given for the item; it has 'session', 'item', 'time'\n",
    ),
    "unknown role of a column": (
        ("--columns", "itme=item"),
        "unknown column role 'itme': did you mean 'time'? choose one of item, ",
    ),
    "unknown format": (("--format", "cvs"), "unknown format 'cvs': did you mean 'csv'?\n"),
    "unknown format of times": (
        ("--time-format", "min"),
        "time_format: must be one of s, ms, us, ns, excel, yyyymmdd, mmdd, or strptime codes such as '%d/%m/%Y %H:%M', "
        "got 'min'\n",
    ),
    "format of times that are numbers": (
        ("--time-format", "%d/%m/%Y"),
        "shop.csv: lines 2, 3, 4, 5, 6 and ",
    ),
    "unknown protocol": (
        ("--protocol", "session-nxt"),
        "unknown protocol 'session-nxt': did you mean 'session-next'? choose one of ",
    ),
    "unknown parameter of the protocol": (
        ("--set", "protocol.kcore=5"),
        "unknown parameter of protocol 'kcore': did you mean 'cleaning.k_core'?\n",
    ),
    "parameter of another split": (
        ("--set", "protocol.split=ratio", "--set", "protocol.split.test_days=7"),
        "protocol.split.test_days: belongs to split 'last-days', got split 'ratio'; leave it out, or set "
        "protocol.split=last-days\n",
    ),
    "unknown metric": (
        ("--set", "protocol.ranking.metrics=[recal@20]"),
        "protocol.ranking.metrics: unknown metric 'recal@20': did you mean 'recall@20'?\n",
    ),
    "unknown metric that chooses epochs": (
        ("--model", "gru4rec", "--set", "gru4rec.training.metric=ndgc@20"),
        "gru4rec.training.metric: unknown metric 'ndgc@20': did you mean 'ndcg@20'?\n",
    ),
    "unknown metric that chooses weights": (
        ("--model", "stan,markov,blend", "--set", "blend.metric=ndgc"),
        "blend.metric: unknown metric 'ndgc': did you mean 'ndcg'?\n",
    ),
    "metric with a wrong cut-off": (
        ("--model", "gru4rec", "--set", "gru4rec.training.metric=ndcg@0"),
        "gru4rec.training.metric: the cut-off must be a whole number of at least 1, got '0'; ",
    ),
    "unknown preset": (
        ("--model", "gru4rec", "--preset", "gru4rec=author"),
        "unknown preset of gru4rec 'author': did you mean 'authors'? choose one of authors, beauty, ml-1m, movielens, "
        "recbole, sessions\n",
    ),
    "preset of a model that has none": (
        ("--model", "markov", "--preset", "markov=sessions"),
        "markov has no presets, got 'sessions'; leave the preset out\n",
    ),
    "no session left": (
        ("--set", "protocol.cleaning.min_length=999"),
        "step 'min-length' dropped all ",
    ),
    "device that is not there": (
        ("--model", "gru4rec", "--device", "gpu"),
        "device: must be 'auto' or 'cpu' ",
    ),
    "list that is none": (
        ("--model", "sasrec", "--set", "sasrec.features=hour"),
        "sasrec.features: must be a list such as '[hour]', got 'hour'\n",
    ),
    "items that are not there": (
        ("--items", "no.csv"),
        "--items: must be a file, or the name of one in $SEGUE_DATA, got 'no.csv'; check the name\n",
    ),
    "negative seed": (("--seed", "-1"), "config.seed: must be greater than or equal to 0, got -1\n"),
    "unknown precision": (("--precision", "int8"), "config.precision: must be 'auto', 'fp32' or 'bf16', got 'int8'\n"),
    "nothing to train": (("--no-baselines",), "--model: names no model and the baselines are off; name one "),
    "resuming nowhere": (("--resume",), "--resume: needs the folder of the interrupted run; name it with --out\n"),
    "no configuration": (("--config", "no.yaml"), "--config: no.yaml cannot be read (No such file or directory)\n"),
    "configuration that is not YAML": (
        ("--config", "bad.yaml"),
        "--config: bad.yaml cannot be read: line 1: a bracket ",
    ),
    "configuration of another shape": (
        ("--config", "list.yaml"),
        "--config: list.yaml must contain names and values, got list\n",
    ),
    "unknown name in the configuration": (
        ("--config", "name.yaml"),
        "unknown parameter of config 'modles': did you mean 'models'?\n",
    ),
}


def refused(outcome: Outcome, message: str) -> None:
    """Check that a command ended as the mistake of its user does, with what was recognised before and its message."""
    recognised, separator, error = outcome.err.partition("error: ")
    assert separator
    assert all(note.startswith("· ") for note in recognised.splitlines())
    assert error.startswith(message)
    assert outcome.code == 2
    assert outcome.out == ""


@pytest.fixture
def place(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a good log and configurations."""
    shutil.copy(log, tmp_path)
    (tmp_path / "bad.yaml").write_text("models: [gru4rec\n", encoding="utf-8")
    (tmp_path / "list.yaml").write_text("- gru4rec\n", encoding="utf-8")
    (tmp_path / "name.yaml").write_text("modles: [gru4rec]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", BAD_LOGS)
@pytest.mark.parametrize("command", [("data",), ("run", "--model", "gru4rec")])
def test_bad_logs(place: Path, case: str, command: tuple[str, ...]) -> None:
    content, message = BAD_LOGS[case]
    (place / "clicks.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = tree(place)
    outcome = segue(*command, "clicks.csv")
    refused(outcome, f"clicks.csv: {message}\n")
    assert tree(place) == before


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(place: Path, case: str) -> None:
    options, message = BAD_OPTIONS[case]
    before = tree(place)
    refused(segue("run", "shop.csv", *options), message)
    assert tree(place) == before


def test_columns_the_wrong_way_round(tmp_path: Path) -> None:
    log = tmp_path / "visits.csv"
    log.write_text("visit_no,item,time\n1,2,3\n", encoding="utf-8")
    said = "has the column 'visit_no', which is no role; give the role first: say which one it is, for example "
    remedy = "columns={'session': 'visit_no'} or --columns session=visit_no\n"
    refused(segue("data", log, "--columns", "visit_no=session"), f"{log}: {said}{remedy}")


def test_a_model_that_is_unknown_is_not_called_protocol(place: Path) -> None:
    said = segue("run", "shop.csv", "--model", "stan", "--set", "qqqq.epochs=2").err
    assert "stan" in said
    assert "protocol" not in said


def test_options_are_named_as_they_are_given(place: Path) -> None:
    rule = "--metric: the cut-off must be a whole number of at least 1, got ''; write for example recall@20\n"
    refused(segue("best", "shop.csv", "--metric", "recall"), rule)
    refused(segue("tune", "shop.csv", "--model", "gru4rec", "--metric", "recall"), rule)
    refused(segue("best", "shop.csv", "--metric", "coverage@20"), "--metric: must be a metric of ranks (")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "LOG: is missing; name a file, a folder or a log in $SEGUE_DATA (try: segue demo)\n"),
        (("clicks.csv",), "clicks.csv: no such file or folder, neither here nor in the folder that "),
    ],
)
def test_no_log(place: Path, options: tuple[str, ...], message: str) -> None:
    before = tree(place)
    refused(segue("run", *options), message)
    assert tree(place) == before


def test_a_parameter_that_does_not_suit_the_log_is_refused_before_anything_is_trained(place: Path) -> None:
    Path("untimed.csv").write_text(
        "session,item\n" + "".join(f"{n // 4},{n % 4}\n" for n in range(400)), encoding="utf-8"
    )
    before = tree(place)
    outcome = segue("run", "untimed.csv", "--model", "stan", "--set", "popularity.window_days=7")
    assert outcome.code == 2
    assert outcome.err.endswith(
        "error: popularity.window_days: needs a log with times and this one has none, got 7.0; leave window_days out\n"
    )
    assert tree(place) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("run", "shop.csv", "--seed", "x"), "Invalid value for '--seed'"),
        (("run", "shop.csv", "--sed", "1"), "No such option: --sed"),
        (("run", "shop.csv", "--out"), "Option '--out' requires an argument"),
        (
            ("recommend", "model"),
            "--items: is missing; name the items of the session: --items 17,204,31, or --item for",
        ),
        (("rum",), "No such command 'rum'"),
    ],
)
def test_bad_usage(place: Path, options: tuple[str, ...], message: str) -> None:
    before = tree(place)
    outcome = segue(*options)
    assert outcome.code == 2
    assert message in outcome.err
    assert tree(place) == before


@pytest.mark.parametrize("options", [(), ("--resume",), ("--overwrite",)])
def test_a_folder_with_other_files_is_left_alone(place: Path, options: tuple[str, ...]) -> None:
    (place / "photos").mkdir()
    (place / "photos" / "a.jpg").write_text("precious", encoding="utf-8")
    before = tree(place)
    refused(
        segue("run", "shop.csv", "--out", "photos", *options),
        "--out: photos contains other files; choose another folder\n",
    )
    refused(segue("run", "shop.csv", "--out", "shop.csv", *options), "--out: shop.csv is a file and no folder; ")
    assert tree(place) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--out: out already contains a run; add --resume to continue it, --overwrite to replace it, or choose "),
        (("--resume", "--overwrite"), "--resume: cannot be combined with --overwrite; give one of them\n"),
        (("--overwrite", "--model", "nobody"), "unknown model 'nobody': choose one of "),
        (
            ("--overwrite", "--set", "protocol.cleaning.k_core=0"),
            "protocol.cleaning.k_core: must be greater than or equal to 1, got 0\n",
        ),
    ],
)
def test_an_older_run_survives_mistakes(
    place: Path, finished: tuple[Path, Outcome], options: tuple[str, ...], message: str
) -> None:
    shutil.copytree(finished[0], place / "out")
    before = tree(place)
    refused(segue("run", "shop.csv", "--out", "out", *options), message)
    assert tree(place) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", "8"), "out: was started with seed 3, got 8; resume with the same settings, "),
        (("--set", "gru4rec.layers=2"), "out: was started with gru4rec.layers 1, got 2; resume with "),
        (
            ("--set", "protocol.split.test_days=2"),
            "out: was started with protocol.split.test_days 1.0, got 2.0; resume ",
        ),
        (("--no-baselines",), "out: was started with popularity, which is not requested now; markov, which "),
        (("other",), "out: was started with log shop, got other; fingerprint of the log "),
    ],
)
def test_another_run_is_not_gone_on_with(
    place: Path, finished: tuple[Path, Outcome], options: tuple[str, ...], message: str
) -> None:
    shutil.copytree(finished[0], place / "out")
    write_shop(place / "other.csv", 1000)
    log, options = ("other.csv", ()) if options == ("other",) else ("shop.csv", options)
    before = tree(place)
    outcome = segue("run", log, "--model", "gru4rec,stan", *SMALL, "--seed", "3", "--out", "out", "--resume", *options)
    assert outcome.code == 2
    assert f"error: {message}" in outcome.err
    assert outcome.err.endswith("choose another --out, or --overwrite\n")
    assert tree(place) == before


def test_a_run_in_another_precision_is_not_gone_on_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("run", "shop.csv", "--model", "gru4rec", *SMALL, "--no-baselines", "--device", "cpu", "--out", "out")
    monkeypatch.setattr("segue.training.runtime.bf16_slowdown", lambda: 0.5)
    assert segue(*command, "--precision", "bf16").code == 0
    outcome = segue(*command, "--resume")
    assert "was started with precision cpu, bf16, got cpu, fp32; " in outcome.err


def test_bf16_is_refused_before_anything_is_written_where_it_is_slower(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.training.runtime.bf16_slowdown", lambda: 4.2)
    before = tree(place)
    for command in (("run", "shop.csv", "--model", "sasrec"), ("tune", "shop.csv", "--model", "sasrec")):
        outcome = segue(*command, "--device", "cpu", "--precision", "bf16", "--out", "out")
        assert outcome.code == 2
        assert outcome.err.endswith(
            "error: precision: bf16 products take 4.2 times as long as fp32 on this processor; use fp32\n"
        )
    assert tree(place) == before


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_run_that_does_not_say_what_it_was_begun_with_is_left_alone(
    place: Path, finished: tuple[Path, Outcome], content: str | None
) -> None:
    shutil.copytree(finished[0], place / "out")
    (place / "out" / "run.json").unlink() if content is None else (place / "out" / "run.json").write_text(
        content, encoding="utf-8"
    )
    before = tree(place)
    for option in ("--resume", "--overwrite"):
        outcome = segue("run", "shop.csv", "--out", "out", option)
        assert outcome.code == 2
        assert outcome.err == (
            "error: --out: out contains files of a run and no run.json, so segue cannot tell which of them it wrote; "
            "choose another folder\n"
            if content is None
            else "error: --out: out contains other files: its run.json is damaged, or not that of a run of segue; "
            "choose another folder\n"
        )
        assert tree(place) == before


def test_the_demo_does_not_replace_a_run_of_its_user(place: Path, finished: tuple[Path, Outcome]) -> None:
    shutil.copytree(finished[0], place / "out")
    before = tree(place)
    refused(segue("demo", "--out", "out"), "--out: out contains a run on another log, shop; choose another folder\n")
    assert tree(place) == before


def test_a_whole_run_is_answered_with_its_models(place: Path, finished: tuple[Path, Outcome]) -> None:
    shutil.copytree(finished[0], place / "out")
    message = "out: must be the folder of a model, got a run; name one of its models: out/gru4rec, out/markov, "
    refused(segue("recommend", "out", "--items", "1001"), message)
    refused(segue("evaluate", "out", "shop.csv"), message)
    refused(segue("distill", "out", "shop.csv"), message)
    refused(segue("add-items", "out", "shop.csv", "--by", "category"), message)


def test_a_place_that_cannot_be_written_is_said_before_training(place: Path) -> None:
    before = tree(place)
    outcome = segue("run", "shop.csv", "--model", "gru4rec", "--out", "shop.csv/out")
    assert outcome.code == 2
    assert "epoch" not in outcome.err
    assert "error: shop.csv/out: cannot be written (Not a directory); its previous content is unchanged." in outcome.err
    assert tree(place) == before


FULL_DISK = """
import resource, sys
from segue.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


def test_a_full_disk_leaves_whole_models_only_and_the_run_can_go_on(place: Path) -> None:
    command = ("run", "shop.csv", "--model", "popularity,markov", "--no-baselines", "--out", "out")
    assert segue(*command[:-1], "compiled").code == 0  # Compiled functions are kept; they would be cut off as well.
    python = (sys.executable, "-B", "-c")  # So would the modules that Python compiles.
    done = subprocess.run([*python, FULL_DISK, "20000", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: out/markov: cannot be written (")
    assert said.endswith("; its previous content is unchanged. Free some disk space or choose another path")
    assert "Traceback" not in done.stderr
    assert {path.name for path in (place / "out").iterdir()} == {
        "run.json",
        "environment.json",
        "cases",
        "popularity",
    }
    assert segue("recommend", "out/popularity", "--items", "1001").code == 0
    assert "popularity: taken over" in segue(*command, "--resume").err


def test_unknown_items_are_no_mistake_and_a_long_list_is(place: Path, finished: tuple[Path, Outcome]) -> None:
    model = finished[0] / "stan"
    assert segue("recommend", model, "--items", "never,seen").code == 0
    items = len(json.loads(segue("recommend", model, "--items", "1001", "-k", 400, "--json").out)["items"])
    assert items == 400
    refused(
        segue("recommend", model, "--items", "1001", "-k", 9999),
        "--k: must be between 1 and the 460 known items, got 9999\n",
    )
    refused(
        segue("recommend", model, "--items", "1001", "-k", 0), "--k: must be between 1 and the 460 known items, got 0\n"
    )


def corrupt(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


AGAIN = "copy the whole folder again, or train the model again\n"

DAMAGES = {
    "corrupt": (
        lambda folder: corrupt(folder / "arrays.safetensors"),
        f"model/arrays.safetensors: does not match its checksum, so it is damaged; {AGAIN}",
    ),
    "truncated": (
        lambda folder: truncate(folder / "items.parquet"),
        f"model/items.parquet: does not match its checksum, so it is damaged; {AGAIN}",
    ),
    "incomplete": (
        lambda folder: (folder / "config.json").unlink(),
        f"model/config.json: is missing; {AGAIN}",
    ),
    "truncated manifest": (
        lambda folder: truncate(folder / "manifest.json"),
        "model/manifest.json: cannot be read (",
    ),
    "foreign": (
        lambda folder: (folder / "manifest.json").write_text('{"format": "zip"}', encoding="utf-8"),
        f"model/manifest.json: is not a manifest of segue, or is damaged; {AGAIN}",
    ),
    "no artifact": (
        lambda folder: (folder / "manifest.json").unlink(),
        "model: is not an artifact of segue (it has no manifest.json); name the folder of a model that a run wrote\n",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_bad_artifacts(place: Path, finished: tuple[Path, Outcome], case: str) -> None:
    damage, message = DAMAGES[case]
    shutil.copytree(finished[0] / "stan", place / "model")
    damage(place / "model")
    before = tree(place)
    refused(segue("recommend", "model", "--items", "1001"), message)
    refused(segue("evaluate", "model", "shop.csv"), message)
    assert tree(place) == before


def test_an_artifact_without_a_protocol_cannot_be_evaluated_here(place: Path, finished: tuple[Path, Outcome]) -> None:
    from segue.models.registry import load

    model = load(finished[0] / "stan")
    model.about = {}
    model.save(place / "model")
    refused(segue("evaluate", "model", "shop.csv"), "model: has no protocol, so it was not written by a run; ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("data", "shop.csv", "--set", "gru4rec.layers=2"),
            "--set: must name parameters of the protocol here, such as ",
        ),
        (("data", "shop.csv", "--protocol", "nobody"), "unknown protocol 'nobody': choose one of "),
        (("models", "gru4rce"), "unknown model 'gru4rce': did you mean 'gru4rec'?\n"),
        (("recommend", "nowhere", "--items", "1"), "nowhere: does not exist; name the folder of a model "),
        (("evaluate", "nowhere", "shop.csv"), "nowhere: does not exist; name the folder of a model "),
        (
            ("recommend", "nowhere", "--items", "1", "--item", "2"),
            "--item: cannot be combined with --items; give one of them",
        ),
        (("recommend", "nowhere", "--item", "1", "--item", " "), "--item: must be the id or name of an item, got ''"),
        (("recommend", "nowhere", "--items", ", "), "--items: must name at least one item such as 17,204,31, got ', '"),
    ],
)
def test_other_commands(place: Path, options: tuple[str, ...], message: str) -> None:
    before = tree(place)
    refused(segue(*options), message)
    assert tree(place) == before
