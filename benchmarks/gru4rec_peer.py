"""The peer's half of ``gru4rec.py``; runs in the peer's environment, without segue.

python gru4rec_peer.py FOLDER TASK.npz ANSWER.npz
"""

import contextlib
import io
import re
import sys

import numpy as np
import pandas as pd
import torch


def main() -> None:
    """Train the peer on the log of the task; answer with the seconds of each epoch and the weights."""
    folder, task_file, answer_file = sys.argv[1:]
    sys.path.insert(0, folder)
    from gru4rec_pytorch import GRU4Rec  # noqa: PLC0415

    task = dict(np.load(task_file))
    log = pd.DataFrame({"SessionId": task["sessions"], "ItemId": task["items"].astype(int), "Time": task["times"]})
    model = GRU4Rec(
        layers=[int(task["hidden_size"])],
        batch_size=int(task["batch_size"]),
        n_sample=int(task["n_samples"]),
        learning_rate=float(task["learning_rate"]),
        dropout_p_hidden=float(task["dropout_hidden"]),
        n_epochs=int(task["epochs"]),
        logq=1.0,
        device=torch.device("cpu"),
    )
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        model.fit(log)
    weights = {f"weight {name}": tensor.numpy() for name, tensor in model.model.state_dict().items()}
    seconds = [float(found) for found in re.findall(r"\(([\d.]+)s\)", lines.getvalue())]
    np.savez(answer_file, seconds=seconds, items=model.data_iterator.itemidmap.index.to_numpy(), **weights)


if __name__ == "__main__":
    main()
