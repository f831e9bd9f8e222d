"""The results of the runs that the served models come from, as the page shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import SegueError
from segue.experiment.report.markdown import by_severity, sampled_candidates
from segue.experiment.results import Results
from segue.experiment.run_folder import RESULTS
from segue.experiment.trainings import trainings
from segue.metrics import lower_is_better
from segue.parameters import flatten, typed
from segue.printable import visible_all
from segue.strict_json import dumps

_NOT_SHOWN = {"config", "curve", "slices", "roc", "findings", "validation_confidence"}
"""Fields of a model that the page does not show, or shows otherwise."""
_DRAWN = {"epoch", "loss", "validation"}
"""Fields of an epoch that the page draws."""


class Runs:
    """Reads results.json of the runs, again whenever a file has changed.

    Args:
        models: folder of each served model, by name.
    """

    def __init__(self, models: Mapping[str, Path]) -> None:
        self._models = models
        self._stamps: Any = None
        self._answer = b""

    def read(self) -> bytes:
        """Return the runs, and the models that are not part of one, as JSON."""
        files = {folder.parent / RESULTS: None for folder in self._models.values()}
        found = [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file()]
        if found != self._stamps:
            known = {file for file, *_ in found}
            alone = [name for name, folder in self._models.items() if folder.parent / RESULTS not in known]
            content = {"runs": [_described(file) for file, *_ in found], "alone": alone}
            self._answer, self._stamps = dumps(visible_all(content), compact=True).encode(), found
        return self._answer


def _described(file: Path) -> dict[str, Any]:
    folder = file.parent.name or file.parent.resolve().name
    try:
        results = Results.read(file)
    except SegueError as error:
        return {"folder": folder, "problem": str(error).replace(f"{file.parent}/", "")}
    return {"folder": folder, "problem": None, **_of(results)}


def _of(results: Results) -> dict[str, Any]:
    protocol, data = results.protocol, results.data
    return {
        "log": results.log,
        "segue": results.segue,
        "seed": results.seed,
        "protocol": protocol["name"],
        "hash": protocol["hash"],
        "fingerprint": protocol["fingerprint"],
        "settings": {name: typed(value) for name, value in flatten(protocol).items()},
        "headline": protocol["headline"],
        "lower": [metric for metric in results.models[0].metrics if lower_is_better(metric)],
        "decimals": protocol.get("decimals", 4),
        "sampled": sampled_candidates(results),
        "verdicts": results.verdicts,
        "doubts": [str(one) for one in results.doubts()],
        "notes": results.notes,
        "findings": [one.model_dump() for one in by_severity(results.further_findings())],
        "differences": [{**one.model_dump(), "verdict": one.verdict()} for one in results.differences],
        "models": [
            {
                **row.model_dump(mode="json", exclude=_NOT_SHOWN),
                "config": {name: typed(value) for name, value in flatten(row.config).items()},
            }
            for row in results.models
        ],
        "trainings": [
            {
                "label": one.label,
                "metric": one.metric,
                "epochs": [epoch.model_dump(mode="json", include=_DRAWN) for epoch in one.epochs],
            }
            for one in trainings(results.models)
        ],
        "data": {**data, "stages": [one for one in data["stages"] if one["step"] != "encode" or one["dropped"]]},
    }
