"""The values of a model in each test case, as a run keeps them: cases/LABEL.parquet.

One row per case: ``group`` (the session or user), each metric that has values per case (float64, so that their means
are the figures of the run to the last digit), and ``weight of METRIC`` where the metric is a weighted mean. The
metadata of the file name the hash of protocol and data, and the training that the values belong to.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from segue.errors import ArtifactError
from segue.evaluation.evaluate import evaluate
from segue.evaluation.outcome import Evaluation
from segue.experiment.folder import CASES
from segue.models.catalog import load
from segue.protocols.dataset import Dataset
from segue.storage import replacing_file
from segue.strict_json import dumps
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_GROUP, _WEIGHT, _ABOUT = "group", "weight of ", "segue"


@dataclass(frozen=True, eq=False)
class CaseValues:
    """What a model is worth in each of C test cases.

    Attributes:
        groups: the session (or user) of each case.
        values: by metric.
        weights: how much each case counts, for metrics that are weighted means.
        hash: hash of the protocol and the data that the cases come from.
        key: what decided the outcome of the training.
    """

    groups: Int64[np.ndarray, "C"]
    values: dict[str, Float64[np.ndarray, "C"]]
    weights: dict[str, Float64[np.ndarray, "C"]]
    hash: str
    key: str

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            StorageError: the write failed.
        """
        weights = {_WEIGHT + metric: column for metric, column in self.weights.items()}
        table = pl.DataFrame({_GROUP: self.groups, **self.values, **weights})
        with replacing_file(path) as scratch:
            table.write_parquet(scratch, metadata={_ABOUT: dumps({"hash": self.hash, "key": self.key})})

    @classmethod
    def read(cls, path: Path, metrics: Sequence[str] | None = None) -> "CaseValues":
        """Read the file.

        Args:
            path: the file.
            metrics: what is wanted; one without values per case is left out. None reads all.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        try:
            about = json.loads(pl.read_parquet_metadata(path)[_ABOUT])
            there = list(pl.read_parquet_schema(path))
            plain = [name for name in there if name != _GROUP and not name.startswith(_WEIGHT)]
            names = [name for name in plain if metrics is None or name in metrics]
            weighed = [name for name in names if _WEIGHT + name in there]
            table = pl.read_parquet(path, columns=[_GROUP, *names, *(_WEIGHT + name for name in weighed)])
            return cls(
                groups=table[_GROUP].to_numpy(),
                values={name: table[name].to_numpy() for name in names},
                weights={name: table[_WEIGHT + name].to_numpy() for name in weighed},
                hash=about["hash"],
                key=about["key"],
            )
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(
                f"{path}: is missing or damaged, so the values of '{path.stem}' in each test case are not known; "
                "the command of the run with --resume measures the model again"
            ) from error


def cases_file(run: Path, label: str) -> Path:
    """Return where a run keeps the values of a model."""
    return run / CASES / f"{label}.parquet"


def keep_cases(run: Path, label: str, evaluation: Evaluation, key: str) -> None:
    """Write the values of a model that was tested.

    Raises:
        StorageError: the write failed.
    """
    found = CaseValues(evaluation.groups, evaluation.values, evaluation.weights, evaluation.hash or "", key)
    found.write(cases_file(run, label))


def restore_cases(run: Path, label: str, key: str, data: Dataset, *, seed: int, runtime: Runtime) -> None:
    """Measure a finished model again if the values that it should have left are not there.

    Raises:
        StorageError: the write failed.
    """
    try:
        if CaseValues.read(cases_file(run, label), metrics=()).key == key:
            return
    except ArtifactError:
        pass
    logger.info("%s: its values in each case are missing or damaged; it is measured again", label)
    model = load(run / label)
    model = model.to(runtime.torch_device())
    keep_cases(run, label, evaluate(model, data, seed=seed, progress=runtime.progress), key)
