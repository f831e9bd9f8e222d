"""Data sets and checkpoints that are consistent but false: one thing is wrong, and every checksum is right."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from crafted import Craft, changed_leaves, cut, flip
from crafted_arrays import variants_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file

_CHECKED = ("items", "offsets", "starts", "ends", "targets")
"""Arrays of which every value has a bound; others have some that they share with valid ones."""

_SHAPES = ("another dtype", "a wider dtype", "a dimension more", "as a column", "a row less", "a row more", "no rows")

_VALUES = [None, -1, 2**63 - 1, 1e300, "", "a" * 9000, "\x1b[31m", True, b"\xff", [1, 2], [], {"a": 1}]
_DTYPES = [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Categorical, pl.Date, pl.Datetime("ns"), pl.Duration, pl.Time]
_DTYPES += [pl.Binary, pl.Null, pl.Decimal(20, 3), pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Enum(["a"])]


def data_crafts(folder: Path) -> Iterator[Craft]:
    """Yield changes of each array, table and field of a prepared data set."""
    for file in sorted(folder.rglob("*.npy")):
        yield from _of_array(file.relative_to(folder).as_posix(), np.load(file))
    for file in sorted(folder.rglob("*.parquet")):
        yield from _of_table(file.relative_to(folder).as_posix(), pl.read_parquet(file))
    about = json.loads((folder / "about.json").read_text())
    for name, changed in changed_leaves(about):
        text = json.dumps(changed)
        yield Craft(f"about: {name}", lambda path, text=text: (path / "about.json").write_text(text) and None, False)
    for name in about:
        text = json.dumps({other: value for other, value in about.items() if other != name})
        write = lambda path, text=text: (path / "about.json").write_text(text) and None  # noqa: E731
        yield Craft(f"about: without {name}", write, invalid=name != "reading")


def _of_array(name: str, array: np.ndarray) -> Iterator[Craft]:
    for change, changed, invalid in variants_of(name, array):
        checked = change in _SHAPES or Path(name).stem in _CHECKED or "nan" in change or "inf" in change
        yield Craft(
            f"{name}: {change}",
            lambda path, changed=changed: np.save(path / name, changed),
            invalid and checked,
        )
    yield Craft(f"{name}: fewer bytes", lambda path: cut(path / name, 0.9))
    yield Craft(f"{name}: other bytes", lambda path: flip(path / name, 0.02), invalid=False)
    yield Craft(f"{name}: not listed", lambda path: _unlist(path, name), invalid=False)


def _unlist(folder: Path, name: str) -> None:
    (folder / name).unlink()
    manifest = json.loads((folder / "dataset.json").read_text())
    del manifest["sha256"][name]
    (folder / "dataset.json").write_text(json.dumps(manifest))


def _of_table(name: str, table: pl.DataFrame) -> Iterator[Craft]:
    def write(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
        return lambda path: change(pl.read_parquet(path / name)).write_parquet(path / name)

    for column in table.columns:
        for dtype in _DTYPES:
            kind = repr(dtype).split("(")[0]
            values = pl.lit(None, dtype=pl.Int8).cast(dtype, strict=False) if dtype != pl.Binary else pl.lit(b"\xff")
            yield Craft(f"{name}: {column} of {kind}", write(_with(column, values)), invalid=False)
        for value in _VALUES:
            yield Craft(
                f"{name}: {column} with {str(value)[:20]!r}",
                write(lambda rows, column=column, value=value: _with_last(rows, column, value)),
                invalid=False,
            )
        yield Craft(f"{name}: without {column}", write(lambda rows, column=column: rows.drop(column)), invalid=False)
        yield Craft(
            f"{name}: {column} renamed",
            write(lambda rows, column=column: rows.rename({column: "time"})),
            "columns" in name,
        )
    yield Craft(f"{name}: a row less", write(lambda rows: rows.head(-1)))
    yield Craft(f"{name}: a row more", write(lambda rows: pl.concat([rows, rows.tail(1)])))
    yield Craft(f"{name}: no rows", write(lambda rows: rows.head(0)))
    yield Craft(f"{name}: no columns", write(lambda rows: rows.select()), invalid=False)
    yield Craft(
        f"{name}: 300 MB", write(lambda rows: _with(rows.columns[0], pl.lit("a" * (300_000_000 // len(rows))))(rows))
    )
    for share in (0.3, 0.6, 0.9):
        yield Craft(f"{name}: cut at {share}", lambda path, share=share: cut(path / name, share))
    for place in range(24):
        yield Craft(
            f"{name}: a byte at {place / 24:.2f}",
            lambda path, place=place: flip(path / name, place / 24),
            invalid=False,
        )
    yield Craft(f"{name}: not listed", lambda path: _unlist(path, name), invalid=False)


def _with(column: str, values: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return a change of all values of a column; no two texts are equal."""
    return lambda rows: rows.with_columns(
        pl.concat_str(pl.int_range(pl.len()).cast(pl.String), values).alias(column)
        if "a" * 99 in str(values)
        else values.repeat_by(1).explode().alias(column)
        if rows.height == 1
        else values.alias(column)
    )


def _with_last(rows: pl.DataFrame, column: str, value: object) -> pl.DataFrame:
    values = [*rows[column].to_list()[:-1], value]
    try:
        return rows.with_columns(pl.Series(column, values))
    except (TypeError, pl.exceptions.PolarsError, OverflowError):
        return rows.with_columns(pl.Series(column, [value] * len(values)))


def checkpoint_crafts(folder: Path) -> Iterator[Craft]:
    """Yield changes of each tensor and field of a checkpoint."""
    file = folder / "state"
    with safe_open(file, framework="pt") as opened:
        state = json.loads(opened.metadata()["state"])
    for name, tensor in load_file(file).items():
        array = tensor.numpy()
        variants = variants_of(name, array) if array.ndim else [("a dimension", array[None], True)]
        for change, changed, invalid in variants:
            yield Craft(
                f"{name}: {change}",
                _tensors(lambda tensors, name=name, new=changed: {**tensors, name: _tensor(new)}),
                invalid,
            )
        yield Craft(
            f"{name}: missing", _tensors(lambda tensors, name=name: {k: v for k, v in tensors.items() if k != name})
        )
    yield Craft("a tensor more", _tensors(lambda tensors: {**tensors, "module.more": torch.zeros(3)}))
    yield Craft("no tensors", _tensors(lambda tensors: {}))
    for name, changed in changed_leaves(state):
        yield Craft(f"state: {name}", _state(json.dumps(changed)), invalid=False)
    for name in state:
        yield Craft(f"state: without {name}", _state(json.dumps({k: v for k, v in state.items() if k != name})))
    for text in ("", "{", "[]", "null", "[" * 100_000, '{"a": 1}', "NaN"):
        yield Craft(f"state: {text[:10]}", _state(text))
    for share in (0.1, 0.3, 0.6, 0.9):
        yield Craft(f"cut at {share}", lambda path, share=share: cut(path / "state", share))
        yield Craft(f"a byte at {share}", lambda path, share=share: flip(path / "state", share), invalid=False)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with safe_open(path / "state", framework="pt") as opened:
            metadata = opened.metadata()
        save_file(change(load_file(path / "state")), path / "state", metadata)

    return apply


def _state(text: str) -> Callable[[Path], None]:
    return lambda path: save_file(load_file(path / "state"), path / "state", {"state": text})
