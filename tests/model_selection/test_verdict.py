"""What a search says of its choice and of its budget."""

import pytest

from made_up import results, row
from segue.experiment.candidates import Candidate
from segue.experiment.suggestions import Traits
from segue.model_selection.choice import Choice
from segue.model_selection.record import Record
from segue.model_selection.verdict import costs_of, verdict


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            (0.01, 0.004, 0.016),
            "it is better than v-sknn (0.2900), the next single model, by 0.0100 [+0.0040, +0.0160]",
        ),
        (
            (0.01, -0.002, 0.022),
            "it is better than v-sknn (0.2900), the next single model, by 0.0100 [-0.0020, +0.0220], "
            "which may be chance",
        ),
        (
            (0.00002, -0.003, 0.003),
            "it is as good as v-sknn (0.2900), the next single model: +0.0000 [-0.0030, +0.0030]",
        ),
        (
            (-0.00002, -0.003, 0.003),
            "it is as good as v-sknn (0.2900), the next single model: +0.0000 [-0.0030, +0.0030]",
        ),
    ],
)
def test_the_choice_is_compared_with_the_next_single_model(difference: tuple[float, float, float], said: str) -> None:
    found = [Candidate(label=label, state="trained", value=value) for label, value in (("core", 0.3), ("v-sknn", 0.29))]
    record = Record(metric="ndcg@20", cases=10, models={}, candidates={one.label: one for one in found}, tests=1)
    traits = Traits(mean_length=4.0, items=7, repeats=0.1, excludes_seen=False)
    sentences = verdict(record, Choice("core", "v-sknn", difference), results(row("core", 0.4)), traits)
    assert sentences[1:] == [
        "core is the best of 2 models on 10 validation cases: ndcg@20 0.3000",
        said,
        "on the test part, which was used once after the choice, core has recall@20 0.4000, mrr@20 0.2000",
    ]


@pytest.mark.parametrize(
    ("spent", "budget", "said"),
    [(230.0, 240.0, "3.8 minutes of 4.0 minutes were used: "), (230.0, 60.0, "3.8 minutes (the budget is 60 s) were ")],
)
def test_a_budget_smaller_than_what_was_spent_is_named_apart(spent: float, budget: float, said: str) -> None:
    record = Record(metric="ndcg@20", cases=10, models={}, spent_seconds=spent)
    assert costs_of(record, budget).startswith(said)
