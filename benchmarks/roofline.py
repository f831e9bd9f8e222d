"""How near the training of each network comes to the speed of a matrix product on this machine.

    python benchmarks/roofline.py LOG [--models sasrec gru4rec ...] [--threads 2] [--precision fp32]

LOG is a log or the name of one. Each network trains for two epochs with its defaults (width 64 where it has one width):
the first one counts the operations of its matrix products, forward and backward; the second one is timed. Beside it
stands the speed of a plain product of two square matrices, measured right before and after. Elementwise work, dropout,
look-ups, Fourier transforms and the optimizer are in the time but not in the operations.
"""

import argparse
import os
import time
from typing import Any

NETWORKS = (
    *("gru4rec", "improved-gru4rec", "narm", "stamp", "sr-gnn", "gce-gnn", "sasrec", "gsasrec", "esasrec", "hstu"),
    *("bert4rec", "fmlp-rec", "attention-clustering", "fpmc"),
)
SIZE, REPEATS = 2048, 5


def square_product() -> float:
    """Return the GFLOP/s of a product of two square matrices."""
    import torch  # noqa: PLC0415 (after the number of threads is set)

    one, other = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - begin)
    return 2 * SIZE**3 / min(seconds) / 1e9


def measure(name: str, train: Any, precision: str) -> tuple[float, float]:
    """Return the operations of the matrix products of an epoch, and its seconds."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    import segue  # noqa: PLC0415
    from segue.training.runtime import EpochRecord, Runtime  # noqa: PLC0415

    counter = FlopCounterMode(display=False)

    def count_only_the_first(_: str, record: EpochRecord) -> None:
        if record.epoch == 0:
            counter.__exit__(None, None, None)

    kind = segue.model_class(name)
    widths = {"embedding_size", "hidden_size"} & kind.Config.model_fields.keys()
    model = kind(**dict.fromkeys(widths, 64), training={"epochs": 2})
    runtime = Runtime(device="cpu", precision=precision, on_epoch_end=count_only_the_first)
    counter.__enter__()
    model.fit(train, runtime=runtime)
    return float(counter.get_total_flops()), model.curve[-1].seconds


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--models", nargs="+", default=NETWORKS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)

    import segue  # noqa: PLC0415

    data = segue.prepare(segue.read(args.log, unit="user"), "leave-one-out", split={"leave": "test_only"})
    print("| model | GFLOP per epoch | s per epoch | GFLOP/s | square product | share |\n|---|---|---|---|---|---|")
    for name in args.models:
        before = square_product()
        operations, seconds = measure(name, data.train, args.precision)
        peak = max(before, square_product())
        speed = operations / seconds / 1e9
        print(
            f"| `{name}` | {operations / 1e9:,.0f} | {seconds:.1f} | {speed:.1f} | {peak:.0f} | {speed / peak:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
