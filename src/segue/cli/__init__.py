"""The command line: one file per command.

``segue --help`` imports no command, and the help of a command only its signature: polars, pydantic, torch and the rest
of segue are imported inside its functions. ``import segue`` alone is lazy.
"""
