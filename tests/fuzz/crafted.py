"""Folders that are consistent but false: one thing is wrong, and every checksum is right.

Here those of models, and what data sets and checkpoints have in common with them; see ``crafted_data``.
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from crafted_arrays import variants_of
from safetensors.numpy import load_file, save_file

ARRAYS, OPTIMIZER = "arrays.safetensors", "optimizer.safetensors"
ITEMS, CONFIG, MANIFEST = "items.parquet", "config.json", "manifest.json"


@dataclass(frozen=True)
class Craft:
    """A change of a folder.

    Attributes:
        name: what is changed.
        apply: changes a copy of the folder.
        invalid: whether the folder must be refused; others may be loaded, but must not do harm.
        signed: whether the checksums are computed anew.
    """

    name: str
    apply: Callable[[Path], None]
    invalid: bool = True
    signed: bool = True

    def make(self, original: Path, folder: Path) -> None:
        """Write the changed folder."""
        shutil.copytree(original, folder)
        self.apply(folder)
        if self.signed:
            sign(folder)


def sign(folder: Path) -> None:
    """Put the checksums of the files into the manifest, if there is one."""
    for file in (folder / MANIFEST, folder / "dataset.json"):
        if file.exists():
            manifest = json.loads(file.read_text())
            manifest["sha256"] = {
                name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                for name in manifest["sha256"]
                if (folder / name).is_file()
            }
            file.write_text(json.dumps(manifest))


def crafts(folder: Path) -> Iterator[Craft]:
    """Yield changes of each array, of the catalogue, of the configuration and of the manifest."""
    yield from _of_arrays(ARRAYS, load_file(folder / ARRAYS))
    if (folder / OPTIMIZER).exists():
        yield from _of_arrays(OPTIMIZER, load_file(folder / OPTIMIZER), optional=True)
    yield from _of_items()
    yield from _of_config(json.loads((folder / CONFIG).read_text()))
    yield from _of_manifest(json.loads((folder / MANIFEST).read_text())["about"])


def _of_arrays(file: str, arrays: dict[str, np.ndarray], *, optional: bool = False) -> Iterator[Craft]:
    """Yield changes of a file of arrays and of each of them; one that is optional may have none at all."""

    def save(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
        return lambda path: save_file(change(load_file(path / file)), path / file)

    for name, array in arrays.items():
        for change, changed, invalid in variants_of(name, array):
            new = {name: changed}
            yield Craft(f"{file}, {name}: {change}", save(lambda found, new=new: found | new), invalid)
        without = save(lambda found, name=name: {k: v for k, v in found.items() if k != name})
        yield Craft(f"{file}, {name}: missing", without, not optional or len(arrays) > 1)
    yield Craft(f"{file}: an array more", save(lambda found: found | {"more": np.zeros(3)}))
    yield Craft(f"{file}: no array", save(lambda found: {}), not optional)
    for share in (0.3, 0.6, 0.9):
        yield Craft(f"{file}: cut at {share}", lambda path, share=share: cut(path / file, share))
        yield Craft(f"{file}: a byte at {share}", lambda path, share=share: flip(path / file, share), invalid=False)
    header = b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    yield Craft(
        f"{file}: a header of terabytes",
        lambda path: (path / file).write_bytes(len(header).to_bytes(8, "little") + header + bytes(16)),
    )
    yield Craft(f"{file}: a header of its own length", lambda path: (path / file).write_bytes(b"\xff" * 64))


def _of_items() -> Iterator[Craft]:
    first = pl.int_range(pl.len()) == 0
    changes: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
        "an id twice": lambda table: (
            table.with_columns(pl.col("item").gather(0).repeat_by(1).explode().alias("item"))
            if table.height == 1
            else table.with_columns(pl.when(first).then(pl.col("item").last()).otherwise(pl.col("item")).alias("item"))
        ),
        "an id missing": lambda table: table.with_columns(pl.when(~first).then(pl.col("item")).alias("item")),
        "decimal ids": lambda table: table.with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias("item")),
        "a row less": lambda table: table.head(-1),
        "a row more": lambda table: pl.concat(
            [table, table.tail(1).with_columns(pl.lit(10**6).cast(table.schema["item"]).alias("item"))]
        ),
        "no rows": lambda table: table.head(0),
        "no ids": lambda table: table.drop("item"),
        "no support": lambda table: table.drop("support"),
        "negative support": lambda table: table.with_columns(-pl.col("support") - 1),
        "no value of support": lambda table: table.with_columns(
            pl.when(~first).then(pl.col("support")).alias("support")
        ),
        "decimal support": lambda table: table.with_columns(pl.col("support").cast(pl.Float64)),
        "an unknown origin": lambda table: table.with_columns(pl.lit("elsewhere").alias("segue: scored as")),
        "a cold item before the others": lambda table: table.with_columns(
            pl.when(first).then(pl.lit("fallback")).alias("segue: scored as")
        ),
        "numbers for origins": lambda table: table.with_columns(pl.lit(1).alias("segue: scored as")),
    }
    for name, change in changes.items():
        yield Craft(
            f"items: {name}",
            lambda path, change=change: change(pl.read_parquet(path / ITEMS)).write_parquet(path / ITEMS),
        )

    def bomb(path: Path) -> None:
        table = pl.read_parquet(path / ITEMS)
        texts = pl.Series("note", [chr(97 + row % 26) * 30_000_000 for row in range(table.height)])
        table.with_columns(texts).write_parquet(path / ITEMS, compression="zstd")

    def rows(path: Path) -> None:
        many = pl.DataFrame({"item": pl.int_range(30_000_000, eager=True)}).with_columns(
            support=pl.lit(1, dtype=pl.Int64)
        )
        many.write_parquet(path / ITEMS, compression="zstd")

    yield Craft("items: far larger in memory", bomb)
    yield Craft("items: millions of rows", rows)
    yield Craft("items: not Parquet", lambda path: (path / ITEMS).write_bytes(b"PAR1" + bytes(100) + b"PAR1"))
    for share in (0.3, 0.6, 0.9):
        yield Craft(f"items: cut at {share}", lambda path, share=share: cut(path / ITEMS, share))
        yield Craft(f"items: a byte at {share}", lambda path, share=share: flip(path / ITEMS, share), invalid=False)


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


def flip(file: Path, share: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 0xFF
    file.write_bytes(bytes(content))


def _of_config(config: dict[str, Any]) -> Iterator[Craft]:
    def write(content: Any) -> Callable[[Path], None]:
        return lambda path: (path / CONFIG).write_text(json.dumps(content)) and None

    for name, changed in changed_leaves(config):
        yield Craft(f"config: {name}", write(changed), invalid=False)
    yield Craft("config: an unknown name", write({**config, "unknown": 1}))
    yield Craft("config: a list", write([config]))
    yield Craft("config: text", write("config"))
    yield Craft("config: not JSON", lambda path: (path / CONFIG).write_text("{") and None)
    yield Craft("config: deep", lambda path: (path / CONFIG).write_text("[" * 100_000) and None)
    yield Craft("config: a name twice", lambda path: (path / CONFIG).write_text('{"a": 1, "a": 2}') and None)
    yield Craft("config: a long number", lambda path: (path / CONFIG).write_text(f'{{"a": {"9" * 5000}}}') and None)


def changed_leaves(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a JSON object with one value changed, and what is changed."""
    for names in _leaves(content):
        for value in (None, True, -1, 0, 10**12, 10**30, 1e300, "x", [], {}, [1, 2], "9999-12-31T23:59:59-12:00"):
            changed = copy.deepcopy(content)
            section: Any = changed
            for name in names[:-1]:
                section = section[name]
            section[names[-1]] = value
            yield f"{'.'.join(map(str, names))} = {value}", changed


