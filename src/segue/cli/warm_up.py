"""`segue warm-up`: compile everything once, for example when an image is built."""

import os
from contextlib import suppress
from typing import Any

from segue.cli.terminal import echo

_SESSIONS = 300

_MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("popularity", {}),
    ("session-popularity", {}),
    ("markov", {}),
    ("markov", {"baskets": True}),
    ("sequential-rules", {}),
    ("item-knn", {}),
    ("v-sknn", {}),
    ("v-sknn", {"tie_order": "popularity"}),
    ("stan", {}),
    ("bpr", {"embedding_size": 4, "training": {"epochs": 1, "n_samples": 2}}),
    ("gru4rec", {"hidden_size": 4, "training": {"epochs": 1}}),
    ("sasrec", {"embedding_size": 4, "training": {"epochs": 1, "loss": {"kind": "sampled-softmax", "n_samples": 8}}}),
    (
        "sasrec",
        {
            "embedding_size": 4,
            "training": {
                "epochs": 1,
                "optimizer": "adagrad",
                "loss": {"kind": "sampled-softmax", "n_samples": 8, "in_batch": True},
            },
        },
    ),
)
"""Models that run all compiled functions."""


def warm_up() -> None:
    """Compile the functions of all models once, so that no later process waits for it.

    They are kept in the folder of the installation, or in the folder that NUMBA_CACHE_DIR names. A filled
    NUMBA_CACHE_DIR is used even where it cannot be written, as in an image that runs read-only.

    Examples:
    segue warm-up
    NUMBA_CACHE_DIR=/opt/segue segue warm-up
    """
    import segue
    from segue.cli.progress import progress_shown
    from segue.compiled import compilations
    from segue.data.arrays import check_ranges
    from segue.data.synthetic import shop
    from segue.errors import MissingExtraError, StorageError

    folder = check_ranges.stats.cache_path
    if folder is None:
        raise StorageError(
            "segue: its compiled functions cannot be kept, because no cache folder can be written; "
            "set NUMBA_CACHE_DIR to a folder that can be written"
        )
    start = os.times()
    data = segue.prepare(shop(_SESSIONS))
    last = data.vocabulary.raw_ids[1:3]
    with progress_shown() as progress, progress.task("warm-up", len(_MODELS)) as task:
        for name, parameters in _MODELS:
            with suppress(MissingExtraError):
                model = segue.model_class(name)(**parameters).fit(data.train, valid=data.valid)
                segue.evaluate(model, data)
                model.recommend(last, k=5, exclude_seen=True)
            task.advance(1, name)
    now = os.times()
    used = now.user + now.system - start.user - start.system
    echo(f"Compiled {len(compilations)} functions in {now.elapsed - start.elapsed:.0f} s ({used:.0f} s of CPU).")
    echo(f"They are kept in {folder} and beside it.")
