"""Readers: one module per family of formats, one table of formats, one way in."""

from segue.data.readers.entry import read, read_items
from segue.data.readers.formats import FORMATS

__all__ = ["FORMATS", "read", "read_items"]
