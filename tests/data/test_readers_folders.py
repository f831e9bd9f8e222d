"""Folders: the given split, pieces of one log, the log among other files, and real folders."""

import re

import polars as pl
import pytest

from segue.data.readers.read import read
from segue.errors import LogError


def fill(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def test_a_given_split(tmp_path):
    fill(
        tmp_path,
        shop_train__csv="session,item,time\n1,5,10\n1,6,20\n",
        shop_valid__csv="session,item,time\n2,5,30\n",
        shop_test__csv="session,item,time,shop\n1,x,40,north\n",
    )
    events = read(tmp_path)
    assert events.frame.drop("time").rows() == [
        (1, "5", "train", None),
        (1, "6", "train", None),
        (2, "5", "valid", None),
        (1, "x", "test", "north"),
    ]
    assert events.n_sessions == 3
    assert events.notes == (
        "folder: a predefined split, train is shop_train.csv, valid is shop_valid.csv, test is shop_test.csv",
        "format: fields separated by comma, with a header",
        "columns: session is 'session', item is 'item', "
        "time is 'time' (seconds since 1970, detected from their magnitude)",
        "column 'time': numbers too small for dates are read as seconds counted from 1970; if they are dates, give "
        'their format, for example --time-format "%y%m%d" (time_format= in Python)',
        "test: features: 'shop'",
        "time: from 1970-01-01 00:00 to 1970-01-01 00:00 UTC",
    )


def test_the_whole_training_part_is_preferred(tmp_path):
    log = "session\titem\n"
    fill(tmp_path, train_full__tsv=log + "1\t5\n2\t5\n", train_tr__tsv=log + "1\t5\n")
    fill(tmp_path, train_valid__tsv=log + "2\t5\n", test__tsv=log + "3\t5\n", README__md="about")
    events = read(tmp_path)
    assert events.frame["part"].to_list() == ["train", "train", "test"]
    assert events.notes[0] == (
        "folder: a predefined split, train is train_full.tsv, test is test.tsv; 'train_tr.tsv', 'train_valid.tsv' "
        "not read"
    )


def test_smaller_parts_are_taken_without_a_whole_one(tmp_path):
    log = "session\titem\n"
    fill(tmp_path, train_tr__tsv=log + "1\t5\n", train_valid__tsv=log + "2\t5\n", test__tsv=log + "3\t5\n")
    assert read(tmp_path).frame["part"].to_list() == ["train", "valid", "test"]


def test_mistakes_of_all_parts_come_together(tmp_path):
    fill(tmp_path, train__csv="session,item,time\n1,5,noon\n", test__csv="session,thing\n1,2\n")
    with pytest.raises(LogError) as caught:
        read(tmp_path)
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"{tmp_path / 'train.csv'}: line 2, column 'time': must be a number")
    assert second.startswith(f"{tmp_path / 'test.csv'}: has no column for the item; it has 'session', 'thing'")


def test_parts_agree_about_time(tmp_path):
    fill(tmp_path, train__csv="session,item,time\n1,5,10\n", test__csv="session,item\n1,2\n")
    expected = "the part train has a time column, others have none; give it to all parts or to none"
    with pytest.raises(LogError, match=expected):
        read(tmp_path)


def test_two_files_for_a_part(tmp_path):
    fill(
        tmp_path, train__csv="session,item\n1,5\n", train__tsv="session\titem\n1\t5\n", test__csv="session,item\n1,5\n"
    )
    expected = f"{tmp_path}: contains several files for the part train ('train.csv', 'train.tsv'); keep one of them"
    with pytest.raises(LogError, match=re.escape(expected)):
        read(tmp_path)


def test_parquet_pieces(tmp_path):
    pl.DataFrame({"session": [1], "item": [5]}).write_parquet(tmp_path / "part-0.parquet")
    pl.DataFrame({"session": [2], "item": [6]}).write_parquet(tmp_path / "part-1.parquet")
    (tmp_path / "_SUCCESS").touch()
    events = read(tmp_path)
    assert events.frame.rows() == [(1, 5), (2, 6)]
    assert events.notes[0] == "format: Parquet, 2 files in order of their names"


