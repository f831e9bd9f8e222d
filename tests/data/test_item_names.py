"""Names of items: which column holds them, which item a name stands for, and which names are near."""

import random
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.data.item_names import ItemNames


def names(*ids: int | str, **columns: list[str | None]) -> ItemNames:
    """Items 11, 12, ..., or those with these ids."""
    ids = ids or tuple(range(11, 11 + len(next(iter(columns.values())))))
    return ItemNames(pl.Series(ids), pl.DataFrame(columns))


def test_without_names_items_are_called_by_their_ids():
    known = names(colour=["red", "red", "blue"])
    assert (known.names, known.column) == (["", "11", "12", "13"], None)
    assert ItemNames(pl.Series(["a"]), pl.DataFrame()).names == ["", "a"]
    assert (known.find("red"), known.suggest("red"), known.did_you_mean("12")) == (None, [], "")


def test_the_column_that_tells_most_items_apart_holds_the_names():
    known = names(brand_name=["x", "x", "y"], movie_title=["A", "B", "C"], story=["d", "e", "f"])
    assert (known.names, known.column) == (["", "A", "B", "C"], "movie_title")


def test_a_text_that_tells_all_items_apart_serves_as_a_name():
    assert names(colour=["red", "red", "blue"], what=["A", "B", "C"]).names == ["", "A", "B", "C"]


def test_a_name_that_items_share_is_followed_by_the_id():
    known = names(title=["A", "B", "A "])
    assert known.names == ["", "A (11)", "B", "A (13)"]
    assert known.find("A") is None
    assert known.find("A (13)") == 3
    assert known.with_name("A") == [1, 3]
    assert known.describe(1) == "'A' (11)"


def test_an_item_without_a_name_is_called_by_its_id():
    known = names(title=[None, "B", " ", None])
    assert known.names == ["", "11", "B", "13", "14"]
    assert known.describe(1) == "'11'"
    assert [known.find(text) for text in ("11", "", " ", "B")] == [None, None, None, 2]


def test_a_name_is_found_exactly_and_else_without_case_and_space_if_one_item_has_it():
    known = names(title=["Lamp", "lamp", "Écharpe bleue", "Pan, 24 cm"])
    assert [known.find(text) for text in ("Lamp", "lamp", "LAMP", " lamp")] == [1, 2, None, None]
    assert [known.find(text) for text in (" éCHARPE Bleue\t", "Pan, 24 CM", "Pan")] == [3, 4, None]


def test_control_characters_are_no_space():
    """To Python some of them are."""
    known = names(title=["Lamp\x1f", "\x1e", "Pan"])
    assert [known.find(text) for text in ("LAMP\x1f", "lamp", "\x1e", " \x1e", "pan\x1f")] == [1, None, 2, 2, None]


def test_an_id_wins_over_a_name():
    known = names(11, 12, 13, title=["12", "B", "C"])
    assert known.find("12") is None
    known = names("a", "b", "c", title=["b", "A", "C"])
    assert [known.find(text) for text in ("b", "B", "A")] == [None, None, 2]


SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace() and not 0x1C <= code <= 0x1F)


def plain(text: str) -> str:
    return text.strip(SPACE).lower()


@given(st.lists(st.text(max_size=4), min_size=1, max_size=12))
def test_what_is_found_is_what_a_plain_search_finds(texts):
    known = names(title=texts)
    called = known.names[1:]
    ids = {str(11 + place) for place in range(len(texts))}
    own = [place for place, text in enumerate(texts, start=1) if text.strip(SPACE)]
    for text in {*texts, *called, *map(str.swapcase, texts)}:
        exact = [place for place in own if called[place - 1] == text and text not in ids]
        alike = [place for place in own if called[place - 1] not in ids]
        alike = [place for place in alike if plain(called[place - 1]) == plain(text)]
        expected = exact or alike
        assert known.find(text) == (expected[0] if len(expected) == 1 else None)


def test_near_names_are_suggested_the_nearest_first():
    known = names(title=["Silicone spatula, sand", "Silicone spatula, red", "Wooden spoon", "Glass lid", None])
    assert known.suggest("Silicone spatul") == [2, 1]
    assert known.suggest("silicon spatula sand") == [1, 2]
    assert known.suggest("SPATULA", 1) == [2]
    assert known.suggest("glas lid") == [4]
    assert known.suggest("lid") == [4]
    assert known.suggest("xyzzy") == known.suggest("") == known.suggest("   ") == []
    assert known.did_you_mean("glas lid") == "; did you mean 'Glass lid' (14)?"
    assert (
        known.did_you_mean("spatula,")
        == "; did you mean 'Silicone spatula, red' (12) or 'Silicone spatula, sand' (11)?"
    )
    assert known.did_you_mean("xyzzy") == ""


def test_near_ids_are_suggested_where_they_are_text():
    known = names("shoe-red-42", "shoe-red-43", "hat-blue", title=["Trainer", "Trainer", None])
    assert known.suggest("shoe-rd-43")[0] == 2
    assert known.did_you_mean("hat-blu") == "; did you mean 'hat-blue'?"
    assert names(1234, title=["Lamp"]).suggest("1235") == []


@pytest.mark.parametrize("text", ["(", "[b]", ".*", "\\", "'"])
def test_texts_are_no_patterns(text):
    known = names(title=["a(b", "a[b]", "plain", "a\\b", "it's"])
    assert all(text in known.names[index] for index in known.suggest(text))


def test_fifty_thousand_names_are_searched_at_once():
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 10))) for _ in range(3000)]
    titles = [" ".join(rng.choices(words, k=rng.randint(2, 6))) for _ in range(50_000)]
    known = ItemNames(pl.Series([f"B{number:07}X" for number in range(50_000)]), pl.DataFrame({"title": titles}))
    wrong = titles[777][:5] + "z" + titles[777][6:-1]
    began = time.process_time()
    assert known.suggest(wrong)[0] == 778
    assert known.suggest(wrong * 50) is not None
    assert time.process_time() - began < 2  # About 0.1 s each; difflib alone takes 10 s and more.
