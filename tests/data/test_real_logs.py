"""What real logs look like: each case was once read wrong, or refused."""

import csv
import gzip
import io

import polars as pl
import pytest

from segue.data.readers.read import read
from segue.errors import LogError

HEADER = "session,item,time\n"


def read_text(tmp_path, text, **options):
    path = tmp_path / "log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **options)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_quotes_are_read_as_python_reads_them(tmp_path, separator):
    lines = [
        "session,item,title",
        '1,5,tv 24" black',
        '1,6,"two, or more"',
        '2,7,"a ""quoted"" word"',
        '2,8,say "hi" twice "ho"',
        '3,9,"two',
        'lines of a title"',
        '3,9,"x" y',
    ]
    text = "\n".join(lines).replace(",", separator) + "\n"
    events = read_text(tmp_path, text)
    expected = list(csv.DictReader(io.StringIO(text), delimiter=separator))
    assert events.frame["title"].to_list() == [row["title"] for row in expected]
    assert events.frame["item"].to_list() == [5, 6, 7, 8, 9, 9]


def test_quotes_may_be_plain_text(tmp_path):
    rows = [f"{row},{row % 7},title {row}" for row in range(60)]
    rows[22], rows[47] = '22,1,"Heroes (live)', '47,2,ashes to ashes"'
    text = "session,item,title\n" + "\n".join(rows) + "\n"
    with pytest.raises(LogError, match="lines 24 to 49: a quote opens on line 24 and closes on line 49"):
        read_text(tmp_path, text)
    events = read_text(tmp_path, text, quoting="none")
    assert len(events) == 60
    assert events.frame["title"][22] == '"Heroes (live)'
    assert len(read_text(tmp_path, text, quoting="double")) == 35


def test_a_quoted_field_may_hold_lines_that_are_no_rows(tmp_path):
    events = read_text(tmp_path, 'session,item,title\n1,5,"a\nb, c\nd"\n1,6,e\n')
    assert events.frame["title"].to_list() == ["a\nb, c\nd", "e"]


def test_visits_numbered_for_each_user_are_not_one_session(tmp_path):
    rows = [f"u{user},{visit},{user + visit},{1700000000 + visit}" for user in range(40) for visit in range(1, 13)]
    events = read_text(tmp_path, "user_id,visit,item_id,ts\n" + "\n".join(rows) + "\n")
    assert events.n_sessions == 480
    assert events.frame["session"][0] == "u0/1"
    assert events.notes[-2] == (
        "sessions: 12 of 12 values of 'visit' occur with several users, so a session is a 'user_id' and a 'visit': "
        "480 sessions"
    )


def test_a_visitor_may_log_in(tmp_path):
    rows = [f"{session},{session},5" for session in range(30)] + ["0,99,6"]
    events = read_text(tmp_path, "session,user,item\n" + "\n".join(rows) + "\n")
    assert events.n_sessions == 30
    assert "sessions: 1 of 30 have events of several users; they are one session each" in events.notes


@pytest.mark.parametrize("word", ["nan", "null", "None", "NaN", "NULL", "<NA>"])
def test_words_for_a_missing_id_are_missing(tmp_path, word):
    events = read_text(tmp_path, f"user,item\nann,pan\n{word},pot\nann,{word}\n{word},cup\n")
    assert events.frame["session"].to_list() == ["ann", None, "ann", None]
    assert events.frame["item"].to_list() == ["pan", "pot", None, "cup"]
    assert f"session is 'user' (2 missing, written '{word}')" in events.notes[1]
    frame = pl.DataFrame({"user": ["ann", word], "item": ["pan", "pot"]})
    assert read(frame).frame["session"].to_list() == ["ann", None]


