"""The command line: one file per command.

``segue --help`` imports no command, and the help of a command only its signature: what a command works with (polars,
pydantic, torch, the rest of segue) is imported inside its functions. ``import segue`` alone is lazy.
"""
