"""What takes long at the start of a command, for processes that are forked from one that has imported this.

Nothing may start threads here, which a forked process would not have: no work of polars, and none of torch.
"""

import importlib

import numba
import numpy as np

COMMANDS = ("add_items", "compare", "distill", "main", "progress", "run", "tables", "tune")

for name in (
    *("implicit.cpu.als", "jinja2", "optuna", "pytest", "torch._dynamo"),
    *(f"segue.cli.{command}" for command in COMMANDS),
    *("segue.data.synthetic", "segue.experiment.distillation", "segue.experiment.report", "segue.experiment.run"),
    *("segue.models.als", "segue.models.gru4rec", "segue.models.sasrec", "segue.tuning.tune"),
):
    importlib.import_module(name)

numba.njit(lambda array: array.sum())(np.zeros(1))  # The first function that is compiled brings numba's types.
