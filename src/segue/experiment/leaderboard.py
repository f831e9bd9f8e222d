"""Put the tested models of a run together: ranking, slices, differences, verdicts, findings, examples."""

from collections.abc import Mapping, Sequence

import numpy as np

from segue.data.cases import Cases
from segue.data.content_vectors import describe_vectors
from segue.data.vocabulary import PADDING, Vocabulary
from segue.evaluation.linter.checks import Finding
from segue.evaluation.linter.inputs import has_enough_sessions
from segue.evaluation.linter.results import lint_results
from segue.evaluation.scorer import Scorer, best_items
from segue.evaluation.slices import partitions
from segue.experiment.comparison.verdicts import Pair, differences_of, run_choices, run_pairs, slices_of, verdicts_of
from segue.experiment.config import RunConfig
from segue.experiment.fit_and_test import TestedModel
from segue.experiment.results import Example, Results
from segue.protocols.dataset import Dataset
from segue.version import __version__

_EXAMPLES = 5
_EVENTS = 10
"""Most recent events of an example session that are shown."""
_ITEMS = 5
"""Items of an example list."""


def leaderboard(
    tested: Sequence[TestedModel],
    data: Dataset,
    config: RunConfig,
    *,
    log_findings: Sequence[Finding] = (),
    pairs: Sequence[Pair] | None = None,
) -> Results:
    """Return the results of a run, the best model first.

    Args:
        tested: the models.
        data: the prepared log.
        config: configuration of the run.
        log_findings: findings of the linter in the log.
        pairs: differences to test, fixed before the results; None takes ``run_pairs``.
    """
    protocol, headline = data.protocol, data.protocol.ranking.headline
    ranked = sorted(tested, key=lambda one: one.row.order_key(protocol.ranking.metrics[0]))
    rows = [one.row for one in ranked]
    cases = {one.row.label: one.cases for one in ranked}
    picked, choices = (run_pairs(rows, headline), run_choices(rows)) if pairs is None else (pairs, None)
    differences = differences_of(picked, cases, seed=config.seed, choices=choices)
    slices = slices_of(partitions(data.test, data.vocabulary, config.slices), cases, seed=config.seed)
    best_baseline = next((row.label for row in rows if row.baseline), None)
    shown = [one for one in ranked if not one.row.baseline or one.row.label == best_baseline]
    shown.sort(key=lambda one: one.row.baseline)
    judged = lint_results(rows, headline, enough_sessions=has_enough_sessions(data))
    return Results(
        segue=__version__,
        log=config.log_name,
        items=config.items or data.items,
        item_vectors=config.item_vectors,
        seed=config.seed,
        protocol={**data.describe(), "headline": headline},
        data={**data.statistics(), **describe_vectors(data.vocabulary)},
        notes=[*config.notes, *data.notes],
        models=[row.model_copy(update={"slices": slices[row.label]}) for row in rows],
        verdicts=verdicts_of(rows, headline, differences),
        findings=[*log_findings, *(one for row in rows for one in row.findings), *judged],
        differences=differences,
        examples=examples({one.row.label: one.model for one in shown}, data.test, data.vocabulary),
    )


def examples(scorers: Mapping[str, Scorer], cases: Cases, vocabulary: Vocabulary) -> list[Example]:
    """Return the lists of some models for a few evenly spaced test cases.

    Args:
        scorers: the models by label.
        cases: the test cases.
        vocabulary: of the cases and of all models.
    """
    names = vocabulary.names.names
    chosen = cases[np.unique(np.linspace(0, len(cases) - 1, _EXAMPLES).astype(np.int64))]
    exclude = chosen.prefixes if chosen.exclude_seen else None
    k = min(_ITEMS, len(vocabulary))
    lists = {label: best_items(scorer, chosen.prefixes, k, exclude=exclude)[0] for label, scorer in scorers.items()}
    spans = zip(chosen.prefixes.starts, chosen.prefixes.ends, strict=True)
    sessions = [chosen.prefixes.items[max(start, end - _EVENTS) : end] for start, end in spans]
    return [
        Example(
            session=[names[item] for item in sessions[row]],
            target=[names[item] for item in wanted[wanted != PADDING]],
            lists={label: [names[item] for item in items[row] if item != PADDING] for label, items in lists.items()},
        )
        for row, wanted in enumerate(chosen.padded_targets())
    ]
