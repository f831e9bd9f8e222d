"""Raw ids and item indices."""

import polars as pl
import pytest

from segue.data.vocabulary import Vocabulary

NUMBERS = Vocabulary.from_items(pl.Series([30, 10, 20, 10]))
NAMES = Vocabulary.from_items(pl.Series(["pot", "5", "pan"]))


def test_items_are_numbered_from_1_in_order_of_their_ids_and_their_events_are_counted():
    assert NUMBERS.ids.to_list() == [10, 20, 30]
    assert NUMBERS.support.tolist() == [0, 2, 1, 1]
    assert NUMBERS.decode(NUMBERS.encode(pl.Series([20, 10]))) == [20, 10]


def test_columns_are_encoded_and_unknown_or_absent_ids_are_the_padding():
    assert NUMBERS.encode(pl.Series([10, None, 99, 30])).tolist() == [1, 0, 0, 3]
    assert NUMBERS.encode(pl.Series(["10", "pan"])).tolist() == [1, 0]
    assert NAMES.encode(pl.Series([5, 6])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("vocabulary", "item", "index"),
    [
        (NUMBERS, 10, 1),
        (NUMBERS, "10", 1),
        (NUMBERS, "pan", 0),
        (NUMBERS, "", 0),
        (NAMES, "pan", 2),
        (NAMES, 5, 1),
        (NAMES, "Pan", 0),
    ],
)
def test_single_ids_are_found_as_numbers_and_as_text(vocabulary, item, index):
    assert vocabulary.index([item]) == [index]


def test_metadata_is_kept_for_known_items_one_row_each():
    titles = pl.DataFrame({"item": ["10", "10", "99"], "title": ["Pan", "Pan again", "Pot"]})
    table = Vocabulary.from_items(pl.Series([10, 20]), titles).table
    assert table.select("item", "title").rows() == [(10, "Pan"), (20, None)]
