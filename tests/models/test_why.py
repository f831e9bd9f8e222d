"""Why an item: parts that sum to the score, leave-one-out effects, attention weights of the forward pass."""

import random
from math import fsum
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional

import segue
from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.registry import BUILT_IN, model_class
from segue.models.why.answer import Part, Why, shorten
from segue.models.why.session import MAX_EVENTS, why_prefix
from segue.nn.encoders.attention import Attention, attention_mask, attention_weights, watch_attention
from small_models import parameters_of

START = 1_700_000_000
SESSIONS = {
    "one event": ["103"],
    "a few": ["103", "104", "106", "104"],
    "repeats": ["110", "111", "110", "112", "110"],
    "longer than the window": [str(100 + item % 30) for item in range(7, 21)],
}
SUMS = ("popularity", "session-popularity", "markov", "sequential-rules", "item-knn", "v-sknn", "stan", "vstan")
LINEAR = ("als", "bpr", "fpmc")
ATTENTIVE = (
    *("narm", "stamp", "sr-gnn", "gce-gnn", "core", "sasrec", "bert4rec", "attention-clustering", "gsasrec", "esasrec"),
    "hstu",
)


@pytest.fixture(scope="module")
def train() -> Any:
    """120 sessions on 30 items, which walk around a circle; some events have equal times."""
    rng, rows = random.Random(0), []
    for session in range(120):
        start, item = START + session * 5_000, rng.randrange(30)
        for event in range(rng.randrange(2, 9)):
            item = (item + rng.choice((0, 1, 1, 2))) % 30
            rows.append(
                (
                    f"s{session}",
                    f"u{session % 7}",
                    str(100 + item),
                    start + 60 * (event // 2),
                    f"shop {item % 3}",
                    item / 2,
                )
            )
    log = pl.DataFrame(rows, schema=["session", "user", "item", "time", "shop", "price"], orient="row")
    items = log.select("item", name=pl.format("Thing {}", "item")).unique("item").sort("item")
    return segue.prepare(segue.read(log, items=items)).train


@pytest.fixture(scope="module")
def fit(train: Any) -> Any:
    """Return a function from name and parameters of a model to the fitted one."""
    found: dict[str, Model] = {}

    def fitted(name: str, **parameters: Any) -> Model:
        key = f"{name} {parameters}"
        if key not in found:
            found[key] = model_class(name)(**{**parameters_of(name), **parameters}).fit(train, seed=0)
        return found[key]

    return fitted


def known(model: Model, session: list[str]) -> Prefixes:
    return Prefixes.from_lists([model.vocabulary.index(session)], model.vocabulary)


def everything(model: Model, session: list[str]) -> Why:
    return segue.why(model, session, list(model.vocabulary.raw_ids[1:]))


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_effects_are_those_of_scoring_again(name: str, session: list[str], fit: Any) -> None:
    model = fit(name)
    found = everything(model, session)
    assert [event.item for event in found.events] == session
    scores = model.score(known(model, session))[0, 1:].double()
    torch.testing.assert_close(
        torch.tensor([item.score for item in found.items]).double(), scores, rtol=1e-5, atol=1e-5
    )
    for left_out in range(len(session)):
        rest = [item for place, item in enumerate(session) if place != left_out]
        expected = scores - model.score(known(model, rest))[0, 1:].double()
        effects = torch.tensor([item.without[left_out] for item in found.items], dtype=torch.float64)
        torch.testing.assert_close(effects, expected, rtol=1e-4, atol=1e-5)


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in SUMS},
    "markov with history": ("markov", {"history_weight": 0.3}),
    "markov without smoothing": ("markov", {"smoothing": 0.0}),
    "markov, few neighbours": ("markov", {"n_neighbours": 2, "decay_days": 0.5}),
    "v-sknn, few neighbours": ("v-sknn", {"k": 7, "sample_size": 20, "max_length": 3}),
    "v-sknn, idf": ("v-sknn", {"idf": "multiply", "leave_out": "last", "tie_order": "popularity"}),
    "v-sknn, without its own": ("v-sknn", {"leave_out": "session", "position_decay": "div"}),
    "stan, old": ("stan", {"age_scale_days": 0.002, "tie_order": "popularity"}),
    "vstan, many": ("vstan", {"k": 500, "max_length": 50}),
}


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_parts_sum_to_the_score(kind: str, session: list[str], fit: Any) -> None:
    name, parameters = KINDS[kind]
    found = everything(fit(name, **parameters), session)
    for item in found.items:
        assert item.parts is not None
        total, score = np.float32(fsum(part.value for part in item.parts)), np.float32(item.score)
        assert abs(total - score) <= (2 if "history" in kind else 0) * np.spacing(score), item
        ties = [abs(part.value) for part in item.parts if part.kind == "tie"]
        assert sum(ties) <= 1e-5 * abs(item.score)
        assert all(0 <= event < len(session) for part in item.parts for event in part.events)
    assert any(item.parts for item in found.items)


