"""Search for the parameters that are best on the validation part, with Optuna.

Its libraries come with the extra ``tune``; without them the import says so.
"""

from importlib.util import find_spec

from segue.errors import MissingExtraError

if find_spec("optuna") is None or find_spec("matplotlib") is None:
    raise MissingExtraError("segue tune", "tune")
