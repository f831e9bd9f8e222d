"""Atomic, durable writes: a path holds its old content until the new content is complete and on the disk."""

from segue.storage.locks import is_locked, locked
from segue.storage.reading import read_unchanged
from segue.storage.refusals import refusals_explained
from segue.storage.rooms import is_unfinished
from segue.storage.writes import append_line, make_folder, remove, replacing_file, replacing_folder, write_text

__all__ = [
    "append_line",
    "is_locked",
    "is_unfinished",
    "locked",
    "make_folder",
    "read_unchanged",
    "refusals_explained",
    "remove",
    "replacing_file",
    "replacing_folder",
    "write_text",
]
