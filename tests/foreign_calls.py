"""Call the public functions with item indices that their catalogue does not have; see ``test_foreign_catalogue``.

python foreign_calls.py SEED prints one JSON object: for each call how often it took sound arguments, and how often it
answered or refused foreign ones. Whatever a model raises for them must be an error of segue.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from chains import markov_chain

import segue
from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import ItemOrder, Vocabulary
from segue.errors import SegueError
from segue.evaluation.ranking import target_ranks, top_k

SMALL: dict[str, Any] = {"epochs": 1, "batch_size": 64}
NETWORK: dict[str, Any] = {"embedding_size": 8, "max_length": 6, "training": SMALL}
MODELS: dict[str, dict[str, Any]] = {
    "Popularity": {},
    "SessionPopularity": {},
    "Markov": {},
    "SequentialRules": {},
    "ItemKNN": {},
    "VSKNN": {},
    "STAN": {},
    "VSTAN": {},
    "ALS": {"embedding_size": 4},
    "BPR": {"embedding_size": 4, "training": {"epochs": 1}},
    "GRU4Rec": {"hidden_size": 8, "training": {**SMALL, "loss": {"n_samples": 8}}},
    "ImprovedGRU4Rec": NETWORK,
    "FPMC": NETWORK,
    "NARM": NETWORK,
    "STAMP": NETWORK,
    "SRGNN": NETWORK,
    "CORE": NETWORK,
    "GCEGNN": NETWORK,
    "SASRec": NETWORK,
    "GSASRec": NETWORK,
    "ESASRec": NETWORK,
    "BERT4Rec": NETWORK,
    "FMLPRec": NETWORK,
    "HSTU": NETWORK,
    "AttentionClustering": NETWORK,
    "Blend": {"models": ["v-sknn", "stamp"], "parameters": {"stamp": NETWORK}, "candidates": 5},
    "TwoStage": {"retriever": "v-sknn", "candidates": 5, "ranker_parameters": NETWORK},
}
"""Parameters of every public model."""

N = 30
TRIES = 12
EXTREMES = np.array([-(2**31), -1, 0, N, N + 1, 1000, 2**31 - 1])


def foreign(rng: np.random.Generator) -> Prefixes:
    """Return prefixes with indices, starts or ends that are none of the catalogue's or of the array's."""
    items = rng.integers(1, N + 1, 40).astype(np.int32)
    starts = np.sort(rng.integers(0, 30, 6))
    ends = starts + rng.integers(1, 6, 6)
    kind = rng.integers(4)
    if kind == 0:
        items[rng.integers(0, 40, 30)] = rng.choice(EXTREMES[[0, 1, 4, 5, 6]], 30).astype(np.int32)
    elif kind == 1:
        items = rng.integers(N + 1, 100_000, 40).astype(np.int32)
    elif kind == 2:
        ends[rng.integers(6)] += rng.choice([41, 10_000, 2**40])
    else:
        starts, ends = ends, starts - rng.integers(0, 3, 6)
    return Prefixes(items, starts, ends)


def sound(rng: np.random.Generator) -> Prefixes:
    """Return prefixes of the catalogue."""
    starts = np.sort(rng.integers(0, 30, 6))
    return Prefixes(rng.integers(1, N + 1, 40).astype(np.int32), starts, starts + rng.integers(1, 6, 6))


def any_index(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return numbers of which some are no item indices."""
    numbers = rng.integers(1, N + 1, shape)
    return np.where(rng.random(shape) < 0.5, rng.choice(EXTREMES[[0, 1, 4, 5, 6]], shape), numbers)


def sessions_of(items: np.ndarray, vocabulary: Vocabulary) -> Sessions:
    """Return sessions of five events each."""
    return Sessions(items.astype(np.int32), np.arange(0, len(items) + 1, 5), None, vocabulary)


Call = tuple[Callable[[], Any], Callable[[], Any]]
"""A call with sound arguments, and one with foreign ones."""


