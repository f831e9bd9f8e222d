"""Compile the numerical code before it is needed, for an image or a first start without waiting."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from segue.data.baskets import last_baskets
from segue.data.synthetic import shop
from segue.evaluation.measure import measure
from segue.evaluation.ranking import top_k
from segue.models.registry import load, model_class
from segue.models.why.session import why
from segue.progress import Progress
from segue.protocols.prepare import prepare
from segue.training.runtime import Runtime

_MODELS: dict[str, dict[str, Any]] = {
    "v-sknn": {},
    "stan": {},
    "markov": {},
    "gru4rec": {"hidden_size": 8, "training": {"epochs": 1}},
    "sasrec": {"embedding_size": 8, "training": {"epochs": 1}},
    "fpmc": {"training": {"epochs": 1}},
}
"""Models that together call all compiled functions, with parameters that make them small."""

_SESSIONS = 1000
_LONG = 2000
"""Items for which a long list is sorted."""
_CANDIDATES = ("full", "uni20", "pop20")


def warm_up(progress: Progress | None = None) -> None:
    """Call every compiled function once, as models do, on a generated log; numba keeps what it compiles.

    Args:
        progress: receives progress updates.
    """
    data = prepare(shop(_SESSIONS, 0))
    progress = progress or Progress()
    with TemporaryDirectory() as folder, progress.task("compile", len(_MODELS)) as task:
        for name, parameters in _MODELS.items():
            model = model_class(name)(**parameters).fit(data.train, valid=data.valid, runtime=Runtime(device="cpu"))
            model.save(Path(folder) / name)
            for candidates in _CANDIDATES:
                measure(model, data.test, {"metrics": ["recall@5"], "candidates": candidates})
            loaded = load(Path(folder) / name)
            session = [data.vocabulary.table["item"][0]]
            for k in (5, len(data.vocabulary)):
                loaded.recommend(session, k, exclude_seen=True)
            why(loaded, session, k=1)
            loaded.with_search("auto")
            task.advance()
    last_baskets(data.test.prefixes)
    top_k(torch.zeros(1, _LONG), _LONG - 1)
