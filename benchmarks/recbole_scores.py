"""RecBole's half of ``recbole_metrics.py``; runs in its environment, without segue.

    python recbole_scores.py MODEL DATASET OUT.npz '{"epochs": 5, ...}' CONFIG.yaml ...

Trains a model as RecBole's configuration files say, with single settings on top, and writes what its test saw: the
scores after masking, the positives, what is counted in training, and the figures that it prints. With the setting
``digits`` scores are rounded before they are measured.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed

ALL = [
    *("Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "GAUC"),
    *("ItemCoverage", "AveragePopularity", "GiniIndex", "ShannonEntropy", "TailPercentage"),
]
CUTOFFS = [1, 5, 10, 20]


def main() -> None:
    """Train, test, and write the file."""
    model, dataset, out, settings, *files = sys.argv[1:]
    sys.argv = sys.argv[:1]
    load = torch.load
    # RecBole reads its own checkpoint back, which current torch refuses by default.
    torch.load = lambda *args, **options: load(*args, **{"weights_only": False, **options})
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        found = seen(model, dataset, [str(Path(file)) for file in files], json.loads(settings))
    np.savez_compressed(out, **found)
    print(found["printed"])


def seen(model: str, dataset: str, files: list[str], settings: dict) -> dict:
    """Return what the test saw, and the figures."""
    digits = settings.pop("digits", None)
    quiet = {"show_progress": False, "state": "WARNING", "gpu_id": "", "checkpoint_dir": "saved"}
    config = Config(model=model, dataset=dataset, config_file_list=files, config_dict={**quiet, **settings})
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    log = create_dataset(config)
    train, valid, test = data_preparation(config, log)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    network = get_model(model)(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, network)
    trainer.fit(train, valid, saved=True, show_progress=False)
    scoring = trainer._full_sort_batch_eval
    trainer._full_sort_batch_eval = lambda batch: rounded(scoring(batch), digits)
    printed = trainer.evaluate(test, load_best_model=True, show_progress=False)
    config["metrics"], config["topk"] = ALL, CUTOFFS
    further = get_trainer(config["MODEL_TYPE"], model)(config, network)
    further.eval_collector.data_collect(train)
    # RecBole 1.2.1 moves all that it collected to the CPU, numbers too, and fails; here all of it is there already.
    further.eval_collector.get_data_struct = lambda: further.eval_collector.data_struct
    parts = []

    def kept(batch: tuple) -> tuple:
        interaction, *result = trainer._full_sort_batch_eval(batch)
        parts.append([part.clone() for part in (*result, interaction[log.uid_field])])
        return interaction, *result

    further._full_sort_batch_eval = kept
    everything = further.evaluate(test, load_best_model=False, show_progress=False)
    counts = {part: len(data._dataset) for part, data in (("train", train), ("valid", valid), ("test", test))}
    return {
        **dict(_stacked(parts)),
        "items": log.field2id_token[log.iid_field].astype(str),
        "users": log.field2id_token[log.uid_field].astype(str)[torch.cat([users for *_, users in parts]).numpy()],
        "trained": np.bincount(_training_events(train._dataset, log), minlength=log.item_num),
        "printed": json.dumps({name: float(value) for name, value in printed.items()}),
        "all": json.dumps({name: float(value) for name, value in everything.items()}),
        "counts": json.dumps({**counts, "users": log.user_num - 1, "items": log.item_num - 1}),
        "sequential": config["MODEL_TYPE"].name == "SEQUENTIAL",
    }


def rounded(result: tuple, digits: int | None) -> tuple:
    """Round the scores of a batch."""
    interaction, scores, rows, items = result
    return interaction, scores if digits is None else scores.round(decimals=digits), rows, items


def _training_events(train: object, log: object) -> np.ndarray:
    """Return the item of each training event, as RecBole counts them: a first event of a user is no target."""
    return train.inter_feat[log.iid_field].numpy()


def _stacked(parts: list) -> Iterator[tuple[str, np.ndarray]]:
    """Put the batches of the test below each other."""
    yield "scores", torch.cat([scores for scores, *_ in parts]).numpy()
    sizes = np.cumsum([0, *(len(scores) for scores, *_ in parts)])
    yield "rows", torch.cat([rows + int(start) for start, (_, rows, *_) in zip(sizes, parts, strict=False)]).numpy()
    yield "positives", torch.cat([items for _, _, items, _ in parts]).numpy()


if __name__ == "__main__":
    main()
