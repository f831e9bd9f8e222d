"""What a service knows of its items: which ones a filter and a search find."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from live import memory_store, run, serving

from segue.data.vocabulary import Vocabulary
from segue.serving.served_model import ServedModel

ITEMS: dict[str, Any] = {
    "item": [7, 8, 9],
    "support": [5, 6, 6],
    "cost": [10.0, 0.1, None],
    "weight": pl.Series([10.0, 0.1, None], dtype=pl.Float32),
    "pages": [10, 2**53 + 1, None],
    "stars": pl.Series([5, 4, None], dtype=pl.UInt8),
    "new": [True, False, None],
    "size": ["10", "10.0", "None"],
    "since": [date(2026, 5, 4), date(2026, 5, 5), None],
    "changed": [datetime(2026, 5, 4, 9, 30), datetime(2026, 5, 4, 9, 30, 0, 500_000), None],
    "seen": [datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC), None],
    "length": [timedelta(seconds=90), timedelta(days=1), None],
    "price": [Decimal("1.50"), Decimal("2.00"), None],
    "tags": [["a"], ["b"], None],
}


@pytest.fixture(scope="module")
def served() -> ServedModel:
    model: Any = SimpleNamespace(vocabulary=Vocabulary(pl.DataFrame(ITEMS)))
    return ServedModel("m", "", Path(), model)


@pytest.mark.parametrize(
    ("column", "wanted", "found"),
    [
        ("cost", 10, [7]), ("cost", 10.0, [7]), ("cost", "10", [7]), ("cost", "10.0", [7]), ("cost", "1e1", [7]),
        ("cost", 0.1, [8]), ("cost", [10, "0.1"], [7, 8]), ("cost", True, []), ("cost", "ten", []),
        ("weight", 10, [7]), ("weight", 0.1, [8]), ("weight", 0.10000000149011612, [8]),
        ("pages", 10, [7]), ("pages", 10.0, [7]), ("pages", "10.0", [7]), ("pages", 10.5, []), ("pages", "1e1", [7]),
        ("pages", 2**53 + 1, [8]), ("pages", 2**53, []), ("pages", 2**70, []), ("pages", 1e300, []),
        ("stars", 5, [7]), ("stars", -1, []), ("stars", 261, []),
        ("new", True, [7]), ("new", "false", [8]), ("new", [True, False], [7, 8]), ("new", 1, []),
        ("size", 10, [7]), ("size", "10.0", [8]), ("size", "None", [9]), ("size", True, []),
        ("since", "2026-05-04", [7]), ("changed", "2026-05-04 09:30:00", [7]),
        ("changed", "2026-05-04 09:30:00.500000", [8]), ("seen", "2026-05-05 00:00:00+00:00", [8]),
        ("length", "0:01:30", [7]), ("price", "1.50", [7]), ("tags", "['b']", [8]),
    ],
)  # fmt: skip
def test_a_filter_compares_values(served: ServedModel, column: str, wanted: Any, found: list[int]) -> None:
    assert np.flatnonzero(served.mask({column: wanted})).tolist() == [item - 6 for item in found]


@pytest.mark.parametrize("column", [name for name in ITEMS if name not in ("item", "support")])
def test_what_the_api_shows_is_found(served: ServedModel, column: str) -> None:
    for index in (1, 2):
        shown = served.describe(index).metadata[column]
        assert np.flatnonzero(served.mask({column: shown})).tolist() == [index]
    assert not served.mask({column: None}).any()


def test_a_search_finds_the_most_popular_first(served: ServedModel) -> None:
    assert served.search("9").tolist() == [3]
    assert served.search("").tolist() == [2, 3, 1]


def test_a_search_leaves_the_event_loop_free(
    artifact: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    search = ServedModel.search

    def noted(self: ServedModel, text: str) -> Any:
        threads.append(threading.current_thread())
        assert {"texts", "columns"} <= vars(self).keys()  # Prepared when the model was loaded.
        return search(self, text)

    monkeypatch.setattr(ServedModel, "search", noted)

    async def work() -> None:
        client = await serving({"popularity": artifact("popularity")}, memory_store(), tmp_path)
        found = (await client("GET", "/v1/items?search=HING%2011&limit=200")).json["items"]
        assert sorted(one["item"] for one in found) == [str(item) for item in range(110, 120)]

    run(work())
    assert threads
    assert threading.main_thread() not in threads
