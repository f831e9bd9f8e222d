"""RecBole's half of ``sequence.py``; runs in its environment, without segue. It also holds out a validation event."""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

NAMES = {
    "sasrec": "SASRec",
    "bert4rec": "BERT4Rec",
    "narm": "NARM",
    "stamp": "STAMP",
    "sr-gnn": "SRGNN",
    "gru4rec": "GRU4Rec",
    "improved-gru4rec": "GRU4Rec",
    "fpmc": "FPMC",
}


def main() -> None:
    """Train without the last two events of each user, and rank all items for the last one."""
    log, task = Path(sys.argv[1]), json.loads(sys.argv[2])
    sys.argv = sys.argv[:1]
    torch.set_num_threads(task["threads"])
    load = torch.load
    # RecBole reads its own checkpoint back, which current torch refuses by default.
    torch.load = lambda *args, **options: load(*args, **{"weights_only": False, **options})
    with tempfile.TemporaryDirectory() as folder:
        atomic = Path(folder) / "log" / "log.inter"
        atomic.parent.mkdir()
        rows = [line.replace(",", "\t") for line in log.read_text(encoding="utf-8").splitlines()[1:]]
        atomic.write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(rows) + "\n")
        print(json.dumps(measure(folder, task)))


def measure(folder: str, task: dict) -> dict:
    """Train and evaluate."""
    name, width = NAMES[task["model"]], task["embedding_size"]
    pairwise = {} if name == "FPMC" else {"loss_type": "CE", "train_neg_sample_args": None}
    settings = {
        "data_path": folder,
        "checkpoint_dir": f"{folder}/saved",
        "use_gpu": False,
        "epochs": task["epochs"],
        "stopping_step": task["epochs"] + 1,
        "eval_step": task["epochs"],
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": task["max_length"],
        "train_batch_size": 2048,
        "hidden_size": width,
        "embedding_size": width,
        "inner_size": 4 * width,
        "n_layers": task["layers"],
        "n_heads": 2,
        "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
        "repeatable": True,
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "show_progress": False,
        "state": "WARNING",
        **pairwise,
    }
    config = Config(model=name, dataset="log", config_dict=settings)
    init_seed(0, True)
    train, valid, test = data_preparation(config, create_dataset(config))
    model = get_model(name)(config, train._dataset).to("cpu")
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    seconds, epoch = [], trainer._train_epoch

    def timed(*args: object, **options: object) -> object:
        started = time.perf_counter()
        loss = epoch(*args, **options)
        seconds.append(time.perf_counter() - started)
        return loss

    trainer._train_epoch = timed
    started = time.perf_counter()
    trainer.fit(train, valid, saved=True, show_progress=False)
    fitted = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    values = trainer.evaluate(test, load_best_model=True, show_progress=False)
    return {"fit_seconds": fitted, "epoch_seconds": seconds, "peak_mb": peak, "ndcg@10": float(values["ndcg@10"])}


if __name__ == "__main__":
    main()
