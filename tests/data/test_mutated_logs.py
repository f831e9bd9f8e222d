"""Damaged logs are read in full, or refused with a message: no row is lost or changed in silence."""

import csv
import io
import random
from collections import Counter
from collections.abc import Callable

import pytest

from segue.data.readers.read import read
from segue.errors import LogError

HEADER = ["session", "item", "title", "time"]
WORDS = ["pan", "tv 24", "café", "cup, blue", "Heroes (live)", "ashes to ashes", "pot|lid", "a;b", "nan", "7"]
SEPARATORS = [",", "\t", ";", "|"]
MISSING = {"", "nan"}

Mutation = Callable[[random.Random, str], str]


def log(rng: random.Random, separator: str, rows: int = 40) -> str:
    """A log with titles that need quotes here and there."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(HEADER)
    for row in range(rows):
        item = rng.choice([str(rng.randrange(30)), f"i{rng.randrange(30)}"]) if separator != ";" else rng.randrange(30)
        writer.writerow([row // 4, item, rng.choice(WORDS), 1_700_000_000 + 60 * row])
    return text.getvalue()


def inserted(what: str) -> Mutation:
    def insert(rng: random.Random, text: str) -> str:
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(text))
            text = text[:place] + what + text[place:]
        return text

    return insert


def with_lines(change: Callable[[random.Random, list[str]], list[str]], end: str = "\n") -> Mutation:
    return lambda rng, text: end.join(change(rng, text.split("\n")))


def blank_lines(rng: random.Random, lines: list[str]) -> list[str]:
    for _ in range(3):
        lines.insert(rng.randrange(1, len(lines)), "")
    return lines


def second_header(rng: random.Random, lines: list[str]) -> list[str]:
    lines.insert(rng.randrange(2, len(lines) - 1), lines[0])
    return lines


def joined_lines(rng: random.Random, lines: list[str]) -> list[str]:
    place = rng.randrange(1, len(lines) - 2)
    return [*lines[:place], lines[place] + lines[place + 1], *lines[place + 2 :]]


MUTATIONS: dict[str, Mutation] = {
    "nothing": lambda rng, text: text,
    "quotes": inserted('"'),
    "commas": inserted(","),
    "semicolons": inserted(";"),
    "bars": inserted("|"),
    "tabs": inserted("\t"),
    "returns": inserted("\r"),
    "line feeds": inserted("\n"),
    "byte order marks": inserted("\ufeff"),
    "zeros": inserted("\0"),
    "blank lines": with_lines(blank_lines),
    "second header": with_lines(second_header),
    "no header": with_lines(lambda rng, lines: lines[1:]),
    "joined lines": with_lines(joined_lines),
    "CR": with_lines(lambda rng, lines: lines, "\r"),
    "CR LF": with_lines(lambda rng, lines: lines, "\r\n"),
    "cut off": lambda rng, text: text[: rng.randrange(len(text) // 2, len(text))],
    "first byte order mark": lambda rng, text: "\ufeff" + text,
}
HARMLESS = ("nothing", "CR", "CR LF", "first byte order mark", "blank lines")
"""What a reader must take."""
ENCODINGS = ("utf-8", "utf-8", "latin-1", "utf-16")


def rows_of(text: str, separator: str) -> list[list[str]]:
    """What Python's csv module reads: the oracle."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    records = csv.reader((f"{line.lstrip(chr(0xFEFF))}\n" for line in lines), delimiter=separator)
    return [row for row in records if row]


def same(item: object, text: str) -> bool:
    return item is None if text.strip() in MISSING else str(item) == text.strip()


def check(seed: int, path) -> str:
    """Read one mutated log; return what became of it."""
    rng = random.Random(seed)
    separator, name, encoding = rng.choice(SEPARATORS), rng.choice(sorted(MUTATIONS)), rng.choice(ENCODINGS)
    text = MUTATIONS[name](rng, log(rng, separator))
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:  # A byte order mark is not Latin-1.
        content = text.encode()
    path.write_bytes(content)
    try:
        events = read(path, columns={"session": "1", "item": "2", "time": "4"} if name == "no header" else None)
    except LogError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert str(path) in message
        assert encoding == "utf-16" or name not in HARMLESS, message
        return f"{name}: refused"
    assert name not in ("second header", "zeros")
    rows = rows_of(text, separator)
    rows = rows[1:] if not rows[0][0].isdigit() else rows
    assert len(events) == len(rows), (seed, name)
    wrong = [(item, row) for item, row in zip(events.frame["item"], rows, strict=True) if not same(item, row[1])]
    assert not wrong, (seed, name, wrong)
    return f"{name}: read"


@pytest.mark.parametrize("block", range(10))
def test_500_mutated_logs_lose_no_row(tmp_path, block):
    found = Counter(check(seed, tmp_path / "log.csv") for seed in range(50 * block, 50 * block + 50))
    assert sum(found.values()) == 50
    read_in_full = sum(count for outcome, count in found.items() if outcome.endswith(": read"))
    assert 10 < read_in_full < 45
