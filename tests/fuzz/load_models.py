"""Loads the models whose folders are named on standard input, recommends with each, and reports a line of JSON."""

import json
import resource
import sys

import numpy as np

from segue.errors import InputError
from segue.models.registry import load


def _use(folder: str) -> None:
    model = load(folder)
    ids = model.vocabulary.ids.to_list()
    sessions = [ids[:1], ids[-3:], ids[1:2] * 3, ids]
    for answer in model.recommend(sessions, k=min(5, len(ids))):
        assert len(set(answer.items)) == min(5, len(ids)), answer
        assert set(answer.items) <= set(ids), answer
        assert np.isfinite(answer.scores).all(), answer


for line in sys.stdin:
    folder = line.rstrip("\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        _use(folder)
        outcome = "loaded"
    except InputError as error:
        outcome = f"refused: {error}"
    except BaseException as error:  # The report is the point.
        outcome = f"{type(error).__name__}: {error}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"outcome": outcome, "grown_kib": grown}), flush=True)
