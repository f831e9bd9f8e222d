"""Business rules: what a list is after them, what a file of them may say, and that nothing else comes back."""

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from command_line import segue
from hypothesis import given, settings
from hypothesis import strategies as st
from live import NOW

from segue import strict_yaml
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.serving import listing as listing_module
from segue.serving.catalogue.rule_masks import Masks
from segue.serving.catalogue.rules import KINDS, Rules
from segue.serving.engine import rank
from segue.serving.listing import MAX_FACTOR, Listing, Pin, adjusted
from segue.serving.models import load_model
from segue.serving.ranking import Query, Ranked
from segue.serving.served_model import ServedModel

DAY = 86_400


class Scores:
    """A model whose scores are given; they do not depend on the session."""

    name, upcoming_columns, context_columns, about = "given", (), (), {}

    def __init__(self, table: pl.DataFrame, scores: Sequence[float]) -> None:
        self.vocabulary = Vocabulary(table)
        self.scores = np.array([0.0, *scores], dtype=np.float32)
        self.calls = 0

    def top_k(self, prefixes: Any, k: int, *, allowed: Any = None, exclude: Any = None) -> Any:
        self.calls += 1
        items, values = np.zeros((len(prefixes), k), dtype=np.int64), np.full((len(prefixes), k), -np.inf)
        for row in range(len(prefixes)):
            out = set() if exclude is None else set(exclude.items[exclude.starts[row] : exclude.ends[row]].tolist())
            best = [item for item in self.order() if item not in out and (allowed is None or allowed[item])][:k]
            items[row, : len(best)], values[row, : len(best)] = best, self.scores[best]
        return items, values.astype(np.float32)

    def order(self) -> list[int]:
        places = self.vocabulary.order.places
        return sorted(range(1, len(self.scores)), key=lambda item: (-self.scores[item], places[item]))


def served_by(model: Any, rules: Any, unavailable: Sequence[str] = ()) -> ServedModel:
    served = ServedModel("m", "", Path(), model)
    masks = Masks(served, NOW * 1000)
    served.listing = masks.listing(Rules.parse({"rules": list(rules)}, "rules.yaml").rules, set(unavailable))
    return served


def naive(
    model: Any,
    query: Query,
    rules: Sequence[Mapping[str, Any]],
    unavailable: Sequence[str],
    by_model: Sequence[int],
    scores: Mapping[int, float],
) -> tuple[list[int], list[str | None]]:
    """Apply rules to the whole ranking of a model, one item at a time."""
    rows = {place + 1: row for place, row in enumerate(model.vocabulary.table.iter_rows(named=True))}

    def selects(rule: Mapping[str, Any], item: int) -> bool:
        row = rows[item]
        return ("items" not in rule or row["item"] in rule["items"]) and all(
            row[name] in values for name, values in rule.get("where", {}).items()
        )

    def factor_of(item: int) -> tuple[float, list[str]]:
        factor, names = 1.0, []
        for rule in rules:
            one = None
            if "freshness" in rule:
                fresh = rule["freshness"]
                added = rows[item]["added"]
                age = np.inf if added is None else (NOW - added) / DAY
                if "newer_than_days" in fresh:
                    one = fresh["boost"] if age <= fresh["newer_than_days"] else None
                else:
                    halved = max(age, 0) // fresh["half_life_days"] if age < np.inf else np.inf
                    one = 1 + (fresh["boost"] - 1) / 2**halved if halved < 6 else None
            elif "boost" in rule or "bury" in rule:
                one = rule.get("boost", rule.get("bury"))
            if one is not None and selects(rule, item):
                factor *= one
                names.append(rule["name"])
        return min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR), names

    def may_be_listed(item: int) -> bool:
        row = rows[item]
        if row["item"] in unavailable or row["item"] in query.exclude:
            return False
        if (query.exclude_seen and row["item"] in query.items) or not (query.allowed is None or query.allowed[item]):
            return False
        return not any(
            ("block" in rule and selects(rule, item)) or ("availability" in rule and not selects(rule, item))
            for rule in rules
        )

    left = [item for item in by_model if may_be_listed(item)]
    factors = {item: factor_of(item)[0] for item in left}
    after = {item: scores[item] * factors[item] if scores[item] > 0 else scores[item] / factors[item] for item in left}
    left.sort(key=lambda item: (-after[item], -factors[item]))  # Stable: equal items keep the order of the model.
    names = {item: factor_of(item)[1] for item in left}
    pinned: dict[int, int] = {}
    for rule in sorted((one for one in rules if "pin" in one), key=lambda one: one["pin"]):
        best = next((item for item in left if selects(rule, item) and item not in pinned), None)
        if rule["pin"] <= query.k and best is not None:
            pinned[best] = rule["pin"]
            names[best] = [rule["name"], *names[best]]
    within, beyond = [item for item in left if item not in pinned], []
    for rule in rules:
        if "diversity" in rule:
            column, most = rule["diversity"]["column"], rule["diversity"]["most"]
            values = [rows[item][column] for item in pinned]
            kept = []
            for item in within:
                value = rows[item][column]
                if value is not None and values.count(value) >= most:
                    beyond.append(item)
                else:
                    values.append(value)
                    kept.append(item)
            within = kept
            for item in beyond:
                names[item] = [*names[item], rule["name"]]
    found = (within + beyond)[: query.k - len(pinned)]
    for item, position in pinned.items():
        found.insert(position - 1, item)
    return found, [", ".join(names[item]) or None for item in found]


