"""Random logs in all formats, with what users do to them, and random protocols to prepare them with."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from partitioned_logs import PARAMETERS

Value = Callable[[random.Random, float], str]
"""Writes a value; the second argument is the place of its row in the log, from 0 to 1."""
Rows = Sequence[Mapping[str, str]]

_START = 1_700_000_000


def _ids(prefix: str = "", suffix: str = "", *, after: float = 0.0) -> Callable[[int], Value]:
    """Numbers below a limit; with a prefix and a suffix behind some place of the log."""
    return lambda n: (
        lambda rng, place: f"{prefix}{rng.randrange(n)}{suffix}" if place >= after else str(rng.randrange(n))
    )


def _but(odd: Sequence[str], share: float, usual: Callable[[int], Value]) -> Callable[[int], Value]:
    """Values of which some are odd."""
    return lambda n: lambda rng, place: rng.choice(odd) if rng.random() < share else usual(n)(rng, place)


IDS: dict[str, Callable[[int], Value]] = {
    "integers": _ids(),
    "text": _ids("v"),
    "padded at the end": _ids("0", after=0.95),
    "decimals": _ids(suffix=".0", after=0.6),
    "text at the end": _ids("é", after=0.5),
    "one half": _but(["7"], 0.5, _ids()),
    "missing": _but(["", "NA", "nan"], 0.05, _ids()),
    "large": _ids(str(2**62)[:-4], after=0.7),
    "huge": _ids("9" * 25),
    "blanks": _ids(" ", " "),
    "odd": _but(["+1", "1e3", "-0", "1.5", "inf", "1_0"], 0.02, _ids()),
}


def _moments(form: str | Callable[[float], str], step: int = 1) -> Callable[[float], Value]:
    """Times in some days; sessions are near in time because rows are."""

    def value(days: float) -> Value:
        def write(rng: random.Random, place: float) -> str:
            second = _START + int((place + 0.05 * rng.random()) * days * 86_400) // step * step
            return form(second) if callable(form) else datetime.fromtimestamp(second, UTC).strftime(form)

        return write

    return value


TIMES: dict[str, Callable[[float], Value]] = {
    "seconds": _moments(str),
    "hours": _moments(str, 3600),
    "fractions": _moments(lambda second: f"{second}.25" if second % 2 else str(second)),
    "nanoseconds": _moments(lambda second: f"{second}123456789"),
    "ISO": _moments("%Y-%m-%d %H:%M:%S"),
    "ISO in UTC": _moments("%Y-%m-%dT%H:%M:%SZ"),
    "dates": _moments("%Y-%m-%d"),
    "day first": _moments("%d/%m/%Y %H:%M"),
    "compact": _moments("%Y%m%d"),
    "names": _moments("%a %b %d %H:%M:%S +0000 %Y"),
    "counts": lambda _: lambda rng, place: str(int(1000 * place)),
    "equal": lambda _: lambda rng, place: str(_START),
    "missing": lambda days: lambda rng, place: "NA" if rng.random() < 0.05 else TIMES["ISO"](days)(rng, place),
    "odd": lambda days: (
        lambda rng, place: (
            rng.choice(["noon", "0", "inf"]) if rng.random() < 0.003 else TIMES["seconds"](days)(rng, place)
        )
    ),
}
FEATURES: dict[str, Value] = {
    "halves": lambda rng, place: str(rng.randrange(9) / 2),
    "integers, then halves": lambda rng, place: f"{rng.randrange(9)}{'.5' if place > 0.9 else ''}",
    "numbers, then words": lambda rng, place: rng.choice(["3", "a" if place > 0.9 else "4"]),
    "numbers, then missing": lambda rng, place: rng.choice(["3", "NA" if place > 0.7 else "4", "-0"]),
    "decimal commas": lambda rng, place: f"{rng.randrange(9)},5",
    "words": lambda rng, place: rng.choice(["view", "buy", " cart", "café", ""]),
    "numbers late": lambda rng, place: rng.choice("45") if place > 0.6 else "",
    "nothing": lambda rng, place: "",
    "more than 64 bits": lambda rng, place: str(2**63 - 2 + rng.randrange(4)),
}
CLEANING: dict[str, Sequence[Any]] = {
    "k_core": [2, 3, 5],
    "min_support": [2, 5],
    "min_length": [2],
    "drop_duplicates": [True],
    "revisits": ["first", "last"],
    "session_gap": [60.0],
    "recent_share": [0.3],
    "session_interval": ["[2,50]"],
    "item_interval": ["[3,400]"],
    "value_among": [{"type": ["3", "view"]}],
}
SPLITS: Sequence[Any] = [
    *("last-days", "ratio", "last-event", "event-ratio", "global-time", "given"),
    {"kind": "ratio", "test_share": 0.4, "valid_share": 0.3},
]
PRESETS = ("session-next", "leave-one-out", "global-time", "recbole", "gru4rec-2015", "yoochoose-1-4")
LENIENT: dict[str, dict[str, Any]] = {
    "session": {"split": "ratio", "cleaning": {"min_support": 1, "min_length": 1}},
    "user": {"protocol": "leave-one-out", "cleaning": {"k_core": 1}},
}
"""Protocols under which most logs are prepared to their end, by unit."""


@dataclass(frozen=True)
class RandomLog:
    """A log in files.

    Attributes:
        path: what is read.
        size: bytes of its files.
        options: arguments of ``segue.read``.
        protocols: arguments of ``segue.prepare``.
    """

    path: Path
    size: int
    options: dict[str, Any] = field(default_factory=dict)
    protocols: list[dict[str, Any]] = field(default_factory=list)


def make(rng: random.Random, folder: Path) -> RandomLog:
    """Write a random log to a new folder."""
    folder.mkdir(parents=True)
    rows = _rows(rng)
    names = list(rows[0]) if rows else ["session", "item", "time"]
    kind = rng.choice([*_WRITERS, "csv", "csv", "parquet", "parquet"])
    count = rng.choice([1, 1, 2, 3])
    ends = [len(rows) * number // count for number in range(1, count)]
    columns: dict[str, str] = {}
    contents = []
    for part in (rows[start:end] for start, end in zip([0, *ends], [*ends, len(rows)], strict=True)):
        content = _WRITERS[kind](rng, names, part, columns)
        content = content if kind == "parquet" else _handled(rng, content)
        contents.append(_damaged(rng, content) if rng.random() < 0.05 else content)
    given = count > 1 and rng.random() < 0.3
    stems = ["train", "test", "valid"] if given else ["a", "b", "c"]
    for stem, content in zip(stems, contents, strict=False):
        (folder / f"{stem}.{'inter' if kind == 'recbole' else kind}").write_bytes(content)
    path = folder if given else folder / "[abc].*" if count > 1 else next(folder.iterdir())
    options: dict[str, Any] = {"format": "space"} if kind == "space" else {}
    if rng.random() < 0.1:
        options["items"] = {"item": [f"{rng.choice(['', 'v'])}{item}" for item in range(20)], "size": list(range(20))}
    return RandomLog(path, sum(map(len, contents)), options, [protocol(rng) for _ in range(2)])


def protocol(rng: random.Random) -> dict[str, Any]:
    """Return arguments of ``segue.prepare``."""
    place = rng.random()
    if place < 0.3:
        return {"protocol": rng.choice(PRESETS)} if place < 0.2 else {}
    if place < 0.6:
        return {"protocol": "session-next", **PARAMETERS[rng.choice(list(PARAMETERS))]}
    cleaning = {name: rng.choice(values) for name, values in CLEANING.items() if rng.random() < 0.2}
    found: dict[str, Any] = {"cleaning": cleaning, "split": rng.choice(SPLITS)}
    if rng.random() < 0.3:
        found["cases"] = {"targets": rng.choice(["together", "first", "last", "next-basket"])}
    elif rng.random() < 0.2:
        found |= {"ranking": {"candidates": "labeled", "metrics": ["mae"]}, "cases": {"label": "price"}}
    return found


def _rows(rng: random.Random) -> Rows:
    n = rng.choice([0, 1, 2, 30, *[400] * 4, 900])
    common = rng.random() < 0.6

    def one(kinds: Mapping[str, Any]) -> Any:
        return kinds[rng.choice(list(kinds)[: 2 if common else None])]

    sessions = rng.choice([1, 5, max(1, n // 10), max(1, n // 5), max(1, n)])
    columns: dict[str, Value] = {"session": one(IDS)(sessions), "item": one(IDS)(rng.choice([2, 8, 30]))}
    if rng.random() < 0.85:
        columns[rng.choice(["time", "created_at"])] = one(TIMES)(rng.choice([0.01, 4, 4, 40]))
    if rng.random() < 0.3:
        columns["user"] = one(IDS)(max(1, sessions // 2))
        if rng.random() < 0.5:
            del columns["session"]
    for name in rng.sample(["price", "type", "zip"], rng.randrange(3)):
        columns[name] = one(dict(rng.sample(list(FEATURES.items()), len(FEATURES))))
    if rng.random() < 0.1:
        columns["part"] = lambda rng, place: rng.choice(["train", "train", "valid", "test"])
    rows = [{name: value(rng, row / n) for name, value in columns.items()} for row in range(n)]
    return [row for row in rows for _ in range(1 + (rng.random() < 0.02))]


def _delimited(separator: str) -> Callable[..., bytes]:
    def write(rng: random.Random, names: Sequence[str], rows: Rows, _: dict[str, str]) -> bytes:
        text = io.StringIO()
        quoting = csv.QUOTE_ALL if rng.random() < 0.2 else csv.QUOTE_MINIMAL
        writer = csv.DictWriter(text, names, delimiter=separator, lineterminator="\n", quoting=quoting)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    return write


def _recbole(rng: random.Random, names: Sequence[str], rows: Rows, columns: dict[str, str]) -> bytes:
    for name in names:
        columns.setdefault(name, rng.choice(["token", "float"]) if name in ("time", "price") else "token")
    lines = ["\t".join(f"{name}:{columns[name]}" for name in names), *("\t".join(row.values()) for row in rows)]
    return "".join(f"{line}\n" for line in lines).encode()


def _dat(rng: random.Random, names: Sequence[str], rows: Rows, _: dict[str, str]) -> bytes:
    return "".join("::".join(line) + "\n" for line in (names, *(row.values() for row in rows))).encode()


def _jsonl(rng: random.Random, names: Sequence[str], rows: Rows, _: dict[str, str]) -> bytes:
    order = rng.sample(list(names), len(names))
    lines = ({name: _number(row[name]) if name != "type" else row[name] for name in order} for row in rows)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _number(text: str) -> int | float | str | None:
    if not text or text in ("NA", "nan", "inf"):
        return None
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


_DTYPES: dict[str, Any] = {str(dtype): dtype for dtype in (pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Categorical)}
_DTYPES |= {"decimal": pl.Decimal(20, 2), "zone": pl.Datetime("ms", "Asia/Tokyo"), "date": pl.Date, "text": pl.String}


def _parquet(rng: random.Random, names: Sequence[str], rows: Rows, columns: dict[str, str]) -> bytes:
    frame = pl.DataFrame({name: [row[name] for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String))
    for name in names:
        kind = columns.setdefault(name, rng.choice(["number", "number", "list", *_DTYPES]))
        number = pl.col(name).cast(pl.Int64, strict=False)
        if kind == "list":
            frame = frame.with_columns(pl.concat_list(name, pl.lit("x")) if name in ("price", "type") else number)
        elif kind in ("Categorical", "text"):
            frame = frame.with_columns(pl.col(name).cast(_DTYPES[kind]))
        else:
            small = number % 100 if kind == "Int8" else number % 2**31
            frame = frame.with_columns(number if kind == "number" else small.cast(_DTYPES[kind]))
    target = io.BytesIO()
    frame.write_parquet(target, row_group_size=rng.choice([7, 50, 10_000]))
    return target.getvalue()


_WRITERS: dict[str, Callable[..., bytes]] = {
    "csv": _delimited(","),
    "tsv": _delimited("\t"),
    "semicolon": _delimited(";"),
    "space": _delimited(" "),
    "dat": _dat,
    "recbole": _recbole,
    "jsonl": _jsonl,
    "parquet": _parquet,
}


def _handled(rng: random.Random, text: bytes) -> bytes:
    """Return a text file as other programs write it."""
    changes: list[Callable[[bytes], bytes]] = [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.rstrip(b"\n"),
        lambda text: text.replace(b"\n", b"\n\n", 5) + b"\n\n",
        lambda text: text.decode().encode("latin-1", "replace"),
        gzip.compress,
    ]
    return rng.choice(changes)(text) if rng.random() < 0.3 else text


def _damaged(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    line = content.partition(b"\n")[0] + b"\n"
    return rng.choice(
        [
            content[:place],
            content[:place] + rng.choice([b"\0", b'"', b"\xe9", b",", b"\n"]) + content[place:],
            content.replace(b"item", b"thing", 1),
            content.replace(b"item", b"session", 1),
            content + line,
            b"",
        ]
    )
