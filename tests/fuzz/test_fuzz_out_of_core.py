"""Random logs are prepared on disk as in memory: the same bytes and notes, or the same message."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from limits import SEED

from random_logs import LENIENT, make
from segue.data.fingerprint import fingerprint
from segue.data.partitions import OnDisk
from segue.data.readers.read import read
from segue.data.readers.staging import stage
from segue.errors import InputError
from segue.protocols.out_of_core import prepare_to_folder
from segue.protocols.prepare import prepare


@dataclass(frozen=True)
class Refusal:
    """What a user is told."""

    kind: type
    lines: tuple[str, ...]
    notes: tuple[str, ...]


def outcome(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except InputError as error:
        return Refusal(type(error), tuple(error.lines), tuple(getattr(error, "__notes__", ())))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def check(seed: str, folder: Path) -> Counter[str]:
    """Prepare one log with a few protocols, on disk and in memory; return what became of it."""
    rng = random.Random(seed)
    log = make(rng, folder / "log")
    pieces, partitions = rng.choice([1, 2, 5, 20]), rng.choice([1, 2, 3, 8])
    size = max(40, log.size // pieces)
    events = outcome(lambda: read(log.path, **log.options))
    staged = outcome(lambda: stage(log.path, OnDisk(folder / "work"), piece_bytes=size, **log.options))
    if isinstance(events, Refusal):
        assert staged == events, seed
        return Counter(["not read"])
    assert (staged.notes, staged.unit) == (events.notes, events.unit), seed
    assert staged.fingerprint == fingerprint(events.frame), seed
    found: Counter[str] = Counter()
    for number, parameters in enumerate([*log.protocols, LENIENT[events.unit]]):
        place = folder / str(number)
        in_memory, on_disk = both(events, staged, dict(parameters), place, partitions)
        assert on_disk == in_memory, (seed, parameters)
        found["not prepared" if isinstance(in_memory, Refusal) else "prepared"] += 1
    return found


def both(events: Any, staged: Any, parameters: dict[str, Any], folder: Path, partitions: int) -> tuple[Any, Any]:
    """Return the files of a data set, or why it is refused: prepared in memory and on disk."""
    name = parameters.pop("protocol", None)

    def in_memory() -> dict[str, bytes]:
        prepare(events, name, **parameters).save(folder / "memory")
        return content(folder / "memory")

    def on_disk() -> dict[str, bytes]:
        out, work = folder / "disk", OnDisk(folder / "work")
        further: dict[str, Any] = {"protocol": name, "parameters": parameters, "partitions": partitions}
        prepare_to_folder(staged, out, work, memory=1 << 30, **further)
        return content(out)

    return outcome(in_memory), outcome(on_disk)


@pytest.mark.parametrize(
    "block", [range(6), *(pytest.param(range(at, at + 25), marks=pytest.mark.soak) for at in range(25, 400, 25))]
)
def test_random_logs(block: range, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for number in block:
        found += check(f"{SEED} {number}", tmp_path / str(number))
    assert found["prepared"] >= len(block) // 3, found  # Enough of them; how many are refused is up to the seeds.
