"""Public logs by name: what they are and where their owners publish them.

The logs themselves are not part of segue, and most owners forbid to pass them on. The environment variable
``SEGUE_DATA`` names a folder that holds them, one sub-folder each; a log is then read by the name of its sub-folder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segue.data.events import Unit

FOLDER_VARIABLE = "SEGUE_DATA"


@dataclass(frozen=True)
class PublicLog:
    """A log that its owner publishes.

    Attributes:
        title: its full name.
        home: the page of its owner.
        licence: under which terms it may be used.
        unit: what one session is, for the files that do not say it themselves.
    """

    title: str
    home: str
    licence: str
    unit: Unit


PUBLIC_LOGS: Mapping[str, PublicLog] = {
    "yoochoose": PublicLog(
        "YooChoose, RecSys Challenge 2015", "https://recsys.acm.org/recsys15/challenge", "CC BY-NC-ND 4.0", "session"
    ),
    "diginetica": PublicLog(
        "Diginetica, CIKM Cup 2016 track 2",
        "https://competitions.codalab.org/competitions/11161",
        "terms of the cup",
        "session",
    ),
    "otto": PublicLog("OTTO multi-objective log", "https://github.com/otto-de/recsys-dataset", "CC BY 4.0", "session"),
    "retailrocket": PublicLog(
        "Retailrocket e-commerce log",
        "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        "CC BY-NC-SA 4.0",
        "user",
    ),
    "ml": PublicLog(
        "MovieLens", "https://grouplens.org/datasets/movielens", "research only, not to be passed on", "user"
    ),
    "beauty": PublicLog(
        "Amazon Beauty reviews", "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html", "research only", "user"
    ),
}
"""Public logs by the first word of the name of their file or folder: ``ml-1m`` is a MovieLens log."""


def about(path: Path) -> PublicLog | None:
    """Return what is known about a file or folder by its name."""
    return PUBLIC_LOGS.get(path.name.lower().replace("_", "-").partition(".")[0].partition("-")[0])


def find(name: str) -> Path | None:
    """Look a log up in the folder that ``SEGUE_DATA`` names; None if it is not there."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or not name.strip("./"):
        return None
    path = Path(folder) / name
    return path if path.exists() else None