@pytest.mark.parametrize("baskets", [("markov", {"history_weight": 0.0}), ("sequential-rules", {})])
def test_parts_of_baskets_sum_to_the_score(baskets: tuple[str, dict[str, Any]], fit: Any) -> None:
    model = fit(baskets[0], baskets=True, **baskets[1])
    times = [START, START + 60, START + 60, START + 60]
    found = segue.why(model, ["103", "104", "106", "104"], model.vocabulary.raw_ids[1:], context={"time": times})
    for item in found.items:
        score = np.float32(item.score)
        assert abs(np.float32(fsum(part.value for part in item.parts or ())) - score) <= 2 * np.spacing(score)
    rules = [part for item in found.items for part in item.parts or () if part.kind == "rule"]
    assert {part.events for part in rules} == {(2,), (3,)}


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("name", LINEAR)
def test_parts_of_linear_models_sum_to_the_score(name: str, session: list[str], fit: Any) -> None:
    for item in everything(fit(name), session).items:
        assert fsum(part.value for part in item.parts or ()) == pytest.approx(item.score, rel=1e-4, abs=1e-5)


def test_users_and_baskets_of_fpmc_are_parts(fit: Any) -> None:
    model, session = fit("fpmc", basket="equal-times"), ["103", "104", "106"]
    context = {"time": [START, START + 60, START + 60], "user": "u3"}
    found = segue.why(model, session, model.vocabulary.raw_ids[1:], context=context)
    for item in found.items:
        assert fsum(part.value for part in item.parts or ()) == pytest.approx(item.score, rel=1e-4, abs=1e-6)
        assert {(part.kind, part.events) for part in item.parts or ()} == {
            ("event", (1,)),
            ("event", (2,)),
            ("context", ()),
        }


def test_a_rule_by_hand(train: Any) -> None:
    """The weight of a rule is the number of transitions by that of departures, with no smoothing."""
    model = segue.Markov(smoothing=0.0).fit(train)
    ids, offsets = train.vocabulary.raw_ids, train.offsets
    pairs = [
        (ids[train.items[at]], ids[train.items[at + 1]]) for at in range(len(train.items) - 1) if at + 1 not in offsets
    ]
    departures = sum(first == "104" for first, _ in pairs)
    (item,) = segue.why(model, ["103", "104"], ["105"]).items
    (part,) = item.parts or ()
    assert (part.kind, part.items, part.events) == ("rule", ("104",), (1,))
    assert part.value == pytest.approx(pairs.count(("104", "105")) / departures)
    assert (item.without[0], item.name) == (0.0, "Thing 105")


