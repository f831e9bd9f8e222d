"""`segue warm-up`: compile the numerical code into the cache."""

import time

from segue.cli.terminal import echo
from segue.errors import StorageError


def warm_up() -> None:
    """Compile the numerical code once, so that no later command waits for it, as when an image is built.

    The machine code is kept in NUMBA_CACHE_DIR, in the installation or in the user's cache folder, whichever can be
    written first.

    Examples:
    segue warm-up
    NUMBA_CACHE_DIR=/opt/segue-cache segue warm-up
    """
    from segue.cli.progress import progress_shown
    from segue.compiled import cache_folder

    folder = cache_folder()
    if folder is None:
        raise StorageError(
            "no folder for compiled functions can be written; set NUMBA_CACHE_DIR to one that only you can write, "
            "or run this command as the user who installs segue"
        )
    start = time.perf_counter()
    with progress_shown(hidden=["segue.models", "segue.training", "segue.compiled"]) as progress:
        from segue.experiment.warm_up import warm_up as compile_all

        compile_all(progress)
    echo(f"Compiled into {folder} and its neighbours in {time.perf_counter() - start:.0f} s.")
