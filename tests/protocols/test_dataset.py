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
    names = {"protocol", "fingerprint", "hash", "stages", "notes", "overlapping_sessions", "log", "items"}
    names |= {"catalogue", "reading"}
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
    (copy / name).write_text(json.dumps({**json.loads((copy / name).read_text(encoding="utf-8")), **changes}))
    if name != "dataset.json":
        sign(copy, name)


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


def sign(copy: Path, name: str) -> None:
    """Put the checksum of a file into the manifest."""
    import hashlib

    manifest = json.loads((copy / "dataset.json").read_text(encoding="utf-8"))
    manifest["sha256"][name] = hashlib.sha256((copy / name).read_bytes()).hexdigest()
    (copy / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize("kind", [[], {}, [1, 2], 5, None])
def test_a_kind_that_is_no_name_is_refused(copy: Path, kind: object) -> None:
    protocol = sessions().protocol.model_dump(mode="json")
    rewrite(copy, "about.json", {"protocol": {**protocol, "split": {**protocol["split"], "kind": kind}}})
    with pytest.raises(
        ArtifactError, match=r"about\.json: cannot be read \(.*protocol.split: must be one of 'last-days'"
    ):
        segue.open_dataset(copy)


def test_pickled_objects_are_not_loaded(copy: Path) -> None:
    np.save(copy / "train" / "items.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    sign(copy, "train/items.npy")
    with pytest.raises(ArtifactError, match=r"train/items\.npy: cannot be read"):
        segue.open_dataset(copy)


Change = Callable[[pl.DataFrame], pl.DataFrame]

TABLES: dict[str, tuple[str, Change, str]] = {
    "a row less": ("train/columns", lambda table: table.head(-1), "must have 595 rows, got 594"),
    "a session less": ("train/sessions", lambda table: table.head(-1), "must have 158 rows, got 157"),
    "a reserved name": (
        "test/columns",
        lambda table: table.rename({"kind": "item"}),
        "must have no column 'item', got 'item' of String, 'price' of Float64",
    ),
    "decimal users": (
        "train/columns",
        lambda table: table.rename({"price": "user"}),
        "column 'user' must be Int64 or String, got Float64",
    ),
    "another name of the ids": (
        "train/sessions",
        lambda table: table.rename({"session": "id"}),
        "must have one column, 'session', of Int64 or String, got 'id' of Int64",
    ),
    "ids in a structure": (
        "train/sessions",
        lambda table: table.select(pl.struct("session").alias("session")),
        "must have one column, 'session', of Int64 or String, got 'session' of Struct",
    ),
    "more than ids": (
        "train/sessions",
        lambda table: table.with_columns(more=1),
        "must have one column, 'session', of Int64 or String, got 'session' of Int64, 'more' of Int32",
    ),
    "another type in the test part": (
        "test/columns",
        lambda table: table.with_columns(pl.col("price").cast(pl.Float32)),
        "test: must have the columns of the training sessions, {'kind': 'String', 'price': 'Float64'}, got {'kind': "
        "'String', 'price': 'Float32'}; copy",
    ),
    "fewer columns in the validation part": (
        "valid/columns",
        lambda table: table.drop("price"),
        "valid: must have the columns of the training sessions, {'kind': 'String', 'price': 'Float64'}, got {'kind': "
        "'String'}; copy",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_other_columns_are_refused(copy: Path, case: str) -> None:
    name, change, message = TABLES[case]
    file = copy / f"{name}.parquet"
    change(pl.read_parquet(file)).write_parquet(file)
    sign(copy, f"{name}.parquet")
    with pytest.raises(ArtifactError) as caught:
        segue.open_dataset(copy)
    assert message in str(caught.value)
    assert "copy the whole folder again, or prepare the log again" in str(caught.value)


def test_values_of_columns_are_checked_on_first_use(copy: Path) -> None:
    keys, columns = copy / "train" / "sessions.parquet", copy / "train" / "columns.parquet"
    table = pl.read_parquet(keys)
    table.with_columns(pl.when(pl.int_range(pl.len()) != 3).then("session").alias("session")).write_parquet(keys)
    dates = pl.repeat(10_000_000, len(pl.read_parquet(columns)), eager=True, dtype=pl.Int32).cast(pl.Date)
    for part in ("train", "valid", "test"):
        file = copy / part / "columns.parquet"
        rows = pl.read_parquet(file)
        rows.with_columns(price=dates.head(len(rows))).write_parquet(file)
        sign(copy, f"{part}/columns.parquet")
    sign(copy, "train/sessions.parquet")
    opened = segue.open_dataset(copy)
    with pytest.raises(ArtifactError, match=r"sessions.parquet: cannot be read \(column 'session' must have a value"):
        opened.train.find(5)
    with pytest.raises(ArtifactError, match=r"columns.parquet: cannot be read \(column 'price', row 0: must lie"):
        opened.train.columns["price"]
    assert opened.train.columns["kind"].len() == len(opened.train.items)


def test_a_damaged_page_is_an_error_on_first_use(copy: Path) -> None:
    file = copy / "train" / "columns.parquet"
    content = bytearray(file.read_bytes())
    content[60:400] = bytes(340)
    file.write_bytes(content)
    sign(copy, "train/columns.parquet")
    with pytest.raises(ArtifactError, match=r"train/columns.parquet: cannot be read \(.*\); copy the whole folder"):
        segue.open_dataset(copy).train.columns["kind"]


def test_a_table_that_takes_far_more_memory_is_refused(copy: Path) -> None:
    rows = len(np.load(copy / "train" / "items.npy"))
    for part in ("train", "valid", "test"):
        file = copy / part / "columns.parquet"
        table = pl.read_parquet(file)
        texts = ["a" * (200_000_000 // rows) if part == "train" else "a" for _ in range(len(table))]
        table.with_columns(kind=pl.int_range(pl.len()).cast(pl.String) + pl.Series(texts)).write_parquet(file)
        sign(copy, f"{part}/columns.parquet")
    with pytest.raises(ArtifactError, match=r"columns.parquet: cannot be read \(it would take 190 MiB of memory, more"):
        segue.open_dataset(copy)


def test_arrays_that_contradict_each_other_are_refused(copy: Path) -> None:
    def attempt(name: str, change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
        whole = (copy / name).read_bytes()
        np.save(copy / name, change(np.load(copy / name)))
        sign(copy, name)
        with pytest.raises(ArtifactError, match=message):
            segue.open_dataset(copy)
        (copy / name).write_bytes(whole)
        sign(copy, name)

    def swapped(times: np.ndarray) -> np.ndarray:
        offsets = np.load(copy / "train" / "offsets.npy")
        place = int(offsets[np.flatnonzero(np.diff(offsets) > 1)[3]])
        times[place : place + 2] = times[place + 1], times[place + 1] - 1
        return times

    attempt("train/times.npy", swapped, r"train.times: must not decrease within each row, got \d+ after \d+ at")
    attempt("train/offsets.npy", lambda offsets: offsets + 1, "train.offsets: must start with 0 and end with")
    attempt("test/starts.npy", lambda starts: starts + 10**9, "test.starts: must have values from 0 to")
    attempt("test/ends.npy", lambda ends: ends * 0, "test.ends: must have no value below that of starts, got 0 below")
    attempt("test/targets.npy", lambda targets: targets[:-1], r"test.targets: must have the shape \(C\)")
    assert segue.open_dataset(copy)


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