def model_calls(name: str, model: segue.Model, train: Sessions, rng: np.random.Generator) -> dict[str, Call]:
    """Return the calls of a fitted model."""

    def fresh() -> segue.Model:
        return getattr(segue, name)(**MODELS[name])

    def cases(prefixes: Prefixes, targets: np.ndarray) -> Cases:
        return Cases(prefixes, targets.astype(np.int32), np.arange(len(prefixes)))

    calls: dict[str, Call] = {
        "score": (lambda: model.score(sound(rng)), lambda: model.score(foreign(rng))),
        "top_k": (lambda: model.top_k(sound(rng), 5), lambda: model.top_k(foreign(rng), 5)),
        "top_k(allowed)": (
            lambda: model.top_k(sound(rng), 40, allowed=[1, 2, N]),
            lambda: model.top_k(sound(rng), 5, allowed=any_index(rng, 9)),
        ),
        "top_k(exclude)": (
            lambda: model.top_k(sound(rng), 40, exclude=sound(rng)),
            lambda: model.top_k(sound(rng), 5, exclude=foreign(rng)),
        ),
        "score_items": (
            lambda: model.score_items(sound(rng), rng.integers(0, N + 1, (6, 4))),
            lambda: model.score_items(sound(rng), any_index(rng, 6, 4)),
        ),
        "measure(prefixes)": (
            lambda: segue.measure(model, cases(sound(rng), rng.integers(1, N + 1, 6))),
            lambda: segue.measure(model, cases(foreign(rng), rng.integers(1, N + 1, 6))),
        ),
        "measure(targets)": (
            lambda: segue.measure(model, cases(sound(rng), rng.integers(1, N + 1, 6)), {"candidates": "uni7"}),
            lambda: segue.measure(
                model, cases(sound(rng), any_index(rng, 6)), {"candidates": str(rng.choice(["uni7", "full"]))}
            ),
        ),
        "fit": (
            lambda: fresh().fit(train),
            lambda: fresh().fit(sessions_of(any_index(rng, 200), train.vocabulary)),
        ),
        "fit(valid)": (
            lambda: fresh().fit(train, valid=cases(sound(rng), rng.integers(1, N + 1, 6))),
            lambda: fresh().fit(train, valid=cases(foreign(rng), rng.integers(1, N + 1, 6))),
        ),
    }
    if isinstance(model, segue.GRU4Rec):
        state = model.initial_state(3)
        calls["step"] = (lambda: model.step(state, np.array([1, 2, 3])), lambda: model.step(state, any_index(rng, 3)))
        calls["answer"] = (
            lambda: model.top_k_of_state(state, 5, exclude=[[1], [2], [3]]),
            lambda: model.top_k_of_state(state, 5, exclude=any_index(rng, 3, 4)),
        )
    return calls


def other_calls(train: Sessions, rng: np.random.Generator) -> dict[str, Call]:
    """Return the calls of functions that are below the models."""
    scores, order = torch.zeros(6, N + 1), ItemOrder.descending(train.vocabulary.support)
    return {
        "ranking.top_k": (
            lambda: top_k(scores, 5, order=order, exclude=sound(rng)),
            lambda: top_k(scores, 5, order=order, exclude=foreign(rng)),
        ),
        "ranking.target_ranks": (
            lambda: target_ranks(scores, np.arange(1, 7)),
            lambda: target_ranks(scores, any_index(rng, 6)),
        ),
        "Prefixes.events(any index)": (lambda: sound(rng).events(), lambda: foreign(rng).events()),
        "Prefixes.tail(any index)": (lambda: sound(rng).tail(3), lambda: foreign(rng).tail(3)),
        "Sessions.select(any index)": (
            lambda: train.select(np.array([1, 2])),
            lambda: train.select(rng.choice(EXTREMES, 3)),
        ),
        "Vocabulary.decode(any index)": (
            lambda: train.vocabulary.decode(np.array([1, 2])),
            lambda: train.vocabulary.decode(any_index(rng, 4)),
        ),
    }


def main(seed: str) -> None:
    """Try every call and print what came of it."""
    warnings.simplefilter("ignore")
    rng, train = np.random.default_rng(int(seed)), markov_chain(n_items=N, n_sessions=60).train
    foreign_vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(900, 930), "support": np.ones(N, dtype=np.int64)}))
    found = {}
    for name, parameters in MODELS.items():
        model = getattr(segue, name)(**parameters).fit(train)
        calls = model_calls(name, model, train, rng)
        calls["score(other catalogue)"] = (
            lambda model=model: model.score(sound(rng)),
            lambda model=model: model.score(Prefixes.from_lists([np.array([1], dtype=np.int32)], foreign_vocabulary)),
        )
        found |= {f"{name}.{call}": _try(*both, SegueError) for call, both in calls.items()}
    found |= {name: _try(*both, Exception) for name, both in other_calls(train, rng).items()}
    print(json.dumps(found))


def _try(right: Callable[[], Any], wrong: Callable[[], Any], refusal: type[Exception]) -> dict[str, int]:
    right()
    counts = {"sound": 1, "answered": 0, "refused": 0}
    for _ in range(TRIES):
        try:
            wrong()
        except refusal:
            counts["refused"] += 1
        else:
            counts["answered"] += 1
    return counts


if __name__ == "__main__":
    main(sys.argv[1])