def test_neighbours_by_hand(train: Any) -> None:
    """A neighbour of a session of one event votes with its similarity, 1, times the weight of the match, 1."""
    model = segue.VSKNN(tie_order="popularity").fit(train)
    (item,) = segue.why(model, ["104"], ["105"]).items
    own = [set(train.items[start:end].tolist()) for start, end in zip(train.offsets, train.offsets[1:], strict=False)]
    first, second = train.vocabulary.index(["104", "105"])
    assert item.score == sum({first, second} <= held for held in own)
    assert {part.value for part in item.parts or () if part.kind == "neighbour"} == {1.0}
    for part in item.parts or ():
        assert part.kind == "others" or ({"104", "105"} <= set(part.items) and part.events == (0,))


def test_parts_of_two_stages(fit: Any) -> None:
    pair = segue.TwoStage.of(fit("sequential-rules"), fit("markov"), candidates=3)
    found = segue.why(pair, ["103", "104"], pair.vocabulary.raw_ids[1:])
    assert {part.kind for item in found.items for part in item.parts or ()} == {"rule", "popularity", "rank"}
    for item in found.items:
        assert np.float32(fsum(part.value for part in item.parts or ())) == np.float32(item.score)
    networks = segue.why(segue.TwoStage.of(fit("markov"), fit("stamp"), candidates=3), ["103", "104"], k=20)
    assert networks.items[0].parts is None
    assert networks.items[-1].parts is not None
    assert networks.attention == segue.why(fit("stamp"), ["103", "104"], ["105"]).attention


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_attention_is_there_where_the_network_has_some(name: str, session: list[str], fit: Any) -> None:
    found = segue.why(fit(name), session, ["105"])
    assert (found.attention is not None) == (name in (*ATTENTIVE, "two-stage"))
    for row in found.attention or ():
        assert len(row.weights) == len(session)
        if name in ("core", "sasrec", "bert4rec", "gsasrec", "esasrec"):
            assert fsum(row.weights) + row.rest == pytest.approx(1, abs=1e-5)
            assert (row.rest > 0) == (name == "bert4rec")


@pytest.mark.parametrize(("length", "causal"), [(1, True), (7, True), (7, False)])
def test_weights_of_a_transformer_give_the_fused_output(length: int, causal: bool) -> None:
    torch.manual_seed(0)
    layer = Attention(hidden_size=8, heads=2, mix_heads=False).eval()
    events, items = torch.randn(3, length, 8), torch.ones(3, length, dtype=torch.int64)
    items[1, : length // 2] = 0
    mask = attention_mask(items, causal=causal)
    with torch.no_grad(), watch_attention() as found:
        output = layer(events, events, mask)
    value = layer.key_value(events).chunk(2, dim=-1)[1].view(3, length, 2, 4).transpose(1, 2)
    expected = (found[0].weights.unsqueeze(2) @ value).squeeze(2).flatten(1)  # [3, heads, 4] -> [3, 8]
    torch.testing.assert_close(output[:, -1], expected)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "gsasrec", "esasrec"])
