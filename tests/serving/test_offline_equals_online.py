"""The service lists what evaluation ranks, however the events of a session arrive."""

import os
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from live import MODELS, NOW, START, Client, memory_store, run, serving

import segue
from segue.data.sessions import Prefixes, Upcoming
from segue.errors import ArtifactError
from segue.serving.engine import rank
from segue.serving.models import load_model
from segue.serving.ranking import Query, Ranked
from segue.serving.secrets import KeyedHash
from segue.serving.stores import Lifetimes
from segue.serving.stores.sqlite import SQLiteStore

Session = list[tuple[str, int]]
K = 7


def sessions(count: int, *, seed: int) -> list[Session]:
    """Sessions with repeats, unknown items, no events, and more events than models read; times are distinct."""
    rng, found = random.Random(seed), []
    for number in range(count):
        kind = number % 8
        length = {0: 0, 1: 1, 2: 40}.get(kind, rng.randrange(1, 12))
        pool = ["unknown", "nothing"] if kind == 3 else [str(100 + item) for item in range(30)] + ["unknown"]
        items = [rng.choice(pool) for _ in range(length)]
        if kind == 4:
            items = [item for item in items for _ in range(2)]
        times = sorted(rng.sample(range(START, START + 3_000), len(items)))
        found.append(list(zip(items, times, strict=True)))
    return found


def offline(model: Any, session: Session) -> tuple[list[str], list[float]]:
    """Rank as evaluation does, one session alone."""
    vocabulary = model.vocabulary
    read = [(index, time) for (item, time) in session if (index := vocabulary.index([item])[0])]
    if not read:
        best = vocabulary.order.items[:K]
        return [str(raw) for raw in vocabulary.decode(best)], vocabulary.support[best].astype(float).tolist()
    prefixes = Prefixes.from_lists([np.array([index for index, _ in read], dtype=np.int32)], vocabulary)
    timed = Prefixes(
        prefixes.items, prefixes.starts, prefixes.ends, np.array([time for _, time in read]), vocabulary=vocabulary
    )
    if "time" in model.upcoming_columns:
        timed = replace(timed, upcoming=Upcoming(np.zeros(1, dtype=np.int64), np.array([NOW]), None))
    items, scores = model.top_k(timed, K)
    return [str(raw) for raw in vocabulary.decode(items[0])], scores[0].tolist()


def assert_same(answer: Any, expected: tuple[list[str], list[float]]) -> None:
    """Lists are equal up to the order of items whose scores differ by rounding."""
    items, scores = expected
    assert np.allclose([one["score"] for one in answer["items"]], scores, rtol=1e-5, atol=1e-6)
    for place, one in enumerate(answer["items"]):
        equal = [item for item, score in zip(items, scores, strict=True) if abs(score - scores[place]) < 1e-5]
        last = abs(scores[place] - scores[-1]) < 1e-5  # The rest of its ties may be behind the list.
        assert one["item"] in equal or last


def body(session: Session) -> list[dict[str, Any]]:
    return [{"item": item, "time": time, "event_id": f"e{place}"} for place, (item, time) in enumerate(session)]


async def every_way(client: Client, model: Any, found: list[Session], rng: random.Random) -> None:
    expected = [offline(model, session) for session in found]
    for row, session in enumerate(found):
        carried = {"items": [item for item, _ in session], "times": [time for _, time in session], "k": K}
        assert_same(await client.post("/v1/recommend", carried), expected[row])
        assert_same(
            await client.post("/v1/recommend", {"session_id": f"a{row}", "append": body(session), "k": K}),
            expected[row],
        )
        parts = body(session)
        rng.shuffle(parts)
        while parts:
            size = rng.randrange(1, len(parts) + 1)
            sent, parts = [{"session_id": f"b{row}", **one} for one in parts[:size]], parts[size:]
            answer = await client.post("/v1/events", {"events": sent + sent[:1]})
            assert answer["accepted"] == size
            assert answer["duplicate"] == 1
        assert_same(await client.post("/v1/recommend", {"session_id": f"b{row}", "k": K}), expected[row])
    for start in range(0, len(found), 50):
        rows = range(start, min(start + 50, len(found)))
        several = [{"session_id": f"{rng.choice('ab')}{row}", "k": K} for row in rows]
        answers = await client.post("/v1/recommend/batch", {"requests": several})
        for row, answer in zip(rows, answers["results"], strict=True):
            assert_same(answer, expected[row])


def check(name: str, folder: Any, tmp_path: Any, count: int) -> None:
    rng = random.Random(1)
    found = sessions(count, seed=2)
    model = segue.load(folder)

    def store() -> SQLiteStore:
        return SQLiteStore(tmp_path, Lifetimes(), 1_000_000, KeyedHash(b"k" * 32), None, lambda: float(NOW))

    async def first() -> None:
        client = await serving({name: folder}, store(), tmp_path)
        await every_way(client, model, found, rng)
        await client.app.service.store.close()

    async def second() -> None:
        client = await serving({name: folder}, store(), tmp_path)
        for row, session in enumerate(found):
            answer = await client.post("/v1/recommend", {"session_id": f"b{row}", "k": K})
            assert_same(answer, offline(model, session))
        await client.app.service.store.close()

    run(first())
    run(second())


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name: str, artifact: Any, tmp_path: Any) -> None:
    check(name, artifact(name), tmp_path, 8)


@pytest.mark.soak
@pytest.mark.parametrize("name", MODELS)
def test_every_model_on_1000_sessions(name: str, artifact: Any, tmp_path: Any) -> None:
    check(name, artifact(name), tmp_path, int(os.environ.get("SEGUE_SESSIONS", "1000")))


def test_a_model_in_a_thread_answers_in_batches(artifact: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.serving.served_model.INLINE_SECONDS", 0.0)
    folder = artifact("sasrec")
    model, found = segue.load(folder), sessions(24, seed=3)

    async def several() -> None:
        client = await serving({"sasrec": folder}, memory_store(), tmp_path)
        await every_way(client, model, found, random.Random(4))
        sizes = {
            sample.value
            for family in client.app.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == "segue_batch_sessions_bucket" and sample.labels["le"] == "1.0"
        }
        total = sum(
            sample.value
            for family in client.app.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == "segue_batch_sessions_count"
        )
        assert sizes != {total}, "nothing was ranked in a batch"

    run(several())


def test_scores_that_are_not_finite_fail_one_request_alone(artifact: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load_model("markov", artifact("markov"))
    top_k = served.model.top_k

    def damaged(prefixes: Prefixes, *given: Any, **named: Any) -> Any:
        items, scores = top_k(prefixes, *given, **named)
        scores[prefixes.ends - prefixes.starts == 2] = np.nan
        return items, scores

    monkeypatch.setattr(served.model, "top_k", damaged)
    found = rank(served, [Query(["104"], 3), Query(["104", "105"], 3), Query(["106"], 3)])
    assert [type(one) for one in found] == [Ranked, ArtifactError, Ranked]


def test_a_context_far_from_all_others_is_no_damage(artifact: Any, tmp_path: Any) -> None:
    async def story() -> None:
        client = await serving({"sasrec": artifact("sasrec")}, memory_store(), tmp_path)
        for price in (1e300, -1e300, 2**63 - 1, 0.5):
            event = {"items": ["104"], "context": [{"price": price, "shop": "shop 1"}], "k": 3}
            assert len((await client.post("/v1/recommend", event))["items"]) == 3

    run(story())
