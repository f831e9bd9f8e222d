"""What the commands print tables with."""

from rich.console import Console


def terminal() -> Console:
    """Return a console that shows text as it is: item names may hold brackets and colons."""
    return Console(markup=False, emoji=False, highlight=False)
