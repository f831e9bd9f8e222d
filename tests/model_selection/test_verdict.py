"""What a search says of its budget."""

import pytest

from segue.model_selection.record import Record
from segue.model_selection.verdict import costs_of


@pytest.mark.parametrize(
    ("spent", "budget", "said"),
    [(230.0, 240.0, "3.8 minutes of 4.0 minutes were used: "), (230.0, 60.0, "3.8 minutes (the budget is 60 s) were ")],
)
def test_a_budget_smaller_than_what_was_spent_is_named_apart(spent: float, budget: float, said: str) -> None:
    record = Record(metric="ndcg@20", cases=10, models={}, spent_seconds=spent)
    assert costs_of(record, budget).startswith(said)
