"""Time one recommendation in process, raw ids in and out, and say where the microseconds go.

    python benchmarks/recommend.py                              # the models of the table, generated catalogues
    python benchmarks/recommend.py --model v-sknn --items 1000000 --repeats 2000
    python benchmarks/recommend.py --two-stage                  # two stages against scoring everything, a million items
    python benchmarks/recommend.py --blend --items 43000        # a blend of v-sknn and gru4rec, and its parts

The sessions of the generated log have 4.85 events on average, like those of Diginetica; items are drawn by Zipf's law.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import polars as pl
import torch

import segue
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.base import Model

TABLE = (
    ("v-sknn", 43_000, {}),
    ("v-sknn", 1_000_000, {}),
    ("markov", 43_000, {}),
    ("sequential-rules", 43_000, {}),
    ("sasrec", 10_000, {}),
    ("gru4rec", 10_000, {}),
)
K = 20


def generated_log(n_items: int, n_events: int, seed: int = 0) -> Sessions:
    """Return sessions of geometric length on items drawn by Zipf's law; the raw id of item j is ``item-j``."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / 4.85, n_events // 4) + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # Popular items are drawn by rank ** -1; neighbours of an item come after it, so that sessions share items.
    first = np.minimum(n_items * rng.random(len(lengths)) ** 3, n_items - 1).astype(np.int64)
    steps = rng.geometric(0.2, offsets[-1]) * rng.choice([-1, 1], offsets[-1])
    steps[offsets[:-1]] = 0
    walked = np.cumsum(steps)
    walked -= np.repeat(walked[offsets[:-1]], lengths)
    items = ((np.repeat(first, lengths) + walked) % n_items + 1).astype(np.int32)
    items[:n_items] = np.arange(1, n_items + 1)  # Every item is in the catalogue.
    support = np.bincount(items, minlength=n_items + 1)[1:]
    table = pl.DataFrame({"item": [f"item-{j}" for j in range(n_items)], "support": support})
    times = np.repeat(np.arange(len(lengths), dtype=np.int64) * 60, lengths)
    return Sessions(items, offsets, times, Vocabulary(table))


def fitted(name: str, train: Sessions, parameters: dict) -> Model:
    """Fit a model; a network only sees a few sessions, for its speed does not depend on its weights."""
    model = segue.model_class(name)(**parameters)
    if hasattr(model.config, "training"):
        model = segue.model_class(name)(**parameters, training={"epochs": 1})
        train = train.select(np.arange(200))
    return model.fit(train)


def sessions_of(train: Sessions, count: int, seed: int = 1) -> list[list[str]]:
    """Return current sessions, each the beginning of a training session, in raw ids."""
    rng = np.random.default_rng(seed)
    labels, chosen = train.vocabulary.raw_ids, rng.integers(0, len(train), count)
    ends = train.offsets[chosen] + rng.integers(1, train.lengths[chosen] + 1)
    return [
        [labels[item] for item in train.items[start:end]]
        for start, end in zip(train.offsets[chosen], ends, strict=True)
    ]