def test_parquet_pieces_of_different_logs(tmp_path):
    pl.DataFrame({"session": [1], "item": [5]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"visit": [2]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(LogError, match=re.escape(f"{tmp_path}: cannot be read as Parquet")):
        read(tmp_path)


def test_the_only_log_of_a_folder(tmp_path):
    fill(tmp_path, visits__txt="1 1\n1 2\n2 1\n", movies__dat="1::Pan\n", README__md="about", LICENSE="free")
    events = read(tmp_path)
    assert len(events) == 3
    assert events.items is None
    assert events.notes[0] == "folder: the log is visits.txt; 'LICENSE', 'README.md', 'movies.dat' not read"


def test_the_log_among_other_files(tmp_path):
    fill(tmp_path, events__csv="visitorid,itemid\n1,2\n", category_tree__csv="categoryid,parentid\n1,2\n")
    assert read(tmp_path).unit == "user"


def test_folders_that_do_not_decide(tmp_path):
    with pytest.raises(
        LogError, match=re.escape(f"{tmp_path}: contains no file that can be a log; name the file itself")
    ):
        read(tmp_path)
    fill(tmp_path, a__csv="session,item\n1,2\n", b__csv="session,item,time\n1,2,3\n")
    expected = (
        f"{tmp_path}: contains several files that can be a log ('a.csv', 'b.csv'); name one of them, or the pieces of "
        f"one log by a pattern such as '{tmp_path}/*.csv'"
    )
    with pytest.raises(LogError, match=re.escape(expected)):
        read(tmp_path)


def test_recbole_parts_share_their_metadata(tmp_path):
    header = "user_id:token\titem_id:token\n"
    (tmp_path / "shop.train.inter").write_text(header + "1\t5\n", encoding="utf-8")
    (tmp_path / "shop.test.inter").write_text(header + "1\t6\n", encoding="utf-8")
    (tmp_path / "shop.item").write_text("item_id:token\ttitle:token_seq\n5\tPan\n6\tPot\n", encoding="utf-8")
    (tmp_path / "shop.user").write_text("user_id:token\tage:float\n1\t33\n", encoding="utf-8")
    events = read(tmp_path)
    assert events.frame.rows() == [(1, 5, "train"), (1, 6, "test")]
    assert events.n_sessions == 1
    assert events.items is not None
    assert events.items["title"].to_list() == ["Pan", "Pot"]
    assert events.users is not None
    assert events.users.rows() == [(1, 33)]


def test_a_name_is_looked_up_in_the_folder_of_logs(tmp_path, monkeypatch):
    (tmp_path / "mylog").mkdir()
    fill(tmp_path / "mylog", clicks__csv="session,item\n1,2\n")
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path))
    assert len(read("mylog")) == 1


@pytest.mark.parametrize("pattern", ["", "clicks-*.csv"])
def test_files_with_one_header_are_pieces_of_a_log(tmp_path, pattern):
    header = "session,item,time\n"
    files = {f"clicks-0{day}__csv": f"{header}{day},5,{day}0\n{day},007,{day}5\n" for day in (2, 1, 3)}
    fill(tmp_path, **files)
    events = read(tmp_path / pattern)
    assert events.frame["session"].to_list() == [1, 1, 2, 2, 3, 3]
    assert events.frame["item"].to_list() == ["5", "007"] * 3
    assert events.notes[0] == "pieces: 3 files read as one log, clicks-01.csv to clicks-03.csv"
    fill(tmp_path, **{"clicks-02__csv": f"{header}2,5,20\n2,6,noon\n", "clicks-03__csv": f"{header}3,5,never\n"})
    with pytest.raises(LogError, match=r"clicks-02.csv line 3, clicks-03.csv line 2, column 'time': must be a number"):
        read(tmp_path / pattern)


def test_columns_of_pieces_have_one_type(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"session": 1, "item": 2, "time": 3}\n')
    (tmp_path / "b.jsonl").write_text('{"session": 1, "item": [2], "time": 3}\n')
    pattern = tmp_path / "*.jsonl"
    expected = (
        f"{pattern}: the values of 'item' must have one type in all files, got Int64, List(Int64); correct or remove "
        "the files that differ"
    )
    with pytest.raises(LogError, match=f"^{re.escape(expected)}$"):
        read(pattern)


def test_pieces_have_the_same_columns(tmp_path):
    fill(tmp_path, a1__csv="session,item\n1,2\n", a2__csv="session,item,time\n1,2,3\n")
    with pytest.raises(LogError, match=r"a2.csv: must have the columns of a1.csv \('session', 'item'\), got"):
        read(tmp_path / "a*.csv")


def test_a_name_does_not_change_what_is_read(tmp_path):
    lines = "1 5 6 5\n2 5\n"
    for folder in ("retailrocket", "beauty", "ml-1m", "shopclicks"):
        (tmp_path / folder).mkdir()
        events = read(fill(tmp_path / folder, train__txt=lines, test__txt=lines))
        assert events.unit == "session"
        assert events.notes[1] == (
            "format: one sequence per line, an id and its items in order; "
            "a line is one session, add --unit user if it is a user's whole history"
        )
    assert read(tmp_path / "beauty" / "train.txt", unit="user").unit == "user"
    row = "1,2014-04-07T10:51:09.277Z,214536502,0\n"
    fill(tmp_path, **{"yoochoose-clicks__dat": row, "clicks__dat": row})
    notes = [read(tmp_path / name).notes for name in ("yoochoose-clicks.dat", "clicks.dat")]
    assert notes[0] == notes[1]


REAL = {
    "yoochoose-100k": (83_846, 17_794 + 3_416, 2_933, "session", {"train": 70_278, "test": 13_568}),
    "diginetica": (982_961, 186_670 + 15_963, 43_097, "session", {"train": 906_140, "test": 76_821}),
    "ml-1m": (999_611, 6_040, 3_416, "user", {}),
    "ml-100k": (100_000, 943, 1_682, "user", {}),
    "beauty": (198_502, 22_363, 12_101, "session", {}),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_folders(real_data, name):
    n_events, n_sessions, n_items, unit, parts = REAL[name]
    events = read(real_data / name)
    assert (len(events), events.n_sessions, events.n_items, events.unit) == (n_events, n_sessions, n_items, unit)
    if events.has_parts:
        assert dict(events.frame["part"].value_counts().rows()) == parts
    assert events.frame.null_count().sum_horizontal().item() == 0


@pytest.mark.real
def test_real_metadata(real_data):
    films = read(real_data / "ml-100k")
    assert films.items is not None
    assert films.users is not None
    assert films.items.row(0) == (1, "Toy Story", "1995", "Animation Children's Comedy")
    assert films.users.height == 943
    assert read(real_data / "ml-1m").items is None
