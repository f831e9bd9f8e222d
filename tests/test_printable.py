"""Foreign text reaches no output raw: terminal, JSON, Markdown, HTML and SVG show control characters as escapes."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from segue.charts import render_svg
from segue.cli.terminal import VisibleTable, echo, echo_json, terminal
from segue.embeddings.page import embedded
from segue.errors import LogError, StorageError, UnknownNameError
from segue.markdown import escaped, table
from segue.printable import listed, one_line, short, visible, visible_all, visible_json

HOSTILE = "\x1b[31mred\x07\x9b2J\u202eevil\u2066\ud800\ufffe\x00\r"
SHOWN = r"\x1b[31mred\x07\x9b2J\u202eevil\u2066\ud800\ufffe\x00\r"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_control_and_bidi_characters_become_escapes_and_nothing_else_does() -> None:
    assert visible(HOSTILE) == SHOWN
    plain = "a\tb\nÄ 日本 🛒 👩\u200d🔧 שלום ✓"
    assert visible(plain) == plain
    assert visible_all({HOSTILE: [HOSTILE, 1, None]}) == {SHOWN: [SHOWN, 1, None]}


def test_in_a_line_line_breaks_and_tabs_are_escapes_too() -> None:
    assert one_line(HOSTILE + "\n\t") == SHOWN + r"\n\t"
    assert one_line("Ä 日本 👩\u200d🔧 a\\b") == "Ä 日本 👩\u200d🔧 a\\b"
    assert str(LogError("a\nb", "c\x1b")) == "a\\nb\nc\\x1b"
    assert str(StorageError("a\tb")) == r"a\tb"
    assert str(UnknownNameError("model", "a\nerror: b", ["x"])) == r"unknown model 'a\nerror: b': choose one of x"


def test_json_keeps_its_values() -> None:
    value = ["\x1b\x9b\u202e\u2028", "é"]
    text = visible_json(json.dumps(value, ensure_ascii=False))
    assert not RAW.search(text)
    assert json.loads(text) == value


def test_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = VisibleTable(HOSTILE, "b")
    rows.add_row(HOSTILE, HOSTILE)
    rows.add_column(HOSTILE)
    console = terminal()
    console.print(rows)
    console.print(HOSTILE)
    echo(HOSTILE)
    echo(HOSTILE, err=True)
    echo_json({"a": HOSTILE.replace("\ud800", "")})
    out, err = capsys.readouterr()
    assert not RAW.search(out + err)
    assert r"\x1b[31mred" in out
    assert isinstance(console, Console)


def test_markdown() -> None:
    assert not RAW.search(escaped(HOSTILE) + table(["x", HOSTILE], [["y", HOSTILE]]))
    assert escaped("<img onerror=x>\x1b") == "&lt;img onerror=x>\\\\x1b"


def test_svg_stays_well_formed() -> None:
    values = [{"x": HOSTILE, "y": 1}, {"x": "<script>&", "y": 2}]
    encoding = {"x": {"field": "x", "type": "nominal", "title": HOSTILE}, "y": {"field": "y", "type": "quantitative"}}
    svg = render_svg({"data": {"values": values}, "mark": "bar", "encoding": encoding, "title": HOSTILE})
    ElementTree.fromstring(svg)
    assert not RAW.search(svg)
    assert r"\x1b[31mred" in svg


def test_json_in_html() -> None:
    assert not RAW.search(embedded(visible_all({"a": HOSTILE})))


def test_values_in_messages_are_short() -> None:
    assert short("x" * 1_000_000).endswith("... (1,000,002 characters)")
    assert short(1 << 100_000) == "<int, too large to show>"
    assert listed([f"c{n}" for n in range(20_000)]).endswith("c19 and 19,980 more")
    assert len(listed(["x" * 9000])) == 120