@st.composite
def cases(draw: st.DrawFn) -> tuple[pl.DataFrame, list[float], list[dict[str, Any]], list[str], Query]:
    """A catalogue with scores, rules for it, items that are not available, and a question."""
    count = draw(st.integers(1, 25))
    ids = [f"i{number}" for number in range(count)]
    column = lambda values: st.lists(st.sampled_from(values), min_size=count, max_size=count)  # noqa: E731
    table = pl.DataFrame(
        {
            "item": ids,
            "support": draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)),
            "kind": draw(column(["a", "b", "c", None])),
            "size": draw(column([1, 2, 3, None])),
            "added": draw(column([NOW + DAY, NOW, NOW - 3 * DAY, NOW - 9 * DAY, NOW - 40 * DAY, None])),
        },
        schema_overrides={"support": pl.Int64, "kind": pl.String, "size": pl.Int64, "added": pl.Int64},
    )
    numbers = st.sampled_from([-3.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0])
    scores = draw(st.lists(numbers, min_size=count, max_size=count))
    some = st.lists(st.sampled_from([*ids, "unknown"]), min_size=1, max_size=4, unique=True)
    where = st.fixed_dictionaries(
        {},
        optional={
            "kind": st.lists(st.sampled_from("abz"), min_size=1),
            "size": st.lists(st.integers(1, 4), min_size=1),
        },
    ).filter(bool)
    selection = st.one_of(
        st.fixed_dictionaries({"items": some}), st.fixed_dictionaries({"where": where}),
        st.fixed_dictionaries({"items": some, "where": where}),
    )  # fmt: skip
    factor = st.sampled_from([1.0, 1.5, 2.0, 4.0, 1000.0])
    days = st.sampled_from([0.5, 2.0, 5.0, 30.0])
    age = st.one_of(
        st.fixed_dictionaries({"newer_than_days": days}), st.fixed_dictionaries({"half_life_days": days})
    )  # fmt: skip
    kinds = st.one_of(
        st.tuples(st.fixed_dictionaries({"pin": st.integers(1, 8)}), selection),
        st.tuples(st.fixed_dictionaries({"boost": factor}), selection),
        st.tuples(st.fixed_dictionaries({"bury": st.sampled_from([0.001, 0.5, 1.0])}), selection),
        st.tuples(st.fixed_dictionaries({"block": st.just(True)}), selection),
        st.tuples(st.fixed_dictionaries({"availability": st.just({})}), selection),
        st.tuples(
            st.fixed_dictionaries(
                {
                    "diversity": st.fixed_dictionaries(
                        {"column": st.sampled_from(["kind", "size"]), "most": st.integers(1, 3)}
                    )
                }
            ),
            st.just({}),
        ),
        st.tuples(
            st.builds(lambda boost, when: {"freshness": {"column": "added", "boost": boost, **when}}, factor, age),
            st.one_of(st.just({}), selection),
        ),
    )
    drawn = draw(st.lists(kinds, max_size=7))
    rules: list[dict[str, Any]] = []
    for kind, selects in drawn:
        taken = [one["pin"] for one in rules if "pin" in one]
        if kind.get("pin") not in taken and not ("diversity" in kind and any("diversity" in one for one in rules)):
            rules.append({"name": f"rule {len(rules)}", **kind, **selects})
    allowed = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    query = Query(
        draw(st.lists(st.sampled_from([*ids, "unknown"]), max_size=3)),
        draw(st.integers(1, 12)),
        exclude=draw(st.lists(st.sampled_from(ids), max_size=3)),
        exclude_seen=draw(st.booleans()),
        allowed=None if allowed is None else np.array([False, *allowed]),
    )
    return table, scores, rules, draw(st.lists(st.sampled_from(ids), max_size=3)), query


