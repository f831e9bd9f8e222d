"""RecTools' half of ``sequence.py``; runs in its environment, without segue."""

import json
import resource
import sys
import time
import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, HSTUModel, SASRecModel

MODELS = {"sasrec": SASRecModel, "bert4rec": BERT4RecModel, "hstu": HSTUModel}


class Clock(Callback):
    """Times the epochs; RecTools trains with a copy, which shares the list."""

    seconds: ClassVar[list[float]] = []

    def on_train_epoch_start(self, *_: object) -> None:
        """Note when an epoch starts."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        """Note how long it took."""
        self.seconds.append(time.perf_counter() - self._started)


def main() -> None:
    """Train on all but the last event of each user, and rank all unseen items for that one."""
    warnings.filterwarnings("ignore")
    task = json.loads(sys.argv[2])
    torch.set_num_threads(task["threads"])
    seed_everything(0)
    log = pd.read_csv(sys.argv[1]).rename(columns={"user": Columns.User, "item": Columns.Item})
    log[Columns.Datetime] = pd.to_datetime(log.pop("timestamp"), unit="s")
    log[Columns.Weight] = 1.0
    test = log.groupby(Columns.User).tail(1)
    data, clock = Dataset.construct(log.drop(test.index)), Clock()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    model = MODELS[task["model"]](
        n_blocks=task["layers"],
        n_heads=2,
        n_factors=task["embedding_size"],
        session_max_len=task["max_length"],
        dropout_rate=0.2,
        lr=1e-3,
        batch_size=128,
        epochs=task["epochs"],
        get_trainer_func=lambda: Trainer(max_epochs=task["epochs"], accelerator="cpu", callbacks=[clock], **quiet),
        recommend_torch_device="cpu",
    )
    started = time.perf_counter()
    model.fit(data)
    fitted = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lists = model.recommend(users=test[Columns.User].unique(), dataset=data, k=10, filter_viewed=True)
    hits = lists.merge(test[[Columns.User, Columns.Item]])
    ndcg = float((1 / np.log2(hits["rank"] + 1)).sum() / len(test))
    print(json.dumps({"fit_seconds": fitted, "epoch_seconds": clock.seconds, "peak_mb": peak, "ndcg@10": ndcg}))


if __name__ == "__main__":
    main()
