"""From sessions to the batches of a training step."""

from segue.data.batches.cloze import Cloze
from segue.data.batches.next_item import EveryPosition, EveryPrefix, NextItemBatch, NextItemBatches
from segue.data.batches.session_parallel import LaneBatch, SessionParallel
from segue.data.batches.windows import Window, window_of

__all__ = [
    "Cloze",
    "EveryPosition",
    "EveryPrefix",
    "LaneBatch",
    "NextItemBatch",
    "NextItemBatches",
    "SessionParallel",
    "Window",
    "window_of",
]