def check(case: tuple[pl.DataFrame, list[float], list[dict[str, Any]], list[str], Query]) -> None:
    table, scores, rules, unavailable, query = case
    model = Scores(table, scores)
    served = served_by(model, rules, unavailable)
    (found,) = rank(served, [query])
    assert isinstance(found, Ranked)
    support = model.vocabulary.support
    by_popularity = [int(item) for item in model.vocabulary.order.items]
    by_model = model.order() if found.fallback is None else by_popularity
    known = {item: float(model.scores[item] if found.fallback is None else support[item]) for item in by_model}
    expected, names = naive(model, query, rules, unavailable, by_model, known)
    assert found.indices == expected  # So never fewer than k while k are allowed, and never a blocked one.
    assert found.scores == [known[item] for item in expected]
    if not rules:
        assert found.moved is None
        return
    assert found.moved is not None
    assert found.moved.rules == names
    blocked = [one for one in rules if "block" in one or "availability" in one]
    listable, _ = naive(model, query._replace(k=99), blocked, unavailable, by_model, known)
    first = {item: place + 1 for place, item in enumerate(listable[: query.k])}
    assert found.moved.ranks == [first.get(item) for item in expected]


def _examples() -> int:
    most = settings.default.max_examples if settings.default is not None else 100
    return 60 if most <= 100 else 500


@settings(max_examples=_examples())
@given(cases())
def test_lists_are_those_of_the_whole_ranking(case: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "ITEMS_PER_PART", 1)
        check(case)


