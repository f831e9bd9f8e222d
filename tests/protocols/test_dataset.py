"""A prepared data set on disk: what is opened is what was saved, and nothing else is."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.data.arrays import StoredColumns
from segue.data.cases import Cases
from segue.data.fingerprint import fingerprint_cases, fingerprint_sessions
from segue.data.synthetic import shop
from segue.errors import ArtifactError, LogError, ParameterError
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import protocol_hash


def sessions() -> Dataset:
    """Visits with times, further columns with absent values, and metadata of items."""
    events = shop(300, 0)
    kinds = pl.Series([None if row % 7 == 0 else f"kind {row % 3}" for row in range(len(events))])
    prices = pl.Series([None if row % 5 == 0 else float(row) for row in range(len(events))])
    return segue.prepare(replace(events, frame=events.frame.with_columns(kind=kinds, price=prices)))


def histories() -> Dataset:
    """Histories of users with text ids, in file order."""
    rng = np.random.default_rng(0)
    users = [f"näme {user}" for user in np.repeat(np.arange(40), 10)]
    items = rng.permuted(np.tile(np.arange(20), (40, 1)), axis=1)[:, :10].ravel()
    return segue.prepare(
        segue.read(pl.DataFrame({"user": users, "item": items})), "leave-one-out", cleaning={"k_core": 2}
    )


def together() -> Dataset:
    """Several targets per case."""
    return segue.prepare(shop(300, 0), "recbole")


def labelled() -> Dataset:
    """Cases with labels, and nothing held out for validation."""
    events = shop(300, 0)
    stars = pl.Series([1.0 + row % 5 for row in range(len(events))])
    log = replace(events, frame=events.frame.with_columns(rating=stars))
    return segue.prepare(
        log,
        "session-next",
        ranking={"candidates": "labeled"},
        cases={"label_threshold": 4.0},
        split={"valid_days": 0.0},
    )


def divided() -> Dataset:
    """A given split whose parts share an id."""
    log = pl.DataFrame(
        {
            "session": [1, 1, 2, 2, 1, 1],
            "item": [1, 2, 2, 1, 2, 1],
            "time": [10, 50, 60, 70, 20, 30],
            "part": ["train"] * 4 + ["test"] * 2,
        }
    )
    return segue.prepare(segue.read(log), split={"valid_share": 0.0})


def without_training() -> Dataset:
    """What a trained model is tested on."""
    data = sessions()
    return segue.prepare(shop(100, 1), data.protocol.on_whole_log(), vocabulary=data.vocabulary)


KINDS: dict[str, Callable[[], Dataset]] = {
    kind.__name__: kind for kind in (sessions, histories, together, labelled, divided, without_training)
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """A data set and its folder. Not to be written to."""
    data = sessions()
    return data, data.save(tmp_path_factory.mktemp("sets") / "visits")


def assert_same_arrays(one: object, other: object) -> None:
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
            assert not right.flags.writeable
            assert type(right) is np.ndarray
        elif isinstance(left, pl.DataFrame):
            assert isinstance(right, StoredColumns)
            assert right.columns == left.columns
            assert right[np.arange(left.height)].equals(left)
            assert all(right[name].dtype == left[name].dtype for name in left.columns)
        else:
            assert (left is None) == (right is None)


def assert_same_cases(one: Cases, other: Cases) -> None:
    assert_same_arrays(one, other)
    assert_same_arrays(one.prefixes, other.prefixes)
    assert one.exclude_seen == other.exclude_seen
    assert fingerprint_cases(one) == fingerprint_cases(other)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_was_saved_is_opened(kind: str, tmp_path: Path) -> None:
    data = replace(KINDS[kind](), log="clicks", items="items.csv")
    folder = data.save(tmp_path / "set")
    assert folder == tmp_path / "set"
    opened = segue.open_dataset(folder)
    names = {"protocol", "fingerprint", "hash", "stages", "notes", "overlapping_sessions", "log", "items", "catalogue"}
    for name in names:
        assert getattr(opened, name) == getattr(data, name), name
    assert names | {"train", "valid", "test"} == {field.name for field in fields(Dataset)}
    assert opened.describe() == data.describe()
    assert opened.statistics() == data.statistics()
    assert opened.vocabulary.table.equals(data.vocabulary.table)
    assert opened.vocabulary.table.schema == data.vocabulary.table.schema
    assert opened.vocabulary.hash == data.vocabulary.hash
    assert_same_arrays(data.train, opened.train)
    assert fingerprint_sessions(opened.train) == fingerprint_sessions(data.train)
    assert opened.train.ids.equals(data.train.ids)
    assert_same_cases(data.test, opened.test)
    assert (data.valid is None) == (opened.valid is None)
    if data.valid is not None:
        assert_same_cases(data.valid, opened.valid)
    assert segue.lint(opened) == segue.lint(data)


def test_kinds_are_as_different_as_they_should_be() -> None:
    made = {name: kind() for name, kind in KINDS.items()}
    assert made["sessions"].train.columns.columns == ["kind", "price"]
    assert made["sessions"].vocabulary.metadata
    assert made["histories"].train.times is None
    assert made["histories"].train.ids.dtype == pl.String
    assert made["together"].test.offsets is not None
    assert made["labelled"].test.labels is not None
    assert made["labelled"].valid is None
    assert made["divided"].overlapping_sessions == 1
    assert len(made["without_training"].train) == 0


def test_an_opened_data_set_can_be_saved_again(saved: tuple[Dataset, Path], tmp_path: Path) -> None:
    _, folder = saved
    again = segue.open_dataset(segue.open_dataset(folder).save(tmp_path / "again"))
    assert fingerprint_sessions(again.train) == fingerprint_sessions(saved[0].train)
    first, second = (
        json.loads((one / "dataset.json").read_text(encoding="utf-8")) for one in (folder, tmp_path / "again")
    )
    assert first["sha256"] == second["sha256"]


def test_columns_are_read_when_they_are_used_even_if_the_folder_is_gone(
    saved: tuple[Dataset, Path], tmp_path: Path
) -> None:
    data, folder = saved
    shutil.copytree(folder, tmp_path / "set")
    opened = segue.open_dataset(tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    assert opened.train.columns["kind"].equals(data.train.columns["kind"])
    assert opened.train.find(data.train.ids[5]) == 5
    assert opened.train.events_of(data.train.ids[5]).equals(data.train.events_of(data.train.ids[5]))
    np.testing.assert_array_equal(opened.train.items, data.train.items)


def test_an_older_data_set_is_replaced_and_nothing_else(saved: tuple[Dataset, Path], tmp_path: Path) -> None:
    data, _ = saved
    histories().save(tmp_path / "set")
    data.save(tmp_path / "set")
    assert segue.open_dataset(tmp_path / "set").hash == data.hash
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("precious", encoding="utf-8")
    with pytest.raises(ArtifactError, match="photos: contains other files; choose another folder"):
        data.save(tmp_path / "photos")
    assert (tmp_path / "photos" / "a.jpg").read_text(encoding="utf-8") == "precious"


@pytest.fixture
def copy(saved: tuple[Dataset, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[1], tmp_path / "copy"))


def test_damaged_and_missing_files_are_named(saved: tuple[Dataset, Path], copy: Path) -> None:
    files = [file.relative_to(copy) for file in copy.rglob("*") if file.is_file() and file.name != "dataset.json"]
    assert len(files) == 21
    for name in files:
        whole = (copy / name).read_bytes()
        for damage in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], whole + b"\0"):
            (copy / name).write_bytes(damage)
            with pytest.raises(ArtifactError, match=rf"{name}: does not match its checksum, so it is damaged; copy"):
                segue.open_dataset(copy)
        (copy / name).unlink()
        with pytest.raises(ArtifactError, match=rf"{name}: is missing; copy the whole folder again"):
            segue.open_dataset(copy)
        (copy / name).write_bytes(whole)
    assert segue.open_dataset(copy).hash == saved[0].hash


def rewrite(copy: Path, name: str, changes: dict[str, object]) -> None:
    """Change a JSON file of a folder, and its checksum."""
    import hashlib

    (copy / name).write_text(json.dumps({**json.loads((copy / name).read_text(encoding="utf-8")), **changes}))
    if name != "dataset.json":
        manifest = json.loads((copy / "dataset.json").read_text(encoding="utf-8"))
        manifest["sha256"][name] = hashlib.sha256((copy / name).read_bytes()).hexdigest()
        (copy / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_foreign_newer_and_incompatible_folders_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: does not exist; name a folder that segue prepare wrote"):
        segue.open_dataset(tmp_path / "nowhere")
    model = segue.Popularity().fit(sessions().train).save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"model: is not a prepared data set of segue \(it has no dataset.json\)"):
        segue.open_dataset(model)
    with pytest.raises(ArtifactError, match=r"copy: is not an artifact of segue \(it has no manifest.json\)"):
        segue.load(copy)
    with pytest.raises(LogError, match=r"copy: is a prepared data set, not a log; open it with segue.open_dataset"):
        segue.read(copy)
    rewrite(copy, "about.json", {"hash": "0123456789ab"})
    with pytest.raises(ArtifactError, match=r"about\.json: has hash 0123456789ab, .*; prepare the log again"):
        segue.open_dataset(copy)
    rewrite(copy, "about.json", {"protocol": {"split": "last-days", "test_days": 1.0}})
    with pytest.raises(ArtifactError, match=r"about.json: was written by an earlier version of segue, .* prepare"):
        segue.open_dataset(copy)
    rewrite(copy, "about.json", {"protocol": {"split": {"kind": "by-moon"}}})
    with pytest.raises(ArtifactError, match=r"about.json: cannot be read \(protocol.split: must be one of 'last-"):
        segue.open_dataset(copy)
    about = json.loads((copy / "about.json").read_text(encoding="utf-8"))
    rewrite(copy, "about.json", {"protocol": sessions().protocol.model_dump(mode="json")})
    about = {name: value for name, value in about.items() if name != "catalogue"}
    (copy / "about.json").write_text(json.dumps(about), encoding="utf-8")
    rewrite(copy, "about.json", {})
    with pytest.raises(ArtifactError, match=r"about\.json: cannot be read"):
        segue.open_dataset(copy)
    rewrite(copy, "dataset.json", {"format": 2})
    with pytest.raises(ArtifactError, match="has format 2, this version of segue reads up to 1; upgrade segue"):
        segue.open_dataset(copy)
    (copy / "dataset.json").rename(tmp_path / "dataset.json")
    half = "copy: is a prepared data set whose dataset.json is missing; copy the whole folder again, or prepare the log"
    with pytest.raises(ArtifactError, match=half):
        segue.open_dataset(copy)
    with pytest.raises(LogError, match=half):
        segue.read(copy)
    for foreign in ("[]", '{"sha256": []}', "{"):
        (copy / "dataset.json").write_text(foreign, encoding="utf-8")
        with pytest.raises(ArtifactError, match=r"dataset\.json: (is not a manifest|cannot be read)"):
            segue.open_dataset(copy)


def test_pickled_objects_are_not_loaded(copy: Path) -> None:
    import hashlib

    np.save(copy / "train" / "items.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    manifest = json.loads((copy / "dataset.json").read_text(encoding="utf-8"))
    content = (copy / "train" / "items.npy").read_bytes()
    manifest["sha256"]["train/items.npy"] = hashlib.sha256(content).hexdigest()
    (copy / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"train/items\.npy: cannot be read"):
        segue.open_dataset(copy)


def test_a_data_set_can_be_measured_otherwise_but_not_prepared_otherwise() -> None:
    data = sessions()
    other = data.measured_by({"ranking": {"metrics": ["recall@3"]}, "decimals": 2, "valid_metric": "mrr@5"})
    assert other.protocol.ranking.metrics == ("recall@3",)
    assert other.train is data.train
    assert other.hash == protocol_hash(other.protocol, data.fingerprint)
    assert data.measured_by({}).hash == data.hash
    assert data.measured_by(data.protocol.model_dump()).hash == data.hash
    assert list(data.prepared_otherwise({"split": "ratio", "cases": {"targets": "last"}, "decimals": 2})) == [
        ("split", data.protocol.split.kind),
        ("cases.targets", data.protocol.cases.targets),
    ]
    with pytest.raises(ParameterError) as caught:
        data.measured_by({"cleaning": {"k_core": 5}, "ranking": {"candidates": "labeled"}})
    assert str(caught.value) == (
        "protocol.cleaning.k_core: is fixed when a log is prepared, and this data set has 1; remove it, or "
        "prepare the log again\nprotocol.ranking.candidates: 'labeled' is fixed when a log is prepared, and this "
        "data set has 'full'; remove it, or prepare the log again"
    )
    with pytest.raises(ParameterError, match=r"protocol\.ranking\.metrics: rmse compare a score with a label"):
        data.measured_by({"ranking": {"metrics": ["rmse"]}})
    with pytest.raises(ParameterError, match=r"protocol\.ranking\.metrics: must be among auc, logloss, mae, rmse"):
        labelled().measured_by({"ranking": {"metrics": ["recall@3"]}})
