"""`segue update`: later events for a model for production, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import Outcome, segue, tree

import segue as library
from segue.artifact import Artifact
from segue.data.synthetic import shop
from segue.data.vocabulary import VECTOR

CONFIG = """models: [{model}]
protocol: session-next
set:
  {model}: {{{parameters}}}
  protocol: {{cleaning: {{min_support: 2, min_length: 2}}}}
"""
SMALL = "hidden_size: 8, training: {epochs: 1}"


def cut(folder: Path) -> tuple[Path, Path]:
    """Write the log of a shop as two files, cut at a time; some sessions go on after it."""
    frame = shop(600, 3).frame
    later = frame["time"] > frame["time"].sort()[int(0.8 * frame.height)]
    for name, part in (("first", frame.filter(~later)), ("later", frame.filter(later))):
        part.write_csv(folder / f"{name}.csv")
    return folder / "first.csv", folder / "later.csv"


def fitted(folder: Path, log: Path, model: str, parameters: str) -> Path:
    config, out = folder / f"{model}.yaml", folder / model
    config.write_text(CONFIG.format(model=model, parameters=parameters), encoding="utf-8")
    outcome = segue("fit", log, "--config", config, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return cut(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def production(logs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A V-SKNN that can be updated. Not to be written to."""
    return fitted(tmp_path_factory.mktemp("production"), logs[0], "v-sknn", "updatable: true")


