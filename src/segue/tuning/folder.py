"""The folder that a search writes."""

from segue.experiment.folder import BEGUN, CHECKPOINTS, REPORT, Layout

BEST, TRIALS, JOURNAL, LOCK, WORKERS = "best.yaml", "trials.csv", "study.journal", "study.lock", "workers"
DATA = "data"
"""The prepared data set, which the processes of a search open; it is removed once they are not needed any more."""
IMPORTANCE, HISTORY = "importance", "history"
"""Names of the pictures, without their endings."""

_PICTURES = tuple(f"{name}.{kind}" for name in (IMPORTANCE, HISTORY) for kind in ("png", "svg"))

SEARCH = Layout(
    "search", frozenset((BEGUN, REPORT, CHECKPOINTS, BEST, TRIALS, JOURNAL, LOCK, WORKERS, DATA, *_PICTURES))
)
