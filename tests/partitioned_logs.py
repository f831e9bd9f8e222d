"""Logs and protocols on which partitions are compared with the whole log."""

from typing import Any

import numpy as np
import polars as pl

PARAMETERS: dict[str, dict[str, Any]] = {
    "last-days": {"cleaning": {"k_core": 2, "min_support": 2, "min_length": 2, "drop_consecutive_repeats": True}},
    "window": {"cleaning": {"last_days": 20.0, "max_length": 30, "drop_duplicates": True}},
    "activity": {"cleaning": {"session_interval": "[3,300]", "item_interval": "[4,200];[230,inf)"}},
    "sessionise": {"cleaning": {"session_gap": 3000.0, "revisits": "last", "min_length": 2}},
    "recent": {"cleaning": {"recent_share": 0.4}, "split": {"kind": "ratio", "test_share": 0.2, "valid_share": 0.1}},
    "known-items": {
        "cleaning": {"order": ["incomplete", "hold-out-test", "hold-out-valid", "known-items"], "min_length": 2},
        "split": {"kind": "ratio"},
    },
    "last-event": {"split": {"kind": "last-event"}, "cases": {"targets": "last"}},
    "last-event valid-only": {"split": {"kind": "last-event", "leave": "valid_only"}},
    "last-event random": {"split": {"kind": "last-event", "order": "random"}},
    "last-event random valid-only": {"split": {"kind": "last-event", "order": "random", "leave": "valid_only"}},
    "last-basket": {"split": {"kind": "last-event", "baskets": True}},
    "event-ratio": {"split": {"kind": "event-ratio"}},
    "event-ratio random": {"split": {"kind": "event-ratio", "order": "random"}},
    "event-ratio of all": {"split": {"kind": "event-ratio", "group_by": "none"}},
    "event-ratio of all, random": {"split": {"kind": "event-ratio", "group_by": "none", "order": "random"}},
    "global-time": {"split": {"kind": "global-time"}},
    "global-time from": {"split": {"kind": "global-time", "test_from": "2024-01-20", "valid_from": "2024-01-15"}},
    "given": {"split": {"kind": "given"}},
}


def make_log(seed: int, *, ids: str = "int", coarse: bool = True) -> pl.DataFrame:
    """Make a log with ties in time, missing values and a predefined split."""
    rng = np.random.default_rng(seed)
    n = 3000
    times = rng.integers(0, 30 * 24 if coarse else 30 * 86_400, n) * (3_600_000_000 if coarse else 1_000_000)
    session = rng.zipf(1.3, n) % 200 if seed % 2 else rng.integers(0, 400, n)
    frame = pl.DataFrame(
        {
            "session": session,
            "item": rng.zipf(1.5, n) % 80,
            "time": pl.Series(times + 1_704_067_200_000_000).cast(pl.Datetime("us")),
            "part": np.array(["train", "test"])[(session % 5 == 0).astype(int)],
            "price": rng.integers(0, 9, n) / 2,
        }
    )
    if ids == "text":
        frame = frame.with_columns(pl.format("visit {}", "session"), pl.format("i{}", "item"))
    holes = pl.Series(rng.random(n) < 0.01)
    return frame.with_columns(item=pl.when(holes).then(None).otherwise("item"))
