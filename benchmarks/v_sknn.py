"""V-SKNN beside session-rec's: the same log, the same parameters, the same lists; predictions per second and latency.

    python benchmarks/v_sknn.py LOG --peer FOLDER --peer-python PYTHON [--cases 3000] [--k 100] [--sample-size 500]

FOLDER is a checkout of session-rec, PYTHON an interpreter that can import it. A prediction is the scores of all items
for one current session. Weights fall with "div", which means the same there and here for sessions of every length.
"""

import argparse
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import segue
from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import ItemOrder
from segue.evaluation.ranking import top_k
from segue.models.v_sknn import VSKNN

LIST = 20
CHUNK = 128
PEER = Path(__file__).parent / "v_sknn_peer.py"


def run_peer(args: argparse.Namespace, train: Sessions, cases: Cases, folder: Path) -> dict[str, np.ndarray]:
    """Hand log and cases to the peer in its own process, and take back its latencies and scores."""
    owner = np.repeat(np.arange(len(train)), train.lengths)
    times = owner if train.times is None else train.times
    _, events = cases.prefixes.events()
    np.savez(
        folder / "task.npz",
        sessions=owner,
        items=train.items,
        times=times,
        n_items=len(train.vocabulary),
        running=cases.prefixes.items[events],
        lengths=cases.prefixes.lengths,
        visits=cases.groups,
        k=args.k,
        sample_size=args.sample_size,
    )
    command = [args.peer_python, PEER, args.peer, folder / "task.npz", folder / "answer.npz"]
    subprocess.run(command, check=True)
    with np.load(folder / "answer.npz") as answer:
        return dict(answer)


def peer_lists(answer: dict[str, np.ndarray], support: np.ndarray) -> np.ndarray:
    """Order the peer's scores like ours: in single precision, equal ones by support, then by index."""
    lists, order = [], ItemOrder.descending(support)
    for start, end in pairwise(answer["offsets"]):
        scores = np.zeros((1, len(support)), dtype=np.float32)
        scores[0, answer["items"][start:end]] = answer["scores"][start:end]
        lists.append(top_k(torch.from_numpy(scores), LIST, order=order)[0])
    return np.concatenate(lists)


def chunks(cases: Cases) -> list[Prefixes]:
    """Cut the cases into the batches of an evaluation."""
    return [cases.prefixes[start : start + CHUNK] for start in range(0, len(cases), CHUNK)]


def batch_seconds(model: VSKNN, cases: Cases) -> float:
    """Score all cases in batches, as evaluation does."""
    started = time.perf_counter()
    for prefixes in chunks(cases):
        model.score(prefixes)
    return time.perf_counter() - started


def single_seconds(model: VSKNN, cases: Cases, listed: bool) -> np.ndarray:
    """Score the cases one by one, as a shop does; ``listed`` adds the top list."""
    seconds, order = np.zeros(len(cases)), ItemOrder.descending(model.vocabulary.support)
    for row in range(len(cases)):
        prefix = cases.prefixes[row : row + 1]
        started = time.perf_counter()
        scores = model.score(prefix)
        if listed:
            top_k(scores, LIST, order=order)
        seconds[row] = time.perf_counter() - started
    return seconds


def report(name: str, rate: float, seconds: np.ndarray) -> None:
    """Print one line."""
    p50, p90, p99 = np.percentile(seconds * 1000, (50, 90, 99))
    print(f"{name:26} {rate:10,.0f} predictions/s   p50 {p50:7.3f}   p90 {p90:7.3f}   p99 {p99:7.3f} ms")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--sample-size", type=int, default=500)
    args = parser.parse_args()
    data = segue.prepare(segue.read(args.log), "session-next")
    cases = data.test[: args.cases]
    with tempfile.TemporaryDirectory() as folder:
        answer = run_peer(args, data.train, cases, Path(folder))
    parameters = {"k": args.k, "sample_size": args.sample_size, "max_length": int(cases.prefixes.lengths.max())}
    model = VSKNN(**parameters, position_decay="div", match_decay="div").fit(data.train)
    single_seconds(model, cases[:10], listed=True)  # compiles the kernels, or reads them from the cache
    support = model.vocabulary.support
    order = ItemOrder.descending(support)
    ours = [top_k(model.score(prefixes), LIST, order=order)[0] for prefixes in chunks(cases)]
    equal = (np.concatenate(ours) == peer_lists(answer, support)).all(axis=1).sum()
    batch = min(batch_seconds(model, cases) for _ in range(3))
    single, listed = single_seconds(model, cases, listed=False), single_seconds(model, cases, listed=True)
    print(f"{len(data.train):,} sessions, {len(support) - 1:,} items, {torch.get_num_threads()} cores")
    print(f"equal lists of {LIST}: {equal:,} of {len(cases):,}")
    peer_rate = 1 / answer["seconds"].mean()
    report("session-rec", peer_rate, answer["seconds"])
    report("segue, one by one", 1 / single.mean(), single)
    report(f"segue, one by one + top {LIST}", 1 / listed.mean(), listed)
    print(f"{'segue, batches':26} {len(cases) / batch:10,.0f} predictions/s")
    in_batches, alone = len(cases) / batch / peer_rate, answer["seconds"].mean() / single.mean()
    print(f"ratio: {in_batches:.1f} in batches, {alone:.1f} one by one")


if __name__ == "__main__":
    main()
