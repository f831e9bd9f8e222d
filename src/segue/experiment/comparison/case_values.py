"""Metrics of a model in each test case, stored as cases/LABEL.parquet.

One row per case: ``group`` (the session or user), each metric that has values per case (float64, so that their means
equal the metrics of the run to the last digit), and ``weight of METRIC`` where the metric is a weighted mean. The
metadata of the file name the hash of protocol and data, and the training that the values belong to.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from segue.data.parquet import require_memory
from segue.data.readers.text import POLARS_ERRORS
from segue.errors import ArtifactError
from segue.evaluation.result import Evaluation
from segue.experiment.run_folder import CASES
from segue.storage import replacing_file
from segue.strict_json import dumps, loads

logger = logging.getLogger(__name__)

_GROUP, _WEIGHT, _ABOUT = "group", "weight of ", "segue"


@dataclass(frozen=True, eq=False)
class CaseValues:
    """Metrics of a model in each of C test cases.

    Attributes:
        groups: the session (or user) of each case.
        values: by metric.
        weights: how much each case counts, for metrics that are weighted means.
        hash: hash of the protocol and the data that the cases come from.
        key: key of the training, see ``training_key``.
    """

    groups: Int64[np.ndarray, "C"]
    values: dict[str, Float64[np.ndarray, "C"]]
    weights: dict[str, Float64[np.ndarray, "C"]]
    hash: str
    key: str

    @classmethod
    def of(cls, evaluation: Evaluation, key: str) -> "CaseValues":
        """Return the values of an evaluation."""
        return cls(evaluation.groups, evaluation.values, evaluation.weights, evaluation.hash or "", key)

    def only(self, metrics: Sequence[str]) -> "CaseValues":
        """Return the values of some metrics; those without values per case are left out."""
        values = {name: column for name, column in self.values.items() if name in metrics}
        weights = {name: column for name, column in self.weights.items() if name in metrics}
        return replace(self, values=values, weights=weights)

    def write(self, path: Path) -> None:
        """Write the file atomically.

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
            metrics: which to read; those without values per case are left out. None reads all.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        try:
            require_memory(path, path.stat().st_size, by_column=True)
            content = BytesIO(path.read_bytes())  # As a path, run[1] would be a pattern.
            about = loads(pl.read_parquet_metadata(content)[_ABOUT])
            stored = list(pl.read_parquet_schema(content))
            plain = [name for name in stored if name != _GROUP and not name.startswith(_WEIGHT)]
            names = [name for name in plain if metrics is None or name in metrics]
            weighted = [name for name in names if _WEIGHT + name in stored]
            table = pl.read_parquet(content, columns=[_GROUP, *names, *(_WEIGHT + name for name in weighted)])
            kinds = [pl.Int64, *[pl.Float64] * (table.width - 1)]
            if table.dtypes != kinds or any(column.null_count() for column in table):
                raise ValueError("columns of other types")
            return cls(
                groups=table[_GROUP].to_numpy(),
                values={name: table[name].to_numpy() for name in names},
                weights={name: table[_WEIGHT + name].to_numpy() for name in weighted},
                hash=str(about["hash"]),
                key=str(about["key"]),
            )
        except OSError as error:
            if path.exists():
                raise ArtifactError(f"{path}: cannot be read ({error.strerror or error})") from error
            raise cls._unknown(path) from error
        except (*POLARS_ERRORS, ValueError, KeyError, TypeError) as error:
            raise cls._unknown(path) from error

    @staticmethod
    def _unknown(path: Path) -> ArtifactError:
        return ArtifactError(
            f"{path}: is missing or damaged, so the values of '{path.stem}' in each test case are not known; "
            "the command of the run with --resume measures the model again"
        )


def cases_file(run: Path, label: str) -> Path:
    """Return the file of a run with the values of a model."""
    return run / CASES / f"{label}.parquet"
