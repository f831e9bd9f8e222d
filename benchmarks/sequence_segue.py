"""Our half of ``sequence.py``: ``python sequence_segue.py LOG.csv TASK.json``; answers with one line of JSON."""

import json
import resource
import sys
import time

import segue
from segue.experiment.config import parse_settings
from segue.parameters import merge
from segue.training.runtime import Runtime


def main() -> None:
    """Train on all but the last event of each user, and rank all unseen items for that one."""
    log, task = sys.argv[1], json.loads(sys.argv[2])
    name = task["model"]
    data = segue.prepare(
        segue.read(log, columns={"session": "user"}),
        "leave-one-out",
        cleaning={"k_core": 1},
        cases={"exclude_seen": True},
        split={"leave": "test_only"},
    )
    kind = segue.model_class(name)
    sizes = {**task, "hidden_size": task["embedding_size"]}
    own = {"embedding_size", "hidden_size", "max_length", "layers"} & kind.Config.model_fields.keys()
    usual = {**{size: sizes[size] for size in own}, "training": {"epochs": task["epochs"]}}
    model = kind(**merge(usual, parse_settings(task["settings"]).get(name, {})))
    started = time.perf_counter()
    model.fit(data.train, runtime=Runtime(device="cpu", precision=task["precision"]))
    answer = {
        "fit_seconds": time.perf_counter() - started,
        "epoch_seconds": [record.seconds for record in model.curve],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ndcg@10": segue.evaluate(model, data).metrics["ndcg@10"],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
