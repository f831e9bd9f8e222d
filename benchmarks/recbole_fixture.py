"""Records tests/fixtures/recbole_run.json: RecBole on a small log that a formula makes.

    python benchmarks/recbole_fixture.py PYTHON

PYTHON is an interpreter that can import RecBole 1.2.1; see ``recbole_metrics.py``.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).parent
FIXTURE = HERE.parent / "tests" / "fixtures" / "recbole_run.json"

_METRICS = {"metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision"], "topk": [5, 10], "valid_metric": "MRR@10"}
_EVENTS = {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}, "epochs": 3, "train_batch_size": 256}
RUNS = {
    "general": ("BPR", {**_EVENTS, **_METRICS, "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}}),
    "filtered": (
        "BPR",
        {
            **_EVENTS,
            **_METRICS,
            "val_interval": {"rating": "[1,3);(3,5]"},
            "user_inter_num_interval": "[6,inf)",
            "item_inter_num_interval": "[5,30)",
            "eval_args": {"split": {"RS": [6, 2, 2]}, "order": "TO", "group_by": "user", "mode": "full"},
        },
    ),
    "deduplicated": (
        "BPR",
        {**_EVENTS, **_METRICS, "rm_dup_inter": "last", "eval_args": {"split": {"LS": "valid_and_test"}}},
    ),
    "ties": ("Pop", {**_EVENTS, **_METRICS, "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"}}),
    "sequential": (
        "GRU4Rec",
        {**_EVENTS, **_METRICS, "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 10, "hidden_size": 16},
    ),
}
"""Model and configuration of each run."""


def log() -> str:
    """Return an atomic file of 60 users and 40 items, some events of which are at equal times."""
    rows = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(60):
        for event in range(7 + user % 9):
            item = (user * user + event * (3 + 4 * (user % 5)) + event * event * (user % 2)) % 40
            rows.append(f"u{user}\ti{item}\t{1 + (user + item) % 5}\t{1_000_000 + 50 * user + 10 * (event // 2)}")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Run RecBole and write the fixture."""
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "small").mkdir()
        (Path(folder) / "small" / "small.inter").write_text(log())
        for name, (model, settings) in RUNS.items():
            config, out = Path(folder) / f"{name}.yaml", Path(folder) / f"{name}.npz"
            config.write_text(yaml.safe_dump(settings))
            extra = json.dumps({"data_path": folder, "digits": 4})
            command = [sys.argv[1], HERE / "recbole_scores.py", model, "small", out, extra, config]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            runs[name] = {"model": model, "config": settings, **_plain(dict(np.load(out)))}
    FIXTURE.write_text(json.dumps({"log": log(), "runs": runs}, separators=(",", ":")) + "\n")


def _plain(seen: dict[str, np.ndarray]) -> dict[str, object]:
    """Return what was seen, ready for JSON; a score that is masked is None."""
    plain = {name: value.tolist() for name, value in seen.items()}
    for name in ("printed", "all", "counts"):
        plain[name] = json.loads(plain[name])
    masked = np.isinf(seen["scores"])
    scores = np.round(seen["scores"].astype(np.float64), 4).tolist()
    plain["scores"] = [
        [None if hide else score for hide, score in zip(*row, strict=True)] for row in zip(masked, scores, strict=True)
    ]
    return plain


if __name__ == "__main__":
    main()
