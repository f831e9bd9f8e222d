"""`segue score`: the lists that `recommend` gives, in files whose bytes depend on no partition and no process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from command import segue, tree

import segue as library
from scored_shop import MODELS, make_scored_shop
from segue.data.partitions import OnDisk
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.experiment.batch_scoring import Lists, score_log
from segue.experiment.config import RunConfig
from segue.experiment.prepared_data import stage_log


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A log with unknown items, and models of the same shop."""
    return make_scored_shop(tmp_path_factory.mktemp("score"))


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Set the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def read(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(f"{folder}/*.parquet")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("options", [(), ("--exclude-seen",)])
def test_the_lists_of_recommend(name: str, options: tuple[str, ...], shop: tuple[Path, Path], tmp_path: Path) -> None:
    log, run = shop
    outcome = segue("score", run / name, log, "--out", tmp_path / "out", "--k", 5, *options)
    assert outcome.code == 0, outcome.err
    found = read(tmp_path / "out")
    frame = library.read(log).frame.sort("session", "time", maintain_order=True)
    sessions = frame.group_by("session", maintain_order=True).agg("item")
    model = library.load(run / name)
    answers = model.recommend(sessions["item"].to_list(), 5, exclude_seen=bool(options))
    assert any(one.source == "popularity" for one in answers)
    assert any(one.unknown for one in answers if one.source == "model")
    assert found["item"].to_list() == [item for one in answers for item in one.items]
    assert found["score"].to_list() == pytest.approx([score for one in answers for score in one.scores], rel=1e-5)
    assert found["session"].unique(maintain_order=True).to_list() == sessions["session"].to_list()
    ranks = [rank for one in answers for rank in range(1, len(one.items) + 1)]
    assert found["rank"].to_list() == ranks
    assert f"{found.height:,} items for {len(answers):,} sessions" in outcome.out


def test_what_the_model_does_not_know_is_counted(shop: tuple[Path, Path], tmp_path: Path) -> None:
    log, run = shop
    frame = pl.read_csv(log, infer_schema_length=None)
    catalogue = set(library.load(run / "v-sknn").vocabulary.ids.to_list())
    known = frame["item"].is_in(list(catalogue))
    lost = set(frame["session"]) - set(frame.filter(known)["session"])
    outcome = segue("score", run / "v-sknn", log, "--out", tmp_path / "out")
    said = (
        f"{(~known).sum():,} of {len(frame):,} events are of items that the model does not know and are ignored; "
        f"{len(lost):,} of {frame['session'].n_unique():,} sessions have no others, and get popular items"
    )
    assert lost
    assert said in outcome.err + outcome.out

    renamed = frame.with_columns(item=pl.col("item") + 1_000_000)
    renamed.write_csv(tmp_path / "renamed.csv")
    outcome = segue("score", run / "v-sknn", tmp_path / "renamed.csv", "--out", tmp_path / "other")
    assert outcome.code == 2
    assert "LOG: must have items that the model knows, got none in" in outcome.err
    assert not list(tmp_path.glob("other*"))


def test_the_usual_length_of_a_list_is_at_most_the_catalogue(tmp_path: Path) -> None:
    log = pl.DataFrame({"session": [1, 1, 1, 2, 2], "item": ["a", "b", "c", "a", "b"], "time": range(5)})
    log.write_csv(tmp_path / "log.csv")
    offsets = np.array([0, 3, 5])
    vocabulary = Vocabulary(pl.DataFrame({"item": ["a", "b", "c"], "support": [2, 2, 1]}))
    train = Sessions(np.array([1, 2, 3, 1, 2], dtype=np.int32), offsets, None, vocabulary)
    library.VSKNN().fit(train).save(tmp_path / "model")
    outcome = segue("score", tmp_path / "model", tmp_path / "log.csv", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert read(tmp_path / "out")["rank"].max() == 3
    for command in ("recommend", "why"):
        outcome = segue(command, tmp_path / "model", "--items", "a")
        assert outcome.code == 0, outcome.err
        refused = segue(command, tmp_path / "model", "--items", "a", "-k", 4)
        assert refused.err == "error: --k: must be between 1 and the 3 known items, got 4\n"


def parts(log: Path, model: Path, out: Path, partitions: int, engine: Any) -> dict[str, bytes]:
    source = stage_log(RunConfig(log=str(log), models=[]), engine, 1 << 30)
    lists = Lists(model, "", 10)
    score_log(source, lists, out, engine, memory=1 << 30, partitions=partitions, part_sessions=70)
    return tree(out)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("own_threads")
def test_partitions_and_threads_change_nothing(name: str, shop: tuple[Path, Path], tmp_path: Path) -> None:
    log, run = shop
    found = []
    for count in (1, 3, 8):
        torch.set_num_threads(count)
        found.append(parts(log, run / name, tmp_path / f"out-{count}", count, OnDisk(tmp_path / f"work-{count}")))
    assert len(found[0]) > 4
    assert found[0] == found[1] == found[2]


def test_the_training_sessions_of_a_data_set(shop: tuple[Path, Path], tmp_path: Path) -> None:
    prepared = shop[0].with_name("data")
    outcome = segue("score", shop[1] / "v-sknn", prepared, "--out", tmp_path / "out", "--k", 3)
    assert outcome.code == 0, outcome.err
    data, found = library.open_dataset(prepared), read(tmp_path / "out")
    items, scores = library.load(shop[1] / "v-sknn").top_k(data.train.as_prefixes(), 3)
    listed = items[items > 0].tolist()
    assert found["item"].to_list() == data.vocabulary.decode(items[items > 0])
    assert found["score"].to_list() == scores[items > 0].tolist()
    assert len(listed) == found.height
    assert data.train.ids is not None
    assert found["session"].unique(maintain_order=True).to_list() == data.train.ids.to_list()


def test_a_command_that_was_killed_continues(
    shop: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("score", shop[1] / "v-sknn", shop[0], "--out", tmp_path / "out")
    calls = []
    run_all = OnDisk._run_all

    def interrupted(self: OnDisk, tasks: Any) -> Any:
        for done in run_all(self, tasks):
            calls.append(self._calls)
            if len(calls) == 3:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(OnDisk, "_run_all", interrupted)
    assert segue(*command).code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out.work"]
    assert segue(*command).code == 0
    assert calls[:4] == [1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_mistakes(shop: tuple[Path, Path], tmp_path: Path) -> None:
    log, run = shop
    out = tmp_path / "out"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine", encoding="utf-8")
    wrong = {
        "--k: must be between 1 and the": ("score", run / "v-sknn", log, "--out", out, "--k", 0),
        "--memory: must be at least 500MB": ("score", run / "v-sknn", log, "--out", out, "--memory", "1MB"),
        "--out: ": ("score", run / "v-sknn", log, "--out", tmp_path / "other"),
        "LOG: must be prepared with the catalogue of the model": (
            *("score", run / "v-sknn", tmp_path / "data", "--out", out),
        ),
    }
    library.prepare(library.read(log), cleaning={"min_support": 3}).save(tmp_path / "data")
    for said, command in wrong.items():
        outcome = segue(*command)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {said}")
        assert not out.exists()
        assert not out.with_name("out.work").exists()


def test_scores_are_only_replaced_on_demand(shop: tuple[Path, Path], tmp_path: Path) -> None:
    command = ("score", shop[1] / "popularity", shop[0], "--out", tmp_path / "out")
    assert segue(*command).code == 0
    before = tree(tmp_path / "out")
    assert "already contains scores; add --overwrite" in " ".join(segue(*command).err.split())
    assert segue(*command, "--k", 3, "--overwrite").code == 0
    assert tree(tmp_path / "out") != before
