"""The interactive page: one file that needs no network."""