@settings(max_examples=_examples() // 3)
@given(cases())
def test_many_parts_are_ranked_as_a_whole(case: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "MAX_PARTS", 1)
        check(case)


@given(
    st.lists(st.floats(-(2.0**127), 2.0**127), min_size=2, max_size=2),
    st.lists(st.floats(1 / MAX_FACTOR, MAX_FACTOR), min_size=2, max_size=2),
)
def test_factors_are_monotone(scores: list[float], factors: list[float]) -> None:
    """A larger factor never lowers a score, and equal factors keep the order."""
    low, high = np.sort(np.array(factors))
    first, second = np.sort(np.array(scores))
    assert adjusted(np.array([first]), np.array([low]))[0] <= adjusted(np.array([first]), np.array([high]))[0]
    assert adjusted(np.array([first]), np.array([low]))[0] <= adjusted(np.array([second]), np.array([low]))[0]


def test_boosts_by_hand() -> None:
    """Scores 2, 1, -1 and -2: a boost of 4 takes 1 to 4 and -2 to -0.5; 0.4 takes 2 to 0.8 and -1 to -2.5."""
    table = pl.DataFrame({"item": ["a", "b", "c", "d"], "support": [1, 1, 1, 1]})
    model = Scores(table, [2.0, 1.0, -1.0, -2.0])
    query = Query(["a"], 4)

    def listed(*rules: dict[str, Any]) -> list[int]:
        (found,) = rank(served_by(model, rules), [query])
        assert isinstance(found, Ranked)
        return found.indices

    assert listed({"name": "up", "boost": 4, "items": ["b", "d"]}) == [2, 1, 4, 3]
    assert listed({"name": "down", "bury": 0.6, "items": ["a", "c"]}) == [1, 2, 3, 4]
    assert listed({"name": "down", "bury": 0.4, "items": ["a", "c"]}) == [2, 1, 4, 3]
    assert listed({"name": "one", "pin": 2, "items": ["d"]}) == [1, 4, 2, 3]


def test_diversity_by_hand() -> None:
    """Kinds a a a b b: with at most one of a kind, the best of each come first, and the others in their order."""
    table = pl.DataFrame({"item": list("vwxyz"), "support": [1] * 5, "kind": list("aaabb")})
    served = served_by(
        Scores(table, [5.0, 4.0, 3.0, 2.0, 1.0]), [{"name": "mix", "diversity": {"column": "kind", "most": 1}}]
    )
    (two,), (four,) = rank(served, [Query(["v"], 2)]), rank(served, [Query(["v"], 4)])
    assert two.indices == [1, 4]
    assert (four.indices, four.moved.rules) == ([1, 4, 2, 3], [None, None, "mix", "mix"])


def test_few_parts_ask_for_few_items() -> None:
    table = pl.DataFrame({"item": [f"i{number}" for number in range(1000)], "support": [1] * 1000})
    model = Scores(table, np.linspace(1, 0, 1000).tolist())
    served = served_by(model, [{"name": "up", "boost": 2, "items": ["i999", "i998"]}])
    asked: list[int] = []
    answers = served.listing.rank(
        [Query(["i0"], 5)] * 3,
        lambda queries: asked.extend(one.k for one in queries) or rank_plain(model, queries),
        model.vocabulary.order.places,
    )
    assert asked == [5] * 6
    assert all(isinstance(one, Ranked) and len(one.indices) == 5 for one in answers)


def test_memory_is_bounded() -> None:
    """A mask per pin and item would be 160 MB as numbers; the parts of 16 filters would be too many."""
    count = 100_000
    pins = [Pin(f"pin {place}", place, np.arange(count) % 1000 == place) for place in range(1, 201)]
    tracemalloc.start()
    Listing(np.ones(count, dtype=bool), pins=pins)
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()
    listing = Listing(np.ones(count, dtype=bool), pins=pins[:60])
    for place in range(40):
        listing._parts(Query([], 5, allowed=np.arange(count) % 40 != place))
    held = sum(mask.nbytes for parts in listing._known.values() for mask in parts.masks)
    assert 0 < held <= 1 << 26


def rank_plain(model: Any, queries: Sequence[Query]) -> Any:
    return rank(ServedModel("m", "", Path(), model), queries)


@pytest.mark.parametrize("name", ["gru4rec", "v-sknn", "two-stage", "markov"])
def test_real_models(artifact: Callable[..., Path], name: str) -> None:
    """A list with rules is that of the whole list of the model, for carried states and batches too."""
    served = load_model(name, artifact(name))
    model, sessions = served.model, [["104", "105"], ["110"], ["104", "111", "112"], []]
    rules = [
        {"name": "up", "boost": 3, "where": {"category": ["shop 1"]}},
        {"name": "down", "bury": 0.5, "items": ["108", "109", "106"]},
        {"name": "gone", "block": True, "items": ["105"]},
        {"name": "top", "pin": 2, "where": {"category": ["shop 2"]}},
        {"name": "mix", "diversity": {"column": "category", "most": 3}},
    ]
    queries = [Query(items, 8, session=key) for items in sessions for key in ("s" + "".join(items), None)]
    whole = rank(served, [query._replace(k=30, session=None) for query in queries])
    served.listing = Masks(served, NOW * 1000).listing(Rules.parse({"rules": rules}, "rules.yaml").rules, set())
    plain = [{**one, "items": [int(item) for item in one["items"]]} if "items" in one else one for one in rules]
    for query, everything, found in zip(queries, whole, rank(served, queries), strict=True):
        assert isinstance(found, Ranked)
        scores = dict(zip(everything.indices, everything.scores, strict=True))
        expected, names = naive(model, query, plain, [], everything.indices, scores)
        if found.indices != expected:  # Items whose scores differ by rounding may swap places.
            assert np.allclose([scores[item] for item in found.indices], [scores[item] for item in expected], atol=1e-5)
        else:
            assert found.moved.rules == names


MISTAKES = [
    ("", "must have a list under the name 'rules'"),
    ("rules: 3", "must have a list under the name 'rules'"),
    ("rules: [", "line 1: "),
    ("rules: []\nrulez: 1", "did you mean 'rules'"),
    ("rules: [{name: a, bost: 2, items: [a]}]", "rule 1 (a) 'bost': did you mean 'boost'"),
    ("rules: [{boost: 2, items: [a]}]", "rule 1: must have a name"),
    ("rules: [{name: a, items: [a]}]", "a rule of one kind"),
    ("rules: [{name: a, pin: 1, block: true, items: [a]}]", "a rule of one kind"),
    ("rules: [{name: a, block: true}]", "with items or where"),
    ("rules: [{name: a, block: false, items: [a]}]", "rule 1 (a).block: must be true"),
    ("rules: [{name: a, block: true, items: []}]", "rule 1 (a).items: must be at least one"),
    ("rules: [{name: a, block: true, items: [1.5]}]", "rule 1 (a).items.0: must be ids"),
    ("rules: [{name: a, pin: 0, items: [a]}]", "rule 1 (a).pin: must be greater than or equal to 1, got 0"),
    ("rules: [{name: a, boost: -2, items: [a]}]", "rule 1 (a).boost: must be greater than or equal to 1, got -2"),
    ("rules: [{name: a, bury: 2, items: [a]}]", "rule 1 (a).bury: must be less than or equal to 1, got 2"),
    ("rules: [{name: a, bury: .nan, items: [a]}]", "rule 1 (a).bury: must be"),
    ("rules: [{name: a, block: true, where: {c: null}}]", "items without one cannot be selected"),
    ("rules: [{name: a, availability: {}}]", "else it has no effect"),
    ("rules: [{name: a, diversity: {column: c}}]", "rule 1 (a).diversity.most: is missing"),
    ("rules: [{name: a, diversity: {column: c, mots: 1, most: 1}}]", "'mots': did you mean 'most'"),
    ("rules: [{name: a, diversity: {column: c, most: 1}, items: [a]}]", "it is for all items"),
    ("rules: [{name: a, freshness: {column: c, boost: 2}}]", "either newer_than_days or half_life_days"),
    ("rules: [{name: a, pin: 1, items: [a]}, {name: b, pin: 1, items: [b]}]", "position 1 is that of 'a'"),
    ("rules: [{name: a, block: true, items: [a]}, {name: a, pin: 1, items: [b]}]", "the name 'a' must be that of one"),
    (
        "rules: [{name: a, diversity: {column: c, most: 1}}, {name: b, diversity: {column: c, most: 1}}]",
        "only diversity",
    ),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as raised:
        Rules.read(file)
    (line,) = raised.value.lines
    assert str(file) in line
    assert says in line


def test_all_mistakes_together(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [3, {name: a, pin: 0, items: [a]}, {boost: 2, items: [b]}]", encoding="utf-8")
    with pytest.raises(ParameterError) as raised:
        Rules.read(file)
    assert len(raised.value.lines) == 3
    with pytest.raises(ParameterError, match="cannot be read"):
        Rules.read(tmp_path / "none.yaml")
    many = [{"name": str(number), "block": True, "items": ["a"]} for number in range(201)]
    with pytest.raises(ParameterError, match="at most 200 rules, got 201"):
        Rules.parse({"rules": many}, "rules.yaml")


def test_mistakes_hide_no_others(tmp_path: Path) -> None:
    rules = [
        {"name": "a", "boost": "much", "bury": 0.5, "items": ["a"]},
        {"name": "a", "freshness": {"colum": "added", "boost": 0.5}},
        {"name": "b", "pin": 1, "items": [1.5]},
        {"name": "c", "pin": 1, "items": ["a"]},
    ]
    with pytest.raises(ParameterError) as raised:
        Rules.parse({"rules": rules}, "rules.yaml")
    expected = [
        "rules.yaml, rule 1 (a).boost: must be a number, got 'much'",
        "rules.yaml, rule 1 (a): must be a rule of one kind",
        "'colum': did you mean 'column'?",
        "rules.yaml, rule 2 (a).freshness.column: is missing",
        "rules.yaml, rule 2 (a).freshness.boost: must be greater than or equal to 1, got 0.5",
        "rules.yaml, rule 3 (b).items.0: must be ids",
        "rules.yaml: the name 'a' must be that of one rule",
        "rules.yaml: position 1 is that of 'b'; pin 'c' to another one",
    ]
    assert all(part in line for part, line in zip(expected, raised.value.lines, strict=True))


def test_yes_blocks_as_true_does() -> None:
    (rule,) = Rules.parse(strict_yaml.loads("rules: [{name: a, block: yes, items: [a]}]"), "rules.yaml").rules
    assert rule.kind == "block"


def test_an_experiment_may_be_in_the_same_file() -> None:
    assert Rules.parse({"rules": [], "experiment": {"name": "a"}}, "live.yaml").rules == ()


def test_the_documented_file_is_right() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    found = Rules.parse(strict_yaml.loads(text.split("```yaml\n")[1].split("```")[0]), "docs/rules.md")
    assert sorted(one.kind for one in found.rules) == sorted(KINDS)


def test_a_wrong_file_ends_the_start(artifact: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{name: a, blok: true}]", encoding="utf-8")
    found = segue("serve", str(artifact("popularity")), "--state", str(tmp_path / "s"), "--rules", str(file))
    assert found.code == 2
    assert "did you mean 'block'" in " ".join(found.err.split())
