"""A finished run, as its folder contains it; nothing is trained or evaluated again."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from segue.errors import ArtifactError
from segue.evaluation.linter.checks import Finding
from segue.evaluation.linter.results import lint_results
from segue.experiment.results import Epoch, ModelResult, Results
from segue.experiment.run_folder import ENVIRONMENT, RESULTS
from segue.strict_json import loads

_OF_SEED = re.compile(r"seed-\d+")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that has ended.

    Attributes:
        folder: its folder.
        results: its results.json.
        environment: its environment.json; None if the file is missing or damaged.
        seeds: seeds of this run and of the runs next to it that differ only in the seed.
    """

    folder: Path
    results: Results
    environment: Mapping[str, Any] | None = None
    seeds: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "FinishedRun":
        """Read the folder of a run, or its results.json.

        Raises:
            ArtifactError: it is not the folder of a run that has ended.
        """
        folder = folder.parent if folder.name == RESULTS else folder
        if not (folder / RESULTS).is_file():
            inside = sorted(path.parent for path in folder.glob(f"*/{RESULTS}"))
            if inside:
                raise ArtifactError(
                    f"{folder}: must be the folder of one run, got one of several; name one of them: "
                    f"{', '.join(map(str, inside))}"
                )
            if (folder.parent / RESULTS).is_file():
                raise ArtifactError(f"{folder}: must be the folder of a run, got a part of one; name {folder.parent}")
        results = Results.read(folder / RESULTS)
        return cls(folder, results, _environment(folder), _seeds(folder, results))

    @property
    def rows(self) -> list[ModelResult]:
        """The models, the best first."""
        return self.results.models

    @property
    def trained(self) -> list[ModelResult]:
        """The models that learn in epochs."""
        return [row for row in self.rows if row.curve]

    @property
    def n_items(self) -> int | None:
        """Number of items of the training part; None if the results do not contain it."""
        sizes = [stage["items"] for stage in self.results.data.get("stages", ()) if stage.get("part") == "train"]
        return int(sizes[-1]) if sizes else None

    @cached_property
    def findings(self) -> list[Finding]:
        """Findings of the linter in the metrics."""
        few = any(one.code == "few-test-sessions" for one in self.results.findings)
        return lint_results(self.rows, self.results.protocol["headline"], enough_sessions=not few)

    def messages(self, code: str) -> list[str]:
        """Return the findings of one check of the linter in the metrics, with the model in front."""
        return [f"{one.subject}: {one.message}" for one in self.findings if one.code == code]

    def stages(self) -> Iterator[tuple[str, list[Epoch], list[float]]]:
        """Yield each training stage that was validated: what it is called, its epochs and their validation metrics."""
        for row in self.trained:
            for stage, epochs in groupby(row.curve, key=lambda epoch: epoch.stage):
                validated = [epoch for epoch in epochs if epoch.validation is not None]
                name = row.label if stage == "training" else f"{row.label} ({stage})"
                if validated:
                    yield name, validated, [float(epoch.validation or 0.0) for epoch in validated]


def _environment(folder: Path) -> Mapping[str, Any] | None:
    try:
        content = loads((folder / ENVIRONMENT).read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _seeds(folder: Path, results: Results) -> tuple[int, ...]:
    """Return the seeds of the runs that `segue run --seeds` wrote side by side."""
    seeds, labels = {results.seed}, {row.label for row in results.models}
    if _OF_SEED.fullmatch(folder.resolve().name):
        for path in sorted(folder.resolve().parent.glob(f"seed-*/{RESULTS}")):
            try:
                other = Results.read(path)
            except ArtifactError:
                continue
            same = other.protocol.get("hash") == results.protocol.get("hash")
            if same and labels == {row.label for row in other.models}:
                seeds.add(other.seed)
    return tuple(sorted(seeds))
