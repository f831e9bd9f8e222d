"""Track a fit in MLflow, at MLFLOW_TRACKING_URI or in mlruns in the folder of the run."""

import json
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from segue.errors import StorageError
from segue.experiment.results import Epoch, ModelResult
from segue.experiment.run_folder import MLFLOW
from segue.experiment.tracking.tracker import TrackedFit
from segue.parameters import flatten, typed
from segue.storage import make_folder, write_text
from segue.strict_json import dumps
from segue.version import __version__

_MOST_PARAMETERS = 100
"""Most parameters that MLflow accepts at once."""

_COSTS = ("fit_seconds", "evaluate_seconds", "peak_memory_mb", "parameters", "latency_ms")


class MLflow:
    """Logs a fit as one run of MLflow, in an experiment with the name of the log.

    A resumed fit continues its MLflow run; epochs that are logged already are skipped.
    """

    def __init__(self, fit: TrackedFit) -> None:
        self._note = fit.out / MLFLOW / f"{fit.label}.json"
        make_folder(self._note.parent)
        self._store = os.environ.get("MLFLOW_TRACKING_URI")
        self._ended = False
        with self._storage_errors():
            self._client = MlflowClient(self._store or f"sqlite:///{(self._note.parent / 'mlflow.db').absolute()}")
            run = self._earlier()
            if run is None:
                run = self._client.create_run(self._experiment(fit), run_name=fit.label).info.run_id
                write_text(self._note, dumps({"run": run, "store": self._stored_in()}) + "\n")
            self._run: str = run
            self._client.update_run(run, status="RUNNING")
            self._describe(fit)
            history = self._client.get_metric_history(run, "seconds")
            self._last = max((metric.step for metric in history), default=0)

    def epoch(self, epoch: Epoch) -> None:
        """Log the values of an epoch, unless they are logged already."""
        if epoch.epoch > self._last:
            self._last = epoch.epoch
            self._log(epoch.figures())

    def result(self, row: ModelResult) -> None:
        """Log test metrics and costs, and end the run."""
        found = {name: getattr(row, name) for name in _COSTS}
        costs = {f"cost/{name}": float(value) for name, value in found.items() if value is not None}
        self._log({f"test/{_allowed(name)}": value for name, value in row.metrics.items()} | costs)
        self._end("FINISHED")

    def close(self) -> None:
        """End a run that has no result."""
        if not self._ended:
            self._end("FAILED")

    def _end(self, status: str) -> None:
        with self._storage_errors():
            self._client.set_terminated(self._run, status)
        self._ended = True

    def _log(self, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        with self._storage_errors():
            self._client.log_batch(self._run, [Metric(name, one, now, self._last) for name, one in values.items()])

    def _describe(self, fit: TrackedFit) -> None:
        flat = list(flatten(fit.config).items())
        parameters = [Param(_allowed(name), typed(value)) for name, value in [*flat, ("seed", fit.seed)]]
        about = {"segue": __version__, "log": fit.log, "protocol": fit.protocol["name"]}
        tags = [RunTag(name, value) for name, value in {**about, "hash": fit.protocol["hash"]}.items()]
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            self._client.log_batch(self._run, params=parameters[start : start + _MOST_PARAMETERS], tags=tags)

    def _experiment(self, fit: TrackedFit) -> str:
        found = self._client.get_experiment_by_name(fit.log)
        if found is not None:
            return str(found.experiment_id)
        artifacts = None if self._store else str((self._note.parent / "artifacts").absolute())
        return str(self._client.create_experiment(fit.log, artifact_location=artifacts))

    def _earlier(self) -> str | None:
        """Return the id of the run of an interrupted fit, if it is in the same store."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return str(note["run"]) if note["store"] == self._stored_in() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _stored_in(self) -> str:
        """Return the store without credentials."""
        return "mlruns" if self._store is None else _without_password(self._store)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                # MLflow itself uses deprecated features of its libraries; users cannot change that.
                warnings.simplefilter("ignore", DeprecationWarning)
                yield
        except MlflowException as error:
            place = "MLFLOW_TRACKING_URI" if self._store else str(self._note.parent)
            reason = _without_password(str(error).strip().splitlines()[0])
            raise StorageError(
                f"{place}: MLflow cannot store the run there ({reason}); leave --track mlflow out, "
                "or name another store"
            ) from error


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _allowed(name: str) -> str:
    """Return a name that MLflow accepts: recall_at_20 for recall@20."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"))