def test_empty_fields_are_missing_beside_the_words_for_it(tmp_path):
    """Blank lines are none, and a column without such words has no count."""
    events = read_text(tmp_path, "user,item\nann,pan\nbob,NULL\n\nann,\nann, \n\nann,NA\n")
    assert events.frame["item"].to_list() == ["pan", None, None, None, None]
    assert "columns: session is 'user', item is 'item' (4 missing, 2 of them written 'NA', 'NULL')" in events.notes
    integers = read_text(tmp_path, "user,item\n1,3\n1,\nnan,4\n,5\n").notes
    assert "columns: session is 'user' (2 missing, 1 of them written 'nan'), item is 'item'" in integers
    unsound = {"user": ["ann", None, "NA"], "item": ["pan", None, "pot"], "size": [object(), None, None]}
    with pytest.raises(LogError, match="column 'size': must be a number") as caught:
        read(pl.DataFrame(unsound, schema_overrides={"size": pl.Object}))
    assert "session is 'user' (1 missing, written 'NA')" in caught.value.__notes__[0]


def test_ids_written_as_decimals_are_integers(tmp_path):
    events = read_text(tmp_path, "session,item\n0.0,3.0\n0.0,nan\n1.0,12.0\n")
    assert events.frame["item"].to_list() == [3, None, 12]
    assert "item is 'item' (decimals such as 3.0 read as integers; 1 missing, written 'nan')" in events.notes[1]
    assert read_text(tmp_path, "session,item\n1,3.0\n1,3.5\n").frame["item"].to_list() == ["3.0", "3.5"]


@pytest.mark.parametrize("row", ["alice,bag,2020-01-01", "alice,bag,red", "alice,label,red"])
def test_a_first_row_of_data_is_never_a_header(tmp_path, row):
    events = read_text(tmp_path, f"{row}\n{row}\n", columns={"session": "1", "item": "2"})
    assert len(events) == 2
    assert events.frame["session"].to_list() == ["alice", "alice"]


def test_columns_of_a_header_may_be_given_by_number(tmp_path):
    events = read_text(tmp_path, "visitor,thing\nalice,bag\n", columns={"user": "1", "item": "2"})
    assert events.frame.rows() == [("alice", "bag")]


def test_a_header_of_unknown_names_is_no_event(tmp_path):
    with pytest.raises(LogError, match="has no column for the session or user; it has 'a', 'b', 'c'"):
        read_text(tmp_path, "a,b,c\n1,2,3\n")
    with pytest.raises(LogError, match="has no column for the session or user; it has 'a', 'b'"):
        read_text(tmp_path, "a b\n1 2\n3 4\n")


@pytest.mark.parametrize("ending", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "lines",
    [
        ("session,item,title", "1,5,pan", "1,6,pot"),
        ("session,item,title", "1,5,pan", '1,6,"pot"'),
        ('{"session": 1, "item": 5}', '{"session": 1, "item": 6}'),
        ("1 5 6",),
        ("1::5", "1::6"),
    ],
)
def test_line_ends_and_byte_order_marks(tmp_path, ending, mark, compress, lines):
    text = mark + ending.join(lines) + ending
    events = read_text(tmp_path, compress(text.encode()))
    assert events.frame.select("session", "item").rows() == [(1, 5), (1, 6)]


def test_files_joined_with_their_byte_order_marks(tmp_path):
    events = read_text(tmp_path, "\ufeff1::5\n1::6\n\ufeff2::5\n")
    assert events.frame["session"].to_list() == [1, 1, 2]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1,5,Action|Comedy\n1,6,Drama\n", 3),
        ("1;5;3,5\n1;6;4,0\n", 3),
        ("1,5,a::b\n1,6,c\n", 3),
        ("1|5|a,b\n1|6|c,d\n", 3),
        ("1\t5\ta,b;c|d\n1\t6\ta,b;c|d\n", 3),
    ],
)
def test_the_separator_is_the_one_that_fits_all_lines(tmp_path, text, columns):
    events = read_text(tmp_path, text, columns={"session": "1", "item": "2"})
    assert events.frame.shape == (2, columns)
    assert events.frame["item"].to_list() == [5, 6]


def test_a_remedy_can_be_pasted(tmp_path):
    with pytest.raises(LogError) as caught:
        read_text(tmp_path, "Basket No,Article Name\n1,5\n1,6\n")
    assert "--columns 'session=Basket No'" in str(caught.value)
