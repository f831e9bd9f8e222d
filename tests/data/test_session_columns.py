"""Columns that are the id of a session in a log that is read by user."""

import polars as pl
import pytest

from segue.data.readers.read import read

ROWS = range(240)
"""Events of 20 visitors, with 4 visits of 3 events each."""
VISITORS = [f"v{row // 12}" for row in ROWS]
VISITS = [1000 + row // 3 for row in ROWS]
NUMBERS = [1 + row // 3 % 4 for row in ROWS]
UNUSED = (
    "column '{0}' looks like the id of a session but is not used: {1}, and a session is the whole history of a "
    "'visitor'; to use it, give --columns session={0} (columns={{'session': '{0}'}} in Python)"
)
ONE_VISITOR = "each of its 80 values belongs to one 'visitor'"
ANEW = "it numbers the sessions of each 'visitor' anew"


def frame(**columns):
    return pl.DataFrame({"visitor": VISITORS, "sku": [row % 7 for row in ROWS], **columns})


def found(log, **options):
    return [note for note in read(log, **options).notes if "looks like the id of a session" in note]


@pytest.mark.parametrize(
    "name", ["visit_no", "VisitNumber", "ga_session_id", "basket", "Cart", "order_id", "InvoiceNo"]
)
def test_values_that_belong_to_one_user_are_named(name):
    assert found(frame(**{name: VISITS})) == [UNUSED.format(name, ONE_VISITOR)]


@pytest.mark.parametrize(
    "values", [[f"x{visit}" for visit in VISITS], [float(visit) for visit in VISITS], [None, *VISITS[1:]]]
)
def test_ids_may_be_text_or_decimals_or_missing(values):
    assert found(frame(visit_no=values)) == [UNUSED.format("visit_no", ONE_VISITOR)]


def test_a_few_values_of_several_users_are_counted():
    values = [*VISITS[:-1], VISITS[0]]
    assert found(frame(visit_no=values)) == [UNUSED.format("visit_no", "79 of its 80 values belong to one 'visitor'")]


@pytest.mark.parametrize("name", ["visitNumber", "ga_session_number", "order_no"])
def test_numbers_that_begin_anew_are_named(name):
    assert found(frame(**{name: NUMBERS})) == [UNUSED.format(name, ANEW)]


@pytest.mark.parametrize("values", [VISITS, NUMBERS])
def test_the_option_reads_the_sessions(values):
    events = read(frame(visit_no=values), columns={"session": "visit_no"})
    assert (events.unit, events.n_sessions) == ("session", 80)
    assert ("a session is a 'visitor' and a 'visit_no': 80 sessions" in str(events.notes)) == (values is NUMBERS)
    assert not found(frame(visit_no=values), columns={"session": "visit_no"})


@pytest.mark.parametrize(
    "columns",
    [
        {"order_no": list(ROWS)},  # one per event
        {"cart_id": VISITORS},  # one per user
        {"transactionid": [visit if visit % 8 == 0 else None for visit in VISITS]},
        {"purchase": [row % 2 for row in ROWS]},
        {"cart": NUMBERS},  # may count items
        {"order_no": [(row * 7919) % 1000 // 30 * 1000 for row in ROWS]},
        {"visit_no": [row % 3 + 0.5 for row in ROWS]},
        {"visits": VISITS, "visit_length": VISITS, "recorder_id": VISITS, "item_order": VISITS, "visited": VISITS},
        {"order_id": [[visit] for visit in VISITS]},
        {"session": VISITS, "order_id": VISITS},
    ],
    ids=str,
)
def test_other_columns_are_not_named(columns):
    assert not found(frame(**columns))


def test_whoever_chooses_users_is_not_asked():
    log = frame(visit_no=VISITS)
    assert found(log, columns={"user": "visitor"})
    assert not found(log, unit="user")
    assert not found(log, columns={"session": "visitor"})
    assert not found(log, like=read(log).reading)
