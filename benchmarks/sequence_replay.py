"""RePlay's half of ``sequence.py``, with its Parquet pipeline; runs in its environment, without segue."""

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from replay.data import FeatureHint, FeatureType
from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorSchema
from replay.data.nn.utils import groupby_sequences
from replay.nn.lightning import LightningModule
from replay.nn.sequential import SasRec
from replay.nn.transform.template import make_default_sasrec_transforms

BATCH = 128


class Clock(lightning.Callback):
    """Times the epochs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        """Note when an epoch starts."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        """Note how long it took."""
        self.seconds.append(time.perf_counter() - self._started)


def trainer(**options: object) -> lightning.Trainer:
    """Return a quiet trainer."""
    names = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return lightning.Trainer(accelerator="cpu", **dict.fromkeys(names, False), **options)


def main() -> None:
    """Train on all but the last event of each user, and rank all unseen items for that one."""
    warnings.filterwarnings("ignore")
    task = json.loads(sys.argv[2])
    for name in ("ARROW_NUM_THREADS", "ARROW_IO_THREADS"):
        os.environ.setdefault(name, "1")
    torch.set_num_threads(task["threads"])
    lightning.seed_everything(0)
    log = pd.read_csv(sys.argv[1])
    events = pd.DataFrame({"user_id": log["user"], "item_id": pd.factorize(log["item"])[0]})
    events["timestamp"] = log["timestamp"]
    test = events.groupby("user_id").tail(1)
    train, n_items = events.drop(test.index), int(events["item_id"].max()) + 1
    item = TensorFeatureInfo(
        name="item_id",
        is_seq=True,
        padding_value=n_items,
        cardinality=n_items,
        embedding_dim=task["embedding_size"],
        feature_type=FeatureType.CATEGORICAL,
        feature_hint=FeatureHint.ITEM_ID,
    )
    schema = TensorSchema([item])
    steps = make_default_sasrec_transforms(schema)
    model = LightningModule(
        SasRec.from_params(
            schema=schema,
            embedding_dim=task["embedding_size"],
            max_sequence_length=task["max_length"],
            num_heads=2,
            num_blocks=task["layers"],
            dropout=0.2,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.parquet"
        groupby_sequences(events=train, groupby_col="user_id", sort_col="timestamp").to_parquet(path)
        shape = {"item_id": {"shape": task["max_length"] + 1, "padding": n_items}}
        data = ParquetModule(
            train_path=path, batch_size=BATCH, transforms={"train": steps["train"]}, metadata={"train": shape}
        )
        # Without validation data its own method raises a KeyError.
        data.val_dataloader = lightning.LightningDataModule.val_dataloader.__get__(data)
        clock, started = Clock(), time.perf_counter()
        trainer(max_epochs=task["epochs"], callbacks=[clock], limit_val_batches=0, num_sanity_val_steps=0).fit(
            model, datamodule=data
        )
        fitted = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shape = {"user_id": {}, "item_id": {"shape": task["max_length"], "padding": n_items}}
        data = ParquetModule(
            predict_path=path, batch_size=BATCH, transforms={"predict": steps["predict"]}, metadata={"predict": shape}
        )
        outputs = trainer(inference_mode=True).predict(model.eval(), datamodule=data)
        users = pd.read_parquet(path)["user_id"].to_numpy()
    scores = np.concatenate([output["logits"].numpy() for output in outputs])[:, :n_items]
    ndcg = ndcg_at_10(scores, users, train, test)
    print(json.dumps({"fit_seconds": fitted, "epoch_seconds": clock.seconds, "peak_mb": peak, "ndcg@10": ndcg}))


def ndcg_at_10(scores: np.ndarray, users: np.ndarray, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Rank the test item of each user, a row of ``scores``, among all items that the user has not seen."""
    row = pd.Series(np.arange(len(users)), index=users)
    scores[row[train["user_id"]], train["item_id"]] = -np.inf
    own = scores[row[test["user_id"]], test["item_id"]]
    assert np.isfinite(own).all(), "a test item is one that its user has seen: take a log without repeats"
    ranks = 1 + (scores[row[test["user_id"]]] > own[:, None]).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0).mean())


if __name__ == "__main__":
    main()
