"""GRU4Rec's training beside its authors' PyTorch code: the same log, the same sizes; events per second and quality.

    python benchmarks/gru4rec.py LOG --peer FOLDER --peer-python PYTHON [--epochs 1] [--rounds 2]

FOLDER is a checkout of the authors' PyTorch version, PYTHON an interpreter that can run it. Both train in turn, each
round anew, with cross-entropy, logQ and Adagrad without momentum. An event is a pair of an item and the one that
follows; the time is that of the epochs alone. The peer's weights are evaluated in segue's network, which gives the
peer's scores (tests/models/test_gru4rec_parity.py).
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

import segue
from segue.cli.progress import progress_shown
from segue.data.sessions import Sessions
from segue.evaluation.measure import measure
from segue.models.gru4rec import GRU4Rec
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

PEER = Path(__file__).parent / "gru4rec_peer.py"
METRICS = ("recall@20", "mrr@20")


def new_model(args: argparse.Namespace) -> GRU4Rec:
    """Return our model with the sizes of the benchmark."""
    training = {name: getattr(args, name) for name in ("batch_size", "learning_rate", "epochs")}
    training["loss"] = {"n_samples": args.n_samples}
    return GRU4Rec(hidden_size=args.hidden_size, dropout_hidden=args.dropout_hidden, training=training)


def run_ours(args: argparse.Namespace, train: Sessions) -> tuple[GRU4Rec, float]:
    """Train our model; return it and the seconds of an epoch."""
    with progress_shown() as progress:
        model = new_model(args).fit(train, runtime=Runtime(device="cpu", precision="fp32", progress=progress))
    return model, float(np.mean([record.seconds for record in model.curve]))


def run_peer(args: argparse.Namespace, train: Sessions) -> tuple[GRU4Rec, float]:
    """Train the peer in its own process; return its weights as our model, and the seconds of an epoch."""
    owner = np.repeat(np.arange(len(train)), train.lengths)
    names = ("hidden_size", "batch_size", "n_samples", "learning_rate", "dropout_hidden", "epochs")
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder) / "task.npz", Path(folder) / "answer.npz"
        sizes = {name: getattr(args, name) for name in names}
        # The peer orders sessions by the time of their first event; the place in our order gives it the same one.
        np.savez(task, sessions=owner, items=train.items, times=np.arange(len(owner)), **sizes)
        subprocess.run([args.peer_python, PEER, args.peer, task, answer], check=True)
        with np.load(answer) as file:
            arrays = dict(file)
    return as_ours(args, train, arrays), float(arrays["seconds"].mean())


def as_ours(args: argparse.Namespace, train: Sessions, arrays: dict[str, np.ndarray]) -> GRU4Rec:
    """Put the peer's weights into our network."""
    model = new_model(args)
    output = np.zeros((len(train.vocabulary) + 1, args.hidden_size + 1), dtype=np.float32)
    output[arrays["items"], :-1] = arrays["weight Wy.weight"]
    output[arrays["items"], -1:] = arrays["weight By.weight"]
    cell = {
        f"cells.0.{name}": arrays[f"weight G.0.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    return model.restore({"output": output, **cell}, train.vocabulary)


def quality(model: GRU4Rec, data: Dataset) -> str:
    """Evaluate on the test cases."""
    values = measure(model, data.test, {"metrics": METRICS}).metrics
    return "   ".join(f"{name} {values[name]:.4f}" for name in METRICS)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--hidden-size", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--n-samples", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=0.07)
    parser.add_argument("--dropout-hidden", type=float, default=0.0)
    args = parser.parse_args()
    data = segue.prepare(segue.read(args.log), "session-next")
    pairs = int((data.train.lengths - 1).clip(min=0).sum())
    print(
        f"{pairs:,} events per epoch, {len(data.train.vocabulary):,} items, {torch.get_num_threads()} cores", flush=True
    )
    ratios = []
    for number in range(args.rounds):
        peer, peer_seconds = run_peer(args, data.train)
        ours, our_seconds = run_ours(args, data.train)
        ratios.append(peer_seconds / our_seconds)
        rates = f"peer {pairs / peer_seconds:9,.0f} events/s   segue {pairs / our_seconds:9,.0f} events/s"
        print(f"round {number + 1}: {rates}   ratio {ratios[-1]:.2f}", flush=True)
    print(f"peer    {quality(peer, data)}\nsegue   {quality(ours, data)}")
    print(f"median ratio: {np.median(ratios):.2f}")


if __name__ == "__main__":
    main()
