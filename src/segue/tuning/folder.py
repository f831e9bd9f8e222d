"""The folder that a search writes."""

from segue.experiment.run_folder import CHECKPOINTS, REPORT, SETTINGS, FolderKind

BEST, TRIALS, JOURNAL, LOCK, WORKERS = "best.yaml", "trials.csv", "study.journal", "study.lock", "workers"
DATA = ".segue-data"
"""The prepared data set that the processes of a search open, and which is removed at the end."""
JOURNAL_LOCK = f"{JOURNAL}.lock"
IMPORTANCE, HISTORY = "importance", "history"
"""Names of the pictures, without their endings."""

_PICTURES = tuple(f"{name}.{kind}" for name in (IMPORTANCE, HISTORY) for kind in ("png", "svg"))

_FILES = (SETTINGS, REPORT, CHECKPOINTS, BEST, TRIALS, JOURNAL, JOURNAL_LOCK, LOCK, WORKERS, DATA)

SEARCH = FolderKind("search", frozenset((*_FILES, *_PICTURES)))
