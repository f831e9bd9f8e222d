"""What a search has found, in sentences."""

from collections.abc import Iterator

from segue.experiment.candidates import STATES
from segue.experiment.results import Results
from segue.experiment.suggestions import Traits
from segue.model_selection.choice import Choice
from segue.model_selection.costs import spoken
from segue.model_selection.record import Record
from segue.models.blend import Blend


def verdict(record: Record, choice: Choice, results: Results, traits: Traits) -> list[str]:
    """Return what was found: the choice and why, and the test.

    Args:
        record: every candidate.
        choice: the best model.
        results: the test.
        traits: of the log.
    """
    return list(_sentences(record, choice, results, traits))


def _sentences(record: Record, choice: Choice, results: Results, traits: Traits) -> Iterator[str]:
    metric, chosen = record.metric, record.candidates[choice.label]
    yield f"the log has {traits}"
    yield (
        f"{choice.label} is the best of {_models(len(record.trained()))} on {record.cases:,} validation cases: "
        f"{metric} {chosen.value:.4f}"
    )
    if choice.label == Blend.name:
        yield (
            "the value of the blend is cross-fitted: each half of these cases is ranked with weights that the other "
            "half chose"
        )
    if choice.other is not None and choice.difference is not None:
        gain, low, high = choice.difference
        sure = "" if low > 0 else ", which may be chance"
        rival = f"{choice.other} ({record.candidates[choice.other].value:.4f}), the next single model"
        if round(gain, 4) == 0:
            yield f"it is as good as {rival}: {round(gain, 4) + 0:+.4f} [{low:+.4f}, {high:+.4f}]"
        else:
            yield f"it is better than {rival}, by {gain:.4f} [{low:+.4f}, {high:+.4f}]{sure}"
    row = next(row for row in results.models if row.label == choice.label)
    figures = ", ".join(f"{name} {row.metrics[name]:.4f}" for name in results.protocol["headline"])
    used = "once" if record.tests == 1 else f"{record.tests} times, each time"
    yield f"on the test part, which was used {used} after the choice, {choice.label} has {figures}"


def costs_of(record: Record, budget: float) -> str:
    """Return how the budget was used, in a sentence."""
    labels: dict[str, list[str]] = {state: [] for state in STATES}
    for one in record.candidates.values():
        labels[one.state].append(one.label)
    shortened = [one.label for one in record.trained() if one.epochs is not None and one.note]
    parts = [f"{_models(len(labels['trained']))} trained"]
    for state, what in (("stopped", "stopped early"), ("diverged", "diverged"), ("left out", "left out")):
        if labels[state]:
            parts.append(f"{', '.join(labels[state])} {what}")
    if labels["left out"]:
        more = "a larger budget trains more"
    elif shortened:
        more = f"in a new search, a larger budget trains {', '.join(shortened)} for more epochs"
    else:
        more = "a larger budget trains nothing further"
    spent = spoken(record.spent_seconds)
    of_budget = f"of {spoken(budget)}" if record.spent_seconds < 2 * budget else f"(the budget is {spoken(budget)})"
    return f"{spent} {of_budget} were used: {'; '.join(parts)}; {more}"


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"