def _leaves(content: dict[str, Any] | list[Any], *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value that is no object, and of the parts of the first object in a list."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content[:1]):
        if isinstance(value, dict) and value:
            yield from _leaves(value, *above, name)
        else:
            yield *above, name
            if isinstance(value, list) and value and isinstance(value[0], dict):
                yield from _leaves(value, *above, name)


def _of_manifest(about: dict[str, Any]) -> Iterator[Craft]:
    def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
        def apply(path: Path) -> None:
            content = json.loads((path / MANIFEST).read_text())
            changed = change(content)
            (path / MANIFEST).write_text(json.dumps(content if changed is None else changed))

        return apply

    for version in (0, -1, 999, "1", 1.0, None, True):
        yield Craft(
            f"manifest: format {version!r}", edit(lambda content, version=version: content.update(format=version))
        )
    for model in ("", "unknown", 3, None, ["gru4rec"], "../gru4rec"):
        yield Craft(f"manifest: model {model!r}", edit(lambda content, model=model: content.update(model=model)))
    for name, changed in changed_leaves(about):
        yield Craft(
            f"manifest: about.{name}",
            edit(lambda content, changed=changed: content.update(about=changed)),
            invalid=False,
        )
    for about in ([], "x", None):
        yield Craft(f"manifest: about {about!r}", edit(lambda content, about=about: content.update(about=about)))
    for name in ("../outside", "/dev/zero", "a/../../b", "", ".", "a\\b", "c:d", "a\x00b"):
        yield Craft(
            f"manifest: names {name!r}",
            edit(lambda content, name=name: content["sha256"].update({name: "0" * 64})),
            signed=False,
        )
    for name in (ARRAYS, ITEMS, CONFIG):
        yield Craft(
            f"manifest: without {name}",
            edit(lambda content, name=name: content["sha256"].pop(name) and None),
            signed=False,
        )
        yield Craft(
            f"manifest: no checksum of {name}",
            edit(lambda content, name=name: content["sha256"].update({name: "x"})),
            signed=False,
        )
        yield Craft(f"{name} is missing", lambda path, name=name: (path / name).unlink(), signed=False)
    yield Craft("manifest: a list", edit(lambda content: [content]), signed=False)
    yield Craft("manifest: deep", lambda path: (path / MANIFEST).write_text("[" * 100_000) and None, signed=False)
    yield Craft("manifest: empty", lambda path: (path / MANIFEST).write_text("") and None, signed=False)
    yield Craft("manifest: not UTF-8", lambda path: (path / MANIFEST).write_bytes(b"\xff\xfe{}") and None, signed=False)