def test_it_says_what_was_added(production: Path, logs: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = segue("update", production, logs[1], "--out", tmp_path / "new")
    assert outcome.code == 0, outcome.err
    before, after = Artifact.read(production), Artifact.read(tmp_path / "new")
    (entry,) = after.about["updates"]
    assert f"v-sknn: added {entry['events']:,} events of {entry['sessions']:,} sessions, " in outcome.out
    assert "Left out" not in outcome.out
    assert f"Dropped by the cleaning of its protocol: {entry['cleaned']:,} events." in outcome.out
    assert f"recommend {tmp_path / 'new'} --items" in outcome.out
    assert entry["log"] == "later"
    assert entry["events"] + entry["cleaned"] == pl.read_csv(logs[1]).height
    assert before.about["until"] < entry["from"] <= entry["to"] == after.about["until"]
    data = after.about["data"]
    assert data["events"] == before.about["data"]["events"] + entry["events"] == after.vocabulary.table["support"].sum()
    assert data["items"] == len(after.vocabulary) == len(before.vocabulary) + entry["items"]
    assert after.vocabulary.ids.head(len(before.vocabulary)).equals(before.vocabulary.ids)
    assert "updates" not in before.about


def test_no_event_counts_twice(production: Path, logs: tuple[Path, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.csv"
    first, later = (pl.read_csv(log) for log in logs)
    pl.concat([first, later]).write_csv(both)
    assert segue("update", production, logs[1], "--out", tmp_path / "one").code == 0
    outcome = segue("update", production, both, "--out", tmp_path / "other")
    assert outcome.code == 0, outcome.err
    assert f"Left out: {first.height:,} events up to the end of the model's training." in outcome.out
    one, other = (Artifact.read(tmp_path / name) for name in ("one", "other"))
    assert all((array == other.arrays[name]).all() for name, array in one.arrays.items())
    outcome = segue("update", tmp_path / "one", logs[1], "--out", tmp_path / "twice")
    assert outcome.code == 2
    assert "error: LOG: contains no event after 20" in outcome.err
    assert not (tmp_path / "twice").exists()


def test_rare_new_items_are_dropped_and_rare_known_ones_kept(
    production: Path, logs: tuple[Path, Path], tmp_path: Path
) -> None:
    start = pl.read_csv(logs[1], try_parse_dates=True)["time"].max()
    known = Artifact.read(production).vocabulary.ids[0]
    rows = [(1, known), (1, 900_001), (1, 900_002), (2, 900_002), (2, known)]
    log = pl.DataFrame(rows, schema=["session", "item"], orient="row")
    log = log.with_columns(time=pl.lit(start) + pl.duration(minutes=pl.int_range(1, pl.len() + 1)))
    log.write_csv(tmp_path / "log.csv")
    assert segue("update", production, tmp_path / "log.csv", "--out", tmp_path / "new").code == 0
    after = Artifact.read(tmp_path / "new")
    (entry,) = after.about["updates"]
    assert (entry["events"], entry["items"], entry["cleaned"]) == (4, 1, 1)
    assert after.vocabulary.ids[-1] == 900_002


def test_a_network_learns_further(logs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = fitted(tmp_path, logs[0], "gru4rec", SMALL)
    for name in ("one", "other"):
        outcome = segue("update", folder, logs[1], "--out", tmp_path / name, "--epochs", 2, "--learning-rate", 0.02)
        assert outcome.code == 0, outcome.err
    one, other, before = (Artifact.read(path) for path in (tmp_path / "one", tmp_path / "other", folder))
    assert all((array == other.arrays[name]).all() for name, array in one.arrays.items())
    assert any((array.shape != before.arrays[name].shape) for name, array in one.arrays.items())
    replay = ("--history", logs[0], "--replay", 0.5)
    outcome = segue("update", folder, logs[1], "--out", tmp_path / "replayed", "--epochs", 2, *replay)
    assert outcome.code == 0, outcome.err
    new = one.vocabulary.ids[-1]
    assert new not in before.vocabulary.ids
    answer = json.loads(segue("recommend", tmp_path / "one", "--items", new, "-k", 5, "--json").out)
    assert (len(answer["items"]), answer["source"], answer["unknown"]) == (5, "model", [])


def test_new_items_bring_their_vectors(logs: tuple[Path, Path], tmp_path: Path) -> None:
    first, later = (pl.read_csv(log)["item"].unique().sort() for log in logs)
    rng = np.random.default_rng(0)

    def write_vectors(name: str, ids: pl.Series) -> None:
        rows = pl.Series("vector", rng.normal(size=(len(ids), 4)).astype(np.float32))
        pl.DataFrame([ids.alias("item"), rows]).write_parquet(tmp_path / f"{name}.parquet")

    write_vectors("first", first)
    config, old, new = tmp_path / "sasrec.yaml", tmp_path / "old", tmp_path / "new"
    parameters = "item_vectors: features, embedding_size: 8, inner_size: 8, training: {epochs: 1}"
    config.write_text(CONFIG.format(model="sasrec", parameters=parameters), encoding="utf-8")
    outcome = segue("fit", logs[0], "--config", config, "--item-vectors", tmp_path / "first.parquet", "--out", old)
    assert outcome.code == 0, outcome.err
    write_vectors("new", later.filter(~later.is_in(Artifact.read(old).vocabulary.table["item"].implode())))
    outcome = segue("update", old, logs[1], "--out", tmp_path / "without")
    assert "new items have no vector, which the model reads: --item-vectors" in outcome.err
    vectors = ("--item-vectors", tmp_path / "new.parquet", "--history", logs[0])
    outcome = segue("update", old, logs[1], "--out", new, *vectors)
    assert outcome.code == 0, outcome.err
    assert "have no vector" not in outcome.err
    before, after = Artifact.read(old), Artifact.read(new)
    assert after.vocabulary.table[VECTOR].null_count() == 0
    facts = after.about["item_vectors"]
    assert facts["items"] == len(after.vocabulary) > before.about["item_vectors"]["items"] == len(before.vocabulary)


def test_the_model_itself_is_replaced_only_with_overwrite(
    production: Path, logs: tuple[Path, Path], tmp_path: Path
) -> None:
    model = library.load(production)
    model.save(tmp_path / "model")
    before = tree(tmp_path)
    outcome = segue("update", tmp_path / "model", logs[1], "--out", tmp_path / "model")
    assert outcome.code == 2
    assert "--overwrite" in outcome.err
    assert tree(tmp_path) == before
    outcome = segue("update", tmp_path / "model", logs[1], "--out", tmp_path / "model", "--overwrite")
    assert outcome.code == 0, outcome.err
    assert len(Artifact.facts(tmp_path / "model")["updates"]) == 1


Finished = tuple[Path, Outcome]


def test_refusals(production: Path, finished: Finished, logs: tuple[Path, Path], log: Path, tmp_path: Path) -> None:
    tested = finished[0] / "stan"
    outcome = segue("update", tested, log, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert f"error: {tested}: must be a model for production" in outcome.err
    assert f"segue fit LOG --like {tested} --out production" in outcome.err
    plain = fitted(tmp_path, logs[0], "item-knn", "damping: 3.0")
    outcome = segue("update", plain, logs[1], "--out", tmp_path / "new")
    assert outcome.code == 2
    assert "with --set item-knn.updatable=true" in outcome.err
    outcome = segue("update", production, logs[1], "--out", tmp_path / "new", "--epochs", 3)
    assert outcome.code == 2
    assert "error: plan: has no effect on v-sknn" in outcome.err
    outcome = segue("update", production, logs[1], "--out", tmp_path / "new", "--replay", 1)
    assert outcome.code == 2
    assert "error: --replay: needs the log to learn again" in outcome.err
    untimed = tmp_path / "untimed.csv"
    pl.read_csv(logs[1]).drop("time").write_csv(untimed)
    outcome = segue("update", production, untimed, "--out", tmp_path / "new")
    assert outcome.code == 2
    assert "error: LOG: must have times" in outcome.err
    outcome = segue("update", production, logs[1], "--out", tmp_path / "new", "--learning-rate", -1)
    assert outcome.code == 2
    assert "error: --learning-rate: must be greater than 0, got -1" in outcome.err
    assert not (tmp_path / "new").exists()


def test_the_same_log_without_times_is_refused(tmp_path: Path) -> None:
    for name, sessions in (("one", [[1, 2, 3], [1, 2, 2, 4]]), ("two", [[2, 1, 5], [5, 1, 2]])):
        rows = [(f"{name}{number}", item) for number, one in enumerate(sessions) for item in one]
        frame = pl.DataFrame(rows, schema=["session", "item"], orient="row")
        frame.write_csv(tmp_path / f"{name}.csv")
    config = tmp_path / "markov.yaml"
    config.write_text(
        "models: [markov]\nset: {markov: {updatable: true}, protocol: {cleaning: {min_support: 1}}}\n", encoding="utf-8"
    )
    outcome = segue("fit", tmp_path / "one.csv", "--config", config, "--out", tmp_path / "0")
    assert outcome.code == 0, outcome.err
    assert segue("update", tmp_path / "0", tmp_path / "two.csv", "--out", tmp_path / "1").code == 0
    for log in ("one", "two"):
        outcome = segue("update", tmp_path / "1", tmp_path / f"{log}.csv", "--out", tmp_path / "2")
        assert outcome.code == 2
        assert f"error: LOG: must be a log of later events, and {tmp_path / '1'} was trained on this one" in outcome.err
    assert segue("recommend", tmp_path / "1", "--items", 5, "-k", 1).code == 0


def test_an_updated_model_is_not_tested_on_what_it_has_learnt(
    production: Path, logs: tuple[Path, Path], tmp_path: Path
) -> None:
    assert segue("update", production, logs[1], "--out", tmp_path / "new").code == 0
    for log in logs:
        outcome = segue("evaluate", tmp_path / "new", log)
        assert outcome.code == 2


@pytest.mark.parametrize("delay", [0.3, 1.5, 2.5])
def test_a_killed_update_leaves_the_model_as_it_was(
    production: Path, logs: tuple[Path, Path], tmp_path: Path, delay: float
) -> None:
    model = tmp_path / "model"
    library.load(production).save(model)
    before = tree(model)
    command = ["update", str(model), str(logs[1]), "--out", str(model), "--overwrite"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from segue.cli.main import main; main()", *command], stdout=subprocess.DEVNULL
    )
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    after = tree(model)
    if "updates" not in Artifact.read(model).about:
        assert after == before
    else:
        assert segue("recommend", model, "--items", Artifact.read(model).vocabulary.ids[0]).code == 0
