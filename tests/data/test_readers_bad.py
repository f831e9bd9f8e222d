"""Bad input: the whole message, which names the place, the rule, the value and the remedy."""

import gzip
import re
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from segue.data.readers.read import read
from segue.errors import LogError

HEADER = "session,item,time\n"
FIX = "correct them or remove their rows"
QUOTES = "if quotes are plain text, add --quoting none (in Python quoting='none')"
RAGGED = "correct the line, or give another format if all lines are like that"
FIELDS = "must have 3 fields ('session', 'item', 'time') separated by comma"
ZIPPED = gzip.compress(
    (HEADER + "".join(f"{row},{row * 7919 % 1000},{1700000000 + row}\n" for row in range(50000))).encode(), mtime=0
)

CASES = {
    "missing column": (
        "session,colour\n1,2\n",
        "has no column for the item; it has 'session', 'colour'; say which one it is, "
        "for example columns={'item': 'session'} or --columns item=session",
    ),
    "no header": (
        "1,2,1700000000\n",
        "has no column for the session or user; it has '1', '2', '3'; say which one it is, "
        "for example columns={'session': '1'} or --columns session=1\n"
        "FILE: has no column for the item; it has '1', '2', '3'; say which one it is, "
        "for example columns={'item': '1'} or --columns item=1",
    ),
    "two columns for a role": (
        "session,item,time,timestamp\n1,2,3,4\n",
        "columns 'time', 'timestamp' all look like the time; say which one it is, "
        "for example columns={'time': 'time'} or --columns time=time",
    ),
    "empty file": ("", "is empty; a log needs at least one event"),
    "blank lines": ("\n  \n", "contains only blank lines; a log needs at least one event"),
    "header only": (HEADER, "has no events; a log needs at least one row of them"),
    "no separator": (
        "session#item\n1#2\n",
        "line 1: has no separator (comma, tab, semicolon, bar, '::' or space), got 'session#item'; "
        "a log needs at least a session and an item on each line",
    ),
    "wrong delimiter": (HEADER + "1,2,3\n\n4;5;6\n7;8;9\n", f"lines 4 and 5: {FIELDS}, got 1; {RAGGED}"),
    "wrong delimiter everywhere": (
        HEADER + "1;2;3\n" * 9,
        f"lines 2, 3, 4, 5 and 6 (and maybe more): {FIELDS}, got 1; {RAGGED}",
    ),
    "long row": (HEADER + "1,2,3\n1,2,3,4\n", f"line 3: {FIELDS}, got 4; {RAGGED}"),
    "short row": (HEADER + "1,2,3\n1,2,\n1,2\n1,2,3\n", f"line 4: {FIELDS}, got 2; {RAGGED}"),
    "open quote": (HEADER + '1,"2,3\n' + "1,2,3\n" * 5, f"line 2: a quote opens here and is never closed; {QUOTES}"),
    "quote that swallows rows": (
        HEADER + '1,2,3\n1,"Heroes (live),3\n' + "1,2,3\n" * 5 + '1,ashes to ashes",3\n',
        "lines 3 to 9: a quote opens on line 3 and closes on line 9, but each of these lines is a row of 3 fields by "
        f"itself; {QUOTES}, or --quoting double if the field does contain all these lines",
    ),
    "header in the middle": (
        HEADER + "1,2,3\n" + HEADER + "1,2,3\n\ufeff" + HEADER + "1,2,3\n",
        "lines 3 and 5: repeats the header, as joined files do; remove it",
    ),
    "header in the middle of quoted rows": (
        HEADER + '1,"a",3\n1,a 24" b,3\n' + HEADER,
        "line 4: repeats the header, as joined files do; remove it",
    ),
    "prefixes of RecBole": (
        "session_id:token\titem_id_list:token_seq\titem_id:token\n1\t5 6\t7\n",
        "line 1: has the column 'item_id_list', so a row is a prefix with its next item and not an event; "
        "give the log that the prefixes were made from",
    ),
    "blank first line": ("\n" + HEADER + "1,2,3\n", f"line 1: {FIELDS}, got 0; {RAGGED}"),
    "duplicate header": (
        "session,item,time,item\n1,2,3,4\n",
        "line 1: columns must have different names, got 'item' more than once; rename or remove the others",
    ),
    "time that is no number": (
        HEADER + "1,2,1700000000\n1,2,noon\n\n1,3,1700000001\n1,4,later\n",
        f"lines 3 and 6, column 'time': must be a number, got 'noon', 'later'; {FIX}",
    ),
    "time that is no date": (
        HEADER + "1,2,2026-01-31T12:00:00\n1,2,2026-02-31T12:00:00\n",
        f"line 3, column 'time': must be an ISO 8601 time, got '2026-02-31T12:00:00'; {FIX}",
    ),
    "times that are neither": (
        HEADER + "1,2,noon\n",
        "line 2, column 'time': must be a number or an ISO 8601 time such as 2026-01-31T12:00:00, got 'noon'; correct "
        'them, or describe all of them, for example --time-format "%d.%m.%Y %H:%M" (time_format= in Python)',
    ),
    "day or month first": (
        HEADER + "1,2,12/1/2010 8:26\n1,3,12/1/2010 8:27\n",
        "lines 2 and 3, column 'time': may begin with the day or the month, every value is a date either way, got "
        "'12/1/2010 8:26', '12/1/2010 8:27'; say which: --time-format \"%d/%m/%Y %H:%M\" or "
        '--time-format "%m/%d/%Y %H:%M" (time_format= in Python)',
    ),
    "day and month first": (
        HEADER + "1,2,13/1/2010\n1,3,14/1/2010\n1,4,1/14/2010\n",
        f"line 4, column 'time': must be a date in the format %d/%m/%Y, got '1/14/2010'; {FIX}",
    ),
    "no such day": (
        HEADER + "1,2,20220430\n1,3,20220431\n1,4,0\n1,5,20220401\n",
        f"lines 3 and 4, column 'time': must be a date in the format yyyymmdd, got '20220431', '0'; {FIX}",
    ),
    "months and days, or anything": (
        HEADER + "1,2,511\n1,3,1111\n",
        "lines 2 and 3, column 'time': may be dates, or numbers that count from any start, got '511', '1111'; "
        "say which: --time-format mmdd or --time-format s (time_format= in Python)",
    ),
    "Excel, or anything": (
        HEADER + "1,2,44659\n1,3,44660\n",
        "lines 2 and 3, column 'time': may be dates, or numbers that count from any start, got '44659', '44660'; "
        "say which: --time-format excel or --time-format s (time_format= in Python)",
    ),
    "zero for no time": (
        HEADER + "1,2,1700000000\n1,3,0\n1,4,1700000000\n",
        "line 3, column 'time': must lie between 1991 and 2100 like the other 2, as seconds since 1970, got '0'; "
        "correct them or leave them empty, or accept them with --time-format s (time_format= in Python)",
    ),
    "ticks of .NET": (
        HEADER + "1,2,637134336000000000\n",
        "line 2, column 'time': must lie between 1991 and 2100, these do not as nanoseconds since 1970, got "
        "'637134336000000000'; convert them, or accept them with --time-format ns (time_format= in Python)",
    ),
    "name of a zone": (
        HEADER + "1,2,2012-04-03 18:00:00 EST\n1,2,2012-07-03 18:00:00 EDT\n",
        "lines 2 and 3, column 'time': must have an offset from UTC, not the name of a time zone, got "
        "'2012-04-03 18:00:00 EST', '2012-07-03 18:00:00 EDT'; write offsets such as +0200",
    ),
    "zone in some rows": (
        HEADER + "1,2,2012-04-03 18:00:00Z\n1,2,2012-04-03 18:00:00Z\n1,2,2012-04-03 18:00:00\n",
        "line 4, column 'time': must be an ISO 8601 time, with a zone in every row or in none, got "
        f"'2012-04-03 18:00:00'; {FIX}",
    ),
    "comma of decimals or thousands": (
        "session;item;rating\n1;2;3,500\n1;3;4,000\n",
        "lines 2 and 3, column 'rating': must be a number, got '3,500', '4,000'; write decimals with a point, and "
        "thousands without a comma",
    ),
    "time without end": (HEADER + "1,2,inf\n", f"line 2, column 'time': must be finite, got 'inf'; {FIX}"),
    "seconds and milliseconds": (
        HEADER + "1,2,1700000000\n" * 8 + "1,2,1700000000000\n" * 7,
        "lines 10, 11, 12, 13, 14 and 2 more, column 'time': must have one unit, 8 values look like seconds but 7 like "
        "milliseconds, got '1700000000000'; correct them or, if all are in one unit, name it: --time-format s "
        "(time_format= in Python), or ms, us, ns",
    ),
    "line numbers after a field of two lines": (
        HEADER + '"1\n2",3,4\n1,2,noon\n',
        f"line 4, column 'time': must be a number, got 'noon'; {FIX}",
    ),
    "all mistakes together": (
        "session,item,time,rating,part\n1,2,noon,good,train\n1,2,3,4,blind\n",
        "line 2, column 'time': must be a number, got 'noon'; "
        f"{FIX}\n"
        "FILE: line 3, column 'part': must be one of train, valid, test, got 'blind'; correct them, "
        "or rename the column\n"
        f"FILE: line 2, column 'rating': must be a number, got 'good'; {FIX}",
    ),
    "binary file": (bytes(range(256)) * 9, "is a binary file; save its rows as CSV or Parquet"),
    "compressed binary file": (
        gzip.compress(b"ab\0\n" * 9, mtime=0),
        "is a binary file; save its rows as CSV or Parquet",
    ),
    "zip archive": (b"PK\x03\x04rest", "is a zip archive or a spreadsheet; unpack it, or save it as CSV"),
    "UTF-16": (HEADER.encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
    "cut gzip": (
        ZIPPED[: len(ZIPPED) // 2],
        "cannot be decompressed (Compressed file ended before the end-of-stream marker was reached); it is damaged, "
        "get it again",
    ),
    "garbled gzip": (
        ZIPPED[:-8] + b"12345678",
        "cannot be decompressed (CRC check failed 0x34333231 != 0x604da06c); it is damaged, get it again",
    ),
    "broken JSON": (
        '{"session":1,"item":2}\n\n{"session":1,\nnope\n',
        "lines 3 and 4: must be a JSON object on one line, got '{\"session\":1,', 'nope'; correct or remove it",
    ),
    "a JSON line of other space": (
        '{"session":1,"item":2}\n \t\n\x1f\n\xa0\n',
        r"lines 3 and 4: must be a JSON object on one line, got '\x1f', '\xa0'; correct or remove it",
    ),
    "JSON array": ('[{"session":1}]', "is a JSON array; write one object per line (JSON Lines)"),
    "nested time": (
        '{"session":1,"events":[{"aid":1,"ts":5}]}\n\n{"session":2,"events":[{"aid":1,"ts":5},{"aid":1,"ts":"x"}]}\n',
        f"line 3, column 'ts': must be a number, got 'x'; {FIX}",
    ),
    "one length": (
        "1 2 3\n4 5 6\n",
        "every line has 3 words, so it may be a table or sequences of one length; "
        "give columns by number (--columns session=1,item=2) or format='sequences'",
    ),
    "other fields than a rating": (
        "1::2::3::4::5\n",
        "line 1: must have the fields of a rating (user, item, rating, time), got 5 fields; "
        "say which is which by number, for example columns={'session': '1', 'item': '2'}",
    ),
    "ragged double colons": (
        "1::2::3\n1::2\n",
        f"line 2: must have 3 fields, got '1::2'; {RAGGED}",
    ),
    "text for a number of RecBole": (
        "user_id:token\titem_id:token\trating:float\tpos:float_seq\n1\t2\tgood\t1 x\n",
        f"line 2, column 'rating': must be a number, got 'good'; {FIX}\n"
        f"FILE: line 2, column 'pos': must be numbers separated by spaces, got '1 x'; {FIX}",
    ),
    "damaged Parquet": (
        b"PAR1" + b"x" * 20 + b"PAR1",
        "cannot be read as Parquet (it does not end with a footer of Parquet); it is damaged or not Parquet",
    ),
}

NAMED = {
    "tsv": (
        HEADER + "1,2,3\n",
        "line 1: must have several fields separated by tab, got 'session,item,time'; "
        "give another format, or leave format out to have it detected",
    ),
    "sequences": ("1 2 3\n4\n", f"line 2: must be an id and at least one item, got '4'; {RAGGED}"),
    "pairs": ("1 2\n\n3\n4 5 6\n", f"lines 3 and 4: must be a user and an item, got '3', '4 5 6'; {RAGGED}"),
    "csv": (b"PAR1xxxx", "is Parquet; give format='parquet', or leave format out"),
    "otto": ('{"session":1,"events":5}\n', "each line must contain a list of objects under 'events', got Int64"),
    "recbole": (
        "user_id\titem_id\n1\t2\n",
        "line 1: must be names with types such as user_id:token (types token, token_seq, float, float_seq) separated "
        "by tabs, got 'user_id\\titem_id'; give another format or none if it is not a RecBole file",
    ),
    "yoochoose": (
        "1,2\n",
        "line 1: must have 4 fields ('session', 'time', 'item', 'category') separated by comma, got 2; " + RAGGED,
    ),
    "diginetica": ("session;item\n1;2\n", "must have the columns 'eventdate' and 'timeframe', got 'session', 'item'"),
}


def message(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LogError) as caught:
        read(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_content(tmp_path, case):
    content, expected = CASES[case]
    path = tmp_path / "log"
    assert message(path, content) == f"{path}: {expected.replace('FILE', str(path))}"


@pytest.mark.parametrize("form", NAMED)
def test_content_that_does_not_fit_the_format(tmp_path, form):
    content, expected = NAMED[form]
    path = tmp_path / "log"
    assert message(path, content, format=form) == f"{path}: {expected}"


def test_columns_that_are_not_there(tmp_path):
    path = tmp_path / "log"
    assert message(path, HEADER + "1,2,3\n", columns={"session": "sid", "time": "when"}) == (
        f"{path}: has no column 'sid', which was given for the session; it has 'session', 'item', 'time'\n"
        f"{path}: has no column 'when', which was given for the time; it has 'session', 'item', 'time'"
    )


def test_the_same_key_outside_and_inside(tmp_path):
    path = tmp_path / "log"
    content = '{"session":1,"ts":5,"events":[{"aid":1,"ts":5}]}\n'
    expected = f"{path}: the session and its events must have different keys, both have 'ts'; rename one of them"
    assert message(path, content) == expected


def test_diginetica_with_odd_times(tmp_path):
    path = tmp_path / "log"
    rows = "1;2;5;2016-01-01\n1;2;x;2016-01-01\n1;2;7;1/1/2016\n1;2;;2016-01-01\n"
    assert message(path, "session_id;item_id;timeframe;eventdate\n" + rows) == (
        f"{path}: lines 3 and 4, column 'time': must be an ISO 8601 time, "
        f"got '2016-01-01 + x ms', '1/1/2016 + 7 ms'; {FIX}"
    )


def test_missing_file(tmp_path, monkeypatch):
    monkeypatch.delenv("SEGUE_DATA", raising=False)
    expected = (
        f"{tmp_path / 'no.csv'}: no such file or folder, neither here nor in the folder that SEGUE_DATA names; "
        "check the name"
    )
    with pytest.raises(LogError, match=re.escape(expected)):
        read(tmp_path / "no.csv")


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "1,2,3\n", encoding="utf-8")

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LogError, match=re.escape(f"{path}: cannot be read (Permission denied); check its name")):
        read(path)


def test_metadata_of_another_log(tmp_path):
    items = tmp_path / "titles.csv"
    items.write_text("item,title\n77,Pan\n", encoding="utf-8")
    expected = (
        f"{items}: describes none of the 1 items of the log, so it belongs to another log; "
        "pass the file with the same ids as the log"
    )
    with pytest.raises(LogError, match=re.escape(expected)):
        read(pl.DataFrame({"session": [1], "item": [5]}), items=items)


def test_metadata_without_ids():
    expected = "the frame: has no column for the item; it has 'name'; rename one of them to 'item'"
    with pytest.raises(LogError, match=re.escape(expected)):
        read(pl.DataFrame({"session": [1], "item": [5]}), items=pl.DataFrame({"name": ["Pan"]}))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            pl.DataFrame({"session": [1.5, 2.0], "item": [[1], None]}),
            f"the frame: row 0, column 'session': must be an integer or text, got 1.5; {FIX}\n"
            f"the frame: row 0, column 'item': must be an integer or text, not List(Int64), got [1]; {FIX}",
        ),
        (
            pl.DataFrame({"session": [1], "item": [True], "time": [[3]], "rating": ["good"]}),
            f"the frame: row 0, column 'item': must be an integer or text, not Boolean, got True; {FIX}\n"
            f"the frame: row 0, column 'time': must be a date, a number or text, not List(Int64), got [3]; {FIX}\n"
            f"the frame: row 0, column 'rating': must be a number, got 'good'; {FIX}",
        ),
        (
            pl.DataFrame({"session": [1], "item": [5], "shape": pl.Series([object], dtype=pl.Object)}),
            "the frame: row 0, column 'shape': must be a number, text, a date or a list of these, "
            f"got <class 'object'>; {FIX}",
        ),
        (pl.DataFrame({"session": [], "item": []}), "the frame: has no events; a log needs at least one row of them"),
        (
            pd.DataFrame([[1, 2]], columns=["item", "item"]),
            "the frame: columns must have different names, got 'item' more than once",
        ),
    ],
)
def test_frames(frame, expected):
    with pytest.raises(LogError) as caught:
        read(frame)
    assert str(caught.value) == expected