def test_weights_of_transformers_are_those_of_the_forward_pass(name: str, fit: Any) -> None:
    """A hook sees what each layer reads in the forward pass; the weights are computed from that by hand."""
    model, seen = fit(name, layers=2, heads=2), []
    blocks = model.network.stack.blocks
    hooks = [
        block.attention.register_forward_hook(lambda layer, given, out: seen.append((layer, given, out)))
        for block in blocks
    ]
    session = SESSIONS["a few"]
    found = segue.why(model, session, ["105"]).attention
    one = [entry for entry in seen if len(entry[1][0]) == 1]
    for hook in hooks:
        hook.remove()
    assert [row.name for row in found or ()] == [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2)]
    rows = iter(found or ())
    for layer, (queries, memory, mask), output in one:
        query, (key, value) = layer.query(queries), layer.key_value(memory).chunk(2, dim=-1)
        pooled = []
        for part in (slice(0, 2), slice(2, 4)):
            logits = query[0, -1, part] @ key[0, :, part].T / 2**0.5
            weights = logits.masked_fill(~mask[0, 0, -1], -torch.inf).softmax(0)
            row = next(rows)
            shown = [*row.weights, row.rest][: len(weights)]
            torch.testing.assert_close(torch.tensor(shown), weights, rtol=1e-5, atol=1e-6)
            pooled.append(weights @ value[0, :, part])
        torch.testing.assert_close(layer.output(torch.cat(pooled)), output[0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["paper", "authors"])
@pytest.mark.parametrize("name", ["narm", "stamp"])
def test_weights_of_narm_and_stamp_pool_the_events(name: str, attention: str, fit: Any) -> None:
    """The weighted sum of what the layer read in the forward pass is what it put out."""
    model, seen = fit(name, attention=attention), []
    hook = model.network.attention.register_forward_hook(lambda _, given, out: seen.append((given, out)))
    (row,) = segue.why(model, SESSIONS["a few"], ["105"]).attention or ()
    hook.remove()
    (_, events, _), output = next(entry for entry in seen if len(entry[0][0]) == 1)
    torch.testing.assert_close(torch.tensor(row.weights) @ events[0], output[0, -1], rtol=1e-4, atol=1e-6)


def test_weights_of_core_give_the_direction_of_its_state(fit: Any) -> None:
    model, session = fit("core"), SESSIONS["a few"]
    *transformer, row = segue.why(model, session, ["105"]).attention or ()
    assert [one.name for one in (*transformer, row)] == ["attention", "weights of the sum"]
    state = torch.tensor(row.weights) @ model.network.items[model.vocabulary.index(session)]
    expected = model.score(known(model, session)) * model.config.temperature
    torch.testing.assert_close(model.network.table() @ state / state.norm(), expected[0], rtol=1e-4, atol=1e-5)


def test_weights_of_hstu_pool_the_values(fit: Any) -> None:
    model, seen = fit("hstu", layers=1), []
    (block,) = model.network.blocks
    hook = block.norm_output.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    inputs = block.gate_value_query_key.register_forward_hook(lambda *given: seen.append(given[2]))
    (row,) = segue.why(model, SESSIONS["a few"], ["105"]).attention or ()
    hook.remove()
    inputs.remove()
    place = next(at for at, one in enumerate(seen) if len(one) == 1)
    value = functional.silu(seen[place]).chunk(4, dim=-1)[1][0]
    torch.testing.assert_close(torch.tensor(row.weights) @ value, seen[place + 1][0, -1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("preset", [None, "described"])
def test_gates_and_clusters_are_those_that_the_model_shows_elsewhere(preset: str | None, train: Any) -> None:
    model = segue.AttentionClustering(preset=preset, embedding_size=8, clusters=4, training={"epochs": 1}).fit(train)
    session = SESSIONS["a few"]
    rows = {row.name: row.weights for row in segue.why(model, session, ["105"]).attention or ()}
    shown = model.attention(session)
    for name, column in (("gate", "gate"), ("attention", "attention"), ("final attention", "final_attention")):
        assert rows[name] == pytest.approx(shown.events[column].to_list())
    assert shown.clusters is not None
    cluster, weight = shown.clusters["cluster"][0], shown.clusters["weight"][0]
    members = [one if own == cluster else None for own, one in shown.events.select("cluster", "membership").iter_rows()]
    for found, expected in zip(rows[f"cluster {cluster}, weight {weight:.2f}"], members, strict=True):
        assert expected is None or found == pytest.approx(expected)


def test_nothing_is_kept_where_nobody_looks(fit: Any) -> None:
    model = fit("sasrec")
    with watch_attention() as found:
        pass
    model.recommend(["103"], k=3)
    assert found == []
    query = torch.randn(1, 1, 2, 2)
    mask = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    assert attention_weights(query, query, mask).sum(-1) == pytest.approx(1.0)


def test_the_recommended_items_are_explained(fit: Any) -> None:
    model = fit("markov")
    answer = model.recommend(["103", "104"], k=4, exclude_seen=True, exclude=["105"])
    found = segue.why(model, ["103", "104"], k=4, exclude_seen=True, exclude=["105"])
    assert ([one.item for one in found.items], [one.score for one in found.items]) == (answer.items, answer.scores)
    assert found.items[0].effects(1)[0][0] == 1
    told = found.to_dict()
    assert list(told) == ["source", "events", "older", "unknown", "items", "attention"]
    assert told["events"][0] == {"item": "103", "name": "Thing 103"}


@pytest.mark.parametrize("session", [[], ["never"], ["never", "neither"]])
def test_a_session_that_the_model_cannot_read_has_popular_items(session: list[str], fit: Any) -> None:
    model = fit("sasrec")
    found = segue.why(model, session, k=3)
    expected = model.recommend([session], k=3)[0]
    assert (found.source, [one.item for one in found.items], list(found.unknown)) == (
        "popularity",
        expected.items,
        session,
    )
    assert [one.score for one in found.items] == expected.scores
    assert [[part.value for part in one.parts or ()] for one in found.items] == [[score] for score in expected.scores]
    assert (found.events, found.attention, found.items[0].without) == ((), None, ())


def test_unknown_events_are_left_out_with_their_context(fit: Any) -> None:
    context = {"shop": ["shop 0", "shop 1", "shop 2"], "time": [START, START + 5, START + 9]}
    model = fit("sasrec")
    found = segue.why(model, ["103", "never", "104"], ["105"], context=context)
    plain = {"shop": ["shop 0", "shop 2"], "time": [START, START + 9]}
    assert found.items == segue.why(model, ["103", "104"], ["105"], context=plain).items
    assert found.unknown == ("never",)


@pytest.mark.parametrize(
    ("session", "items", "message"),
    [
        (["103"], ["Thing 15"], "items: must hold ids or names of known items, got 'Thing 15'; did you mean"),
        (["103"], [], "items: must name at least one item to explain, got []"),
        (["103"], "105", "items: must be a list of item ids or names, got '105'; write ['105']"),
        ([["103"], ["104"]], None, "session: must be the item ids of one session, got [['103'], ['104']]"),
        ("103", None, "sessions: must be a list of item ids"),
    ],
)
def test_what_cannot_be_explained_is_refused(session: Any, items: Any, message: str, fit: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        segue.why(fit("markov"), session, items)
    assert str(caught.value).startswith(message)


def test_of_a_long_session_the_most_recent_events_are_explained(fit: Any) -> None:
    model = fit("session-popularity")
    session = [*["103"] * 30, *(str(100 + item % 30) for item in range(MAX_EVENTS))]
    (item,) = segue.why(model, session, ["103"]).items
    found = segue.why(model, session, ["103"])
    assert (len(found.events), found.older, len(item.without)) == (MAX_EVENTS, 30, MAX_EVENTS)
    assert item.score == model.recommend(session, k=1).scores[0]
    assert fsum(part.value for part in item.parts or ()) == pytest.approx(item.score)


def test_scores_that_are_not_finite_are_refused(fit: Any) -> None:
    model = fit("narm")._copy(fit("narm").arrays(), fit("narm").vocabulary)
    model.network.items.data[1] = torch.nan
    model._cache_table()
    with pytest.raises(segue.SegueError, match="not finite"):
        why_prefix(model, known(model, ["103"]), [1])


def test_other_parts_are_added_up() -> None:
    parts = [Part("event", "", value) for value in (0.5, -3.0, 0.25, 1.0)]
    assert shorten(parts, 3, "parts") == [parts[1], parts[3], parts[0], parts[2]]
    assert shorten(parts, 2, "parts")[-1] == Part("others", "2 other parts", 0.75, count=2)
    assert [part.value for part in shorten(parts, 2, "parts")] == [-3.0, 1.0, 0.75]
