"""From sessions to the batches of a training step."""

from segue.data.batches.session_parallel import LaneBatch, SessionParallel

__all__ = ["LaneBatch", "SessionParallel"]