REPEATED_KEYS = {
    '{"session":1,"item":1,"item":2}': "line 2: the name 'item' occurs twice",
    '\n{"session":1,"item":1,"item":1,"time":null}': "line 3: the name 'item' occurs twice",
    '{"session":1,"item" :1,"item"\t:null}': "line 2: the name 'item' occurs twice",
    r'{"session":1,"item":1,"\u0069tem":2}': "line 2: the name 'item' occurs twice",
    r'{"session":1,"item":1,"note":"\u003a","item":2}': "line 2: the name 'item' occurs twice",
    '{"session":1,"item":1,"note":"at 10:30","item":2}': "line 2: the name 'item' occurs twice",
    '{"session":1,"item":1,"of":{"a":1,"a":2}}': "line 2: the name 'a' occurs twice",
}


@pytest.mark.parametrize("line", REPEATED_KEYS)
def test_a_key_that_occurs_twice_in_a_line_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(f'{{"session":1,"item":3,"time":5}}\n{line}\n')
    with pytest.raises(LogError, match=rf"log\.jsonl: {REPEATED_KEYS[line]}; remove one of the two values"):
        read(file)


@pytest.mark.parametrize("key", ["aid", "ts"])
def test_a_key_that_occurs_twice_in_an_event_of_a_session_is_refused(tmp_path: Path, key: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"session":1,"events":[{"aid":1,"ts":5},{"aid":2,"ts":6}]}\n')
    assert len(read(file)) == 2
    file.write_text(f'{{"session":1,"events":[{{"aid":1,"ts":5}},{{"aid":2,"ts":6,"{key}":7}}]}}\n')
    with pytest.raises(LogError, match=rf"line 1: the name '{key}' occurs twice"):
        read(file)


def test_what_looks_like_a_key_in_a_text_is_none(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(
        '{"session":1,"item":"a","note":"\\"item\\": item\\":"}\n{"session":1,"item":"b:c","note":null}\n'
        '{"note":"x","item":"d","session":2}\n{"session":2,"item":"a"}\n'
    )
    assert read(file).frame["item"].to_list() == ["a", "b:c", "d", "a"]
