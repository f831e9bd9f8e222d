"""What a model reads of a live session equals what the cleaning of the protocol leaves of it in a log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from segue.protocols import cleaning_steps
from segue.protocols.cleaning import DEFAULT_ORDER
from segue.serving.session_rules import SessionRules
from segue.serving.sessions import Event

events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.sampled_from(["view", "buy"])), max_size=25)
cleanings = st.fixed_dictionaries(
    {
        "session_gap": st.sampled_from([None, 5.0, 10.5]),
        "drop_consecutive_repeats": st.booleans(),
        "revisits": st.sampled_from(["all", "first", "last"]),
        "value_among": st.sampled_from([{}, {"type": ["buy"]}, {"type": ["view", "buy"]}]),
        "order": st.permutations(["sessionise", "consecutive-repeats", "revisits", "values"]),
    }
)


def cleaned(log: pl.DataFrame, cleaning: dict[str, Any]) -> list[str]:
    """Clean a log of one session by the steps of a protocol, and return the items of its last session."""
    for step in cleaning["order"]:
        if step == "sessionise" and cleaning["session_gap"] is not None:
            log = cleaning_steps.sessionise(log, cleaning["session_gap"]).log
            log = log.filter(pl.col("session") == pl.col("session").max())
        elif step == "consecutive-repeats" and cleaning["drop_consecutive_repeats"]:
            log = cleaning_steps.drop_consecutive_repeats(log).log
        elif step == "revisits" and cleaning["revisits"] != "all":
            log = cleaning_steps.drop_revisits(log, cleaning["revisits"]).log
        elif step == "values" and cleaning["value_among"]:
            log = cleaning_steps.keep_values(log, value_among=cleaning["value_among"]).log
    return log["item"].to_list()


@given(events, cleanings)
def test_a_live_session_is_cleaned_like_a_log(found: list[tuple[int, int, str]], cleaning: dict[str, Any]) -> None:
    minutes, rows = 0, []
    for item, pause, kind in found:
        minutes += pause
        rows.append((minutes, f"i{item}", kind))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    log = pl.DataFrame(
        {
            "session": [1] * len(rows),
            "item": [item for _, item, _ in rows],
            "time": [start + timedelta(minutes=moment) for moment, _, _ in rows],
            "type": [kind for _, _, kind in rows],
        },
        schema={"session": pl.Int64, "item": pl.String, "time": pl.Datetime("ms", "UTC"), "type": pl.String},
    ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    live = [Event(moment * 60_000, item, kind) for moment, item, kind in rows]
    assert [event.item for event in SessionRules(cleaning).read(live)] == cleaned(log, cleaning)


def test_the_order_of_steps_is_that_of_protocols() -> None:
    steps = [name for name in DEFAULT_ORDER if name in ("sessionise", "consecutive-repeats", "revisits", "values")]
    assert list(SessionRules({})._all_steps) == steps