def microseconds(work: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Return the median and the 90th percentile of the time of one call."""
    for number in range(min(50, repeats)):
        work(number)
    taken = []
    for number in range(repeats):
        started = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - started)
    return 1e6 * float(np.median(taken)), 1e6 * float(np.quantile(taken, 0.9))


def parts(model: Model, running: list[list[str]], repeats: int) -> list[tuple[str, float]]:
    """Return the median microseconds of the parts of a recommendation."""
    vocabulary = model.vocabulary
    encoded = [vocabulary.index(session) for session in running]
    prefixes = [Prefixes.from_lists([np.array(one, dtype=np.int32)], vocabulary) for one in encoded]
    rows = [model.top_k(one, K)[0][0] for one in prefixes[:200]]
    found = [
        ("ids to indices", lambda n: vocabulary.index(running[n % len(running)])),
        ("check", lambda n: prefixes[n % len(prefixes)].require_valid(vocabulary)),
        ("best items", lambda n: model._top_k(prefixes[n % len(prefixes)], K, None, None)),
        ("  by all scores", lambda n: segue_top_k(model, prefixes[n % len(prefixes)])),
        ("indices to ids", lambda n: [vocabulary.raw_ids[item] for item in rows[n % len(rows)].tolist()]),
    ]
    if hasattr(model, "network"):
        found.insert(3, ("  session to state", lambda n: state(model, prefixes[n % len(prefixes)])))
    return [(name, microseconds(work, repeats)[0]) for name, work in found]


@torch.inference_mode()
def state(model: Model, prefixes: Prefixes) -> object:
    """Encode a session alone."""
    return model._states(prefixes)


def segue_top_k(model: Model, prefixes: Prefixes) -> object:
    """List the best items by the scores of all, as a model without a way of its own does."""
    return Model._top_k(model, prefixes, K, None, None)


def show(name: str, n_items: int, parameters: dict, repeats: int) -> None:
    """Print the row of a model and the parts of its time."""
    train = generated_log(n_items, max(500_000, 2 * n_items))
    model, running = fitted(name, train, parameters), sessions_of(train, 1000)
    median, high = microseconds(lambda n: model.recommend(running[n % len(running)], K), repeats)
    print(f"{name:<18} {n_items:>9,} items  {median / 1000:7.3f} ms median  {high / 1000:7.3f} ms p90")
    for part, took in parts(model, running, repeats):
        print(f"    {part:<20} {took:9.1f} us")


def show_blend(n_items: int, repeats: int) -> None:
    """Compare a blend with its parts: one session and 32, and megabytes of arrays."""
    train = generated_log(n_items, max(500_000, 2 * n_items))
    parts = [fitted(name, train, {}) for name in ("v-sknn", "gru4rec")]
    blend = segue.Blend.of(parts, weights={"v-sknn": 0.2, "gru4rec": 0.8})
    encoded = [np.array(train.vocabulary.index(session), dtype=np.int32) for session in sessions_of(train, 640)]
    single = [Prefixes.from_lists([one], train.vocabulary) for one in encoded]
    batches = [Prefixes.from_lists(encoded[start : start + 32], train.vocabulary) for start in range(0, 640, 32)]
    print(f"{'20 items of ' + format(n_items, ','):<24} {'1 session, ms':>14} {'32 sessions, ms each':>22} {'MB':>8}")
    for model in (*parts, blend):
        one, _ = microseconds(lambda n, model=model: model.top_k(single[n % len(single)], K), repeats)
        many, _ = microseconds(lambda n, model=model: model.top_k(batches[n % len(batches)], K), max(20, repeats // 32))
        size = sum(array.nbytes for array in model.arrays().values()) / 2**20
        print(f"{model.name:<24} {one / 1e3:>14.2f} {many / 32e3:>22.3f} {size:>8.1f}")


def show_two_stages(n_items: int, repeats: int) -> None:
    """Compare two stages with scoring everything."""
    train = generated_log(n_items, 2 * n_items)
    retriever, ranker = fitted("v-sknn", train, {}), fitted("sasrec", train, {})
    pair, running = segue.TwoStage.of(retriever, ranker), sessions_of(train, 200)
    encoded = [np.array(train.vocabulary.index(session), dtype=np.int32) for session in running]
    prefixes = [Prefixes.from_lists([one], train.vocabulary) for one in encoded]
    two, _ = microseconds(lambda n: pair.top_k(prefixes[n % len(prefixes)], K), repeats)
    every, _ = microseconds(lambda n: ranker.top_k(prefixes[n % len(prefixes)], K), repeats)
    both, _ = microseconds(lambda n: segue_top_k(pair, prefixes[n % len(prefixes)]), max(3, repeats // 100))
    print(f"v-sknn, then sasrec, {n_items:,} items: {two / 1000:.2f} ms")
    print(f"    sasrec over all items: {every / 1000:.2f} ms ({every / two:.1f} times)")
    print(f"    both over all items:   {both / 1000:.2f} ms ({both / two:.1f} times)")


def main() -> None:
    """Print the table, or one row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="one model instead of the table")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--two-stage", action="store_true")
    parser.add_argument("--blend", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.two_stage:
        show_two_stages(options.items, options.repeats)
        return
    if options.blend:
        show_blend(options.items, options.repeats)
        return
    for name, n_items, parameters in [(options.model, options.items, {})] if options.model else TABLE:
        show(name, n_items, parameters, options.repeats)


if __name__ == "__main__":
    main()
