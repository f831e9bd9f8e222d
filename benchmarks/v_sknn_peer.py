"""The peer's half of ``v_sknn.py``; runs in the peer's environment, without segue.

    python v_sknn_peer.py FOLDER TASK.npz ANSWER.npz

It runs twice: as it is, timed; and with its ties in a fixed order (candidates by recency, similarities summed from the
most recent match back), because it leaves both to the order of Python sets. The second run gives the scores.
"""

import sys
import time

import numpy as np
import pandas as pd


def steady(kind):  # noqa: ANN001, ANN201
    """Return the peer's class with its ties in a fixed order."""

    class Steady(kind):
        def possible_neighbor_sessions(self, *args):  # noqa: ANN002, ANN202
            return sorted(super().possible_neighbor_sessions(*args), key=self.session_time.get, reverse=True)

        def vec(self, current, neighbor, pos_map):  # noqa: ANN001, ANN202
            recent_first = dict.fromkeys(reversed(self.session_items))
            return sum(pos_map[item] for item in recent_first if item in neighbor) / len(pos_map)

    return Steady


def predict(kind, task, log):  # noqa: ANN001, ANN201
    """Score every current session; return seconds and, per current session, the items with a score and the scores."""
    options = {"similarity": "vec", "weighting": "div", "weighting_score": "div", "normalize": False}
    model = kind(k=int(task["k"]), sample_size=int(task["sample_size"]), **options)
    model.fit(log)
    items = np.arange(1, int(task["n_items"]) + 1)
    last = task["running"][np.cumsum(task["lengths"]) - 1]
    seconds, answers = [], []
    for visit, item in zip(task["visits"].tolist(), last.tolist()):  # noqa: B905
        started = time.perf_counter()
        scores = model.predict_next(visit, item, items)
        seconds.append(time.perf_counter() - started)
        found = scores.to_numpy().nonzero()[0]
        answers.append((items[found], scores.to_numpy()[found]))
    return np.array(seconds), answers


def main() -> None:
    """Run both."""
    folder, task_file, answer_file = sys.argv[1:]
    sys.path.insert(0, folder)
    from algorithms.knn.vsknn import VMContextKNN  # noqa: PLC0415

    task = dict(np.load(task_file))
    log = pd.DataFrame({"SessionId": task["sessions"], "ItemId": task["items"].astype(int), "Time": task["times"]})
    seconds, _ = predict(VMContextKNN, task, log)
    _, answers = predict(steady(VMContextKNN), task, log)
    np.savez(
        answer_file,
        seconds=seconds,
        offsets=np.cumsum([0] + [len(items) for items, _ in answers]),
        items=np.concatenate([items for items, _ in answers]),
        scores=np.concatenate([scores for _, scores in answers]),
    )


if __name__ == "__main__":
    main()
