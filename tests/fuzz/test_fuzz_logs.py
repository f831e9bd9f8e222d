"""Damaged logs of all formats end in statistics or in one message, within limits of time and memory."""

import gzip
import importlib.util
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from limits import SEED, Runner, runner

_PATH = Path(__file__).parent.parent / "data" / "test_mutated_logs.py"
_SPEC = importlib.util.spec_from_file_location("mutated_logs", _PATH)
assert _SPEC is not None
mutated_logs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(mutated_logs)  # type: ignore[union-attr]

BLOCK = 100
LENIENT = ("--set", "protocol.split=ratio", "--set", "protocol.cleaning.min_support=1")
"""Options under which a small log is prepared to its end."""
EXTREME = [0, -1, 2**63 - 1, -(2**63), 2**63, 10**30, 1e308, -1e-308, float("nan"), None, True, "", "nan", "a" * 9000]
EXTREME += ["\x1b[31m", "\x9b", "\u202e", "\ud83d\ude00", [1], {"a": 1}, "0000-01-01", "9999-12-31T23:59:59-12:00"]
DTYPES = [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.String, pl.Categorical, pl.Date, pl.Datetime("ms")]
DTYPES += [pl.Datetime("us", "Asia/Tokyo"), pl.Duration("ms"), pl.Time, pl.Binary, pl.Boolean, pl.Decimal(20, 3)]


def rows(rng: random.Random, count: int = 60) -> list[dict[str, object]]:
    return [
        {"session": row // 4, "item": rng.randrange(20), "time": 1_700_000_000 + 60 * row, "title": rng.choice("abc")}
        for row in range(count)
    ]


def delimited(separator: str, header: str = "session,item,time,title") -> Callable[[random.Random], bytes]:
    def write(rng: random.Random) -> bytes:
        lines = [separator.join(map(str, row.values())) for row in rows(rng)]
        return "\n".join([*([header.replace(",", separator)] if header else []), *lines, ""]).encode()

    return write


def sequences(rng: random.Random) -> bytes:
    return b"".join(b"%d %s\n" % (n, b" ".join(b"%d" % rng.randrange(20) for _ in range(n % 5 + 2))) for n in range(40))


def json_lines(rng: random.Random) -> bytes:
    found = rows(rng)
    for _ in range(rng.randrange(3)):
        row = rng.choice(found)
        row[rng.choice(list(row))] = rng.choice(EXTREME)
    return "\n".join(map(json.dumps, found)).encode()


def otto(rng: random.Random) -> bytes:
    found = [{"session": n, "events": [{"aid": rng.randrange(20), "ts": 1_700_000_000_000 + n}] * 3} for n in range(30)]
    if rng.random() < 0.5:
        rng.choice(found)[rng.choice(["session", "events"])] = rng.choice(EXTREME)
    return "\n".join(map(json.dumps, found)).encode()


def parquet(rng: random.Random) -> bytes:
    import io

    frame = pl.DataFrame(rows(rng))
    name, dtype = rng.choice(frame.columns), rng.choice(DTYPES)
    physical = pl.Series([rng.choice([0, 1, -(2**63), 2**63 - 1, 2**62]) for _ in range(len(frame))], dtype=pl.Int64)
    source = physical if rng.random() < 0.3 else frame[name]
    try:
        column = source.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        column = frame[name]
    out = io.BytesIO()
    frame.with_columns(column.alias(name)).write_parquet(out)
    return out.getvalue()


def tables(rng: random.Random) -> bytes:
    separator = rng.choice(mutated_logs.SEPARATORS)
    text = mutated_logs.MUTATIONS[rng.choice(sorted(mutated_logs.MUTATIONS))](rng, mutated_logs.log(rng, separator))
    return text.encode(rng.choice(mutated_logs.ENCODINGS), "replace")


FORMATS: dict[str, Callable[[random.Random], bytes]] = {
    "tables": tables,
    "csv": delimited(","),
    "tsv": delimited("\t"),
    "recbole": delimited("\t", "session_id:token,item_id:token,timestamp:float,title:token_seq"),
    "movielens": delimited("::", ""),
    "sequences": sequences,
    "jsonl": json_lines,
    "otto": otto,
    "parquet": parquet,
}


def flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def repeated(rng: random.Random, content: bytes) -> bytes:
    place, size = rng.randrange(len(content)), rng.randint(1, 40)
    return content[:place] + content[place : place + size] * rng.choice([2, 100, 20_000]) + content[place + size :]


def replaced_number(rng: random.Random, content: bytes) -> bytes:
    extreme = rng.choice([one for one in EXTREME if isinstance(one, int | float | str)])
    return content.replace(
        str(rng.randrange(20)).encode(), str(extreme).encode("utf-8", "replace"), rng.choice([1, -1])
    )


DAMAGE: list[Callable[[random.Random, bytes], bytes]] = [
    lambda rng, content: content,
    lambda rng, content: content[: rng.randrange(len(content))],
    lambda rng, content: content[rng.randrange(len(content)) :],
    lambda rng, content: content.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b"\0", b"\x1b[2J\n"])),
    flipped,
    flipped,
    repeated,
    replaced_number,
]
PACKED: list[Callable[[bytes], bytes]] = [lambda content: content] * 4 + [gzip.compress]


def write_case(seed: int, folder: Path) -> tuple[Path, str]:
    """Write one damaged log; return it, and how it was made."""
    rng = random.Random(seed)
    name = rng.choice(sorted(FORMATS))
    damage, packed = rng.randrange(len(DAMAGE)), rng.choice(PACKED)
    content = packed(DAMAGE[damage](rng, FORMATS[name](rng)))
    content = flipped(rng, content) if packed is gzip.compress and content and rng.random() < 0.3 else content
    path = folder / f"log-{seed}"
    path.write_bytes(content)
    return path, f"{name}, damage {damage}"


def check_block(run: Runner, first: int, count: int) -> None:
    problems, codes = [], Counter[int]()
    for seed in range(first, first + count):
        path, made = write_case(seed, run.folder)
        answer = run.run(["data", path.name, *LENIENT])
        codes[answer.code] += 1
        if problem := answer.problem(path.stat().st_size):
            problems.append(f"seed {seed} ({made}): {problem}")
        path.unlink()
    assert not problems, "\n".join(problems)
    assert min(codes[0], codes[2]) > count / 20, codes


def test_some_damaged_logs(tmp_path: Path) -> None:
    with runner(tmp_path) as run:
        check_block(run, 100_000 * SEED, BLOCK // 2)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_2000_damaged_logs(tmp_path: Path, block: int) -> None:
    with runner(tmp_path) as run:
        check_block(run, 100_000 * SEED + BLOCK * block, BLOCK)
