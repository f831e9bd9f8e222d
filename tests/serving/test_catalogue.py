"""Rules and catalogue over HTTP: what changes at once, what survives, and what never comes back."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live import Client, memory_store, pointers, problem, run, serving
from processes import Process

import segue
from segue.errors import ArtifactError, StorageError
from segue.serving import models as models_module
from segue.serving.catalogue.catalogue import FILE, Catalogue, Entry
from segue.serving.catalogue.overlay import described
from segue.serving.catalogue.rule_masks import Masks
from segue.serving.listing import Listing
from segue.serving.models import ModelSet

ASK = {"items": ["104"], "k": 30}


@pytest.fixture(scope="module")
def models(artifact: Callable[..., Path]) -> dict[str, Path]:
    return {"als": artifact("als"), "markov": artifact("markov"), "gru4rec": artifact("gru4rec")}


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a file of rules."""

    def write(text: str) -> Path:
        file = tmp_path / "rules.yaml"
        new = tmp_path / "new.yaml"
        new.write_text(f"rules:\n{text}", encoding="utf-8")
        new.replace(file)
        return file

    return write


def with_service(models: dict[str, Path], folder: Path, work: Callable[[Client], Any], **settings: Any) -> Any:
    async def start() -> Any:
        return await work(await serving(models, memory_store(), folder, **settings))

    return run(start())


def ids(answer: Any) -> list[str]:
    return [one["item"] for one in answer["items"]]


def refresh(client: Client, *, force: bool = False) -> ModelSet:
    assert client.app.service is not None
    client.app.service.models.refresh(force=force)
    return client.app.service.models


class TestRulesOverHTTP:
    def test_a_blocked_item_comes_back_nowhere(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]
    ) -> None:
        file = rules(
            "- {name: gone, block: true, items: ['105', 110]}\n"
            "- {name: first, pin: 1, items: ['105']}\n"
            "- {name: up, boost: 1000, items: ['110']}\n"
        )

        async def work(client: Client) -> None:
            asks = [
                ("/v1/recommend", {**ASK, "model": name, **more})
                for name in models
                for more in ({}, {"items": []}, {"items": ["no"]}, {"exclude": ["106"]}, {"exclude_seen": True})
            ]
            for path, content in asks:
                found = ids(await client.post(path, content))
                assert len(found) == 28 - len(content.get("exclude", [])) - content.get("exclude_seen", False)
                assert not {"105", "110"} & set(found)
            batch = await client.post("/v1/recommend/batch", {"requests": [content for _, content in asks]})
            assert all(not {"105", "110"} & set(ids(one)) for one in batch["results"])
            session = await client.post(
                "/v1/recommend", {"session_id": "s", "append": [{"item": "104"}], "k": 30, "model": "gru4rec"}
            )
            similar = (await client("GET", "/v1/items/105/similar?k=30")).json
            assert not {"105", "110"} & {*ids(session), *ids(similar)}
            assert [len(ids(session)), len(ids(similar))] == [28, 28]

        with_service(models, tmp_path, work, rules=file)

    def test_what_answers_say(self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]) -> None:
        async def before(client: Client) -> Any:
            return (await client.post("/v1/recommend", ASK))["items"]

        plain = with_service(models, tmp_path / "none", before)
        assert all(set(one) == {"item", "score", "name"} for one in plain)
        last, second = plain[-1]["item"], plain[1]["item"]
        text = f"- {{name: on top, pin: 1, items: ['{last}']}}\n- {{name: never, block: true, items: ['{second}']}}\n"

        async def work(client: Client) -> None:
            found = (await client.post("/v1/recommend", {**ASK, "k": 4}))["items"]
            assert [one["item"] for one in found] == [last, *(plain[place]["item"] for place in (0, 2, 3))]
            assert [one.get("rule") for one in found] == ["on top", None, None, None]
            assert [one.get("rank_by_model") for one in found] == [None, 1, 2, 3]
            assert found[0]["score"] == pytest.approx(plain[-1]["score"])
            shown = (await client("GET", "/v1/rules")).json
            assert [one["name"] for one in shown["rules"]] == ["on top", "never"]
            assert shown["rules"][0]["items"] == dict.fromkeys(models, 1)
            assert (shown["rules"][0]["rule"], shown["problem"], shown["warnings"]) == ({"pin": 1}, None, [])

        with_service(models, tmp_path, work, rules=rules(text))

    def test_exposures_are_those_of_the_answer(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]
    ) -> None:
        file = rules("- {name: up, pin: 2, items: ['120']}\n")

        async def work(client: Client) -> None:
            exposed: list[Any] = []
            client.app.service.store.expose = exposed.append
            answer = await client.post("/v1/recommend", {**ASK, "k": 3})
            assert ids(answer)[1] == "120"
            assert exposed[0].items == ids(answer)

        with_service(models, tmp_path, work, rules=file)

    def test_a_changed_file_counts_at_once_and_a_wrong_one_does_not(
        self,
        models: dict[str, Path],
        tmp_path: Path,
        rules: Callable[[str], Path],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        file = rules("- {name: gone, block: true, items: ['105']}\n")
        caplog.set_level("INFO")

        async def work(client: Client) -> None:
            async def listed() -> set[str]:
                return set(ids(await client.post("/v1/recommend", ASK)))

            first = (await client("GET", "/v1/rules")).json["version"]
            assert "105" not in await listed()
            rules("- {name: gone, block: true, items: ['106']}\n")
            refresh(client)
            assert ("105" in await listed(), "106" in await listed()) == (True, False)
            second = (await client("GET", "/v1/rules")).json["version"]
            assert second != first
            rules("- {name: gone, blok: true}\n")
            refresh(client)
            assert "106" not in await listed()
            shown = (await client("GET", "/v1/rules")).json
            assert shown["version"] == second
            assert "did you mean 'block'" in shown["problem"]
            ready = (await client("GET", "/health/ready")).json
            assert ready["status"] == "ok"
            assert "did you mean 'block'" in ready["problems"][0]
            file.unlink()
            refresh(client)
            assert "106" not in await listed()
            file.write_text("rules: []", encoding="utf-8")
            caplog.clear()
            assert refresh(client).refusals() == []
            assert "the rules were loaded" in caplog.text
            assert len(await listed()) == 30

        with_service(models, tmp_path, work, rules=file)

    def test_reading_the_rules_selects_no_items_again(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = rules(
            "- {name: gone, block: true, items: ['105', '106', nothing]}\n"
            "- {name: c, boost: 2, where: {colour: red}}\n"
            "- {name: d, diversity: {column: category, most: 1}}\n"
        )

        async def work(client: Client) -> None:
            monkeypatch.setattr(Masks, "selected", lambda *given: pytest.fail("counts are kept"))
            shown = (await client("GET", "/v1/rules")).json["rules"]
            assert [one["items"] for one in shown] == [dict.fromkeys(models, count) for count in (2, 0, 30)]

        with_service(models, tmp_path, work, rules=file)

    def test_what_a_model_does_not_have_is_a_warning(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]
    ) -> None:
        file = rules(
            "- {name: a, block: true, items: [nothing, '105']}\n"
            "- {name: b, availability: {stale_after_hours: 1}, where: {colour: red}}\n"
            "- {name: c, boost: 2, where: {category: shop 9}}\n"
            "- {name: d, diversity: {column: brand, most: 1}}\n"
            "- {name: e, freshness: {column: category, boost: 2, newer_than_days: 1}}\n"
        )

        async def work(client: Client) -> None:
            assert len(ids(await client.post("/v1/recommend", ASK))) == 29
            warnings = (await client("GET", "/v1/rules")).json["warnings"]
            of_als = [one for one in warnings if "of als" in one]
            assert "names items that the model does not know: 'nothing'" in of_als[0]
            assert [one.split("'")[1] for one in of_als] == list("abcde")
            assert "the rule 'b' expects an update of items every 1 h; there was none" in warnings
            assert (await client("GET", "/health/ready")).status == 200

        with_service(models, tmp_path, work, rules=file)


class TestItems:
    def test_changes_that_wait_hold_up_no_other_work(self, models: dict[str, Path], tmp_path: Path) -> None:
        async def work(client: Client) -> None:
            assert client.app.service is not None
            change = {"items": [{"item": "105", "available": False}]}
            with client.app.service.models._switching:
                waiting = [asyncio.create_task(client.post("/v1/items", change)) for _ in range(40)]
                await asyncio.sleep(0.05)
                found = await asyncio.wait_for(client("GET", "/v1/items?search=thing"), 10)
                assert found.status == 200
                assert not any(one.done() for one in waiting)
            answers = await asyncio.gather(*waiting)
            assert {one["accepted"] for one in answers} == {1}

        with_service({"markov": models["markov"]}, tmp_path, work)

    def test_availability_and_metadata_at_once(self, models: dict[str, Path], tmp_path: Path) -> None:
        changes = [
            {"item": 104, "available": False},
            {"item": "105", "name": "Renamed <b>", "metadata": {"category": "sale"}},
            {"item": "106", "metadata": {"colour": "red"}},
            {"item": "107", "availabel": True},
            {"item": "nothing", "available": False},
        ]
        sale = {"items": ["108"], "k": 30, "filter": {"category": "sale"}}

        async def work(client: Client) -> None:
            answer = await client.post("/v1/items", {"items": changes})
            assert [one["status"] for one in answer["results"]] == ["changed"] * 2 + ["refused"] * 3
            assert (answer["accepted"], answer["refused"]) == (2, 3)
            details = [one.get("detail", "") for one in answer["results"]]
            assert "they have: category, name" in details[2]
            assert answer["results"][3]["errors"][0]["pointer"] == "/items/3/availabel"
            assert "no model knows the item; name columns in by" in details[4]
            await check(client)

        async def check(client: Client) -> None:
            for name in models:
                for ask in ({"items": ["108"]}, {"items": []}):
                    found = await client.post("/v1/recommend", {**ask, "k": 30, "model": name})
                    assert (len(ids(found)), "104" in ids(found)) == (29, False)
                    assert not any("rule" in one or "rank_by_model" in one for one in found["items"])
                (one,) = (await client.post("/v1/recommend", {**sale, "model": name}))["items"]
                assert (one["item"], one["name"]) == ("105", "Renamed <b>")
            item = (await client("GET", "/v1/items/105")).json
            assert item == {
                "item": "105", "name": "Renamed <b>", "metadata": {"name": "Renamed <b>", "category": "sale"},
            }  # fmt: skip
            assert (await client("GET", "/v1/items/104")).json["available"] is False
            assert ids((await client("GET", "/v1/items?search=renamed")).json) == ["105"]

        async def again(client: Client) -> None:
            await check(client)
            reloaded = await client("POST", "/v1/models/als/reload")
            assert reloaded.status == 200
            await check(client)
            await client.post("/v1/items", {"items": [{"item": "104", "available": True}]})
            assert len(ids(await client.post("/v1/recommend", ASK))) == 30

        with_service(models, tmp_path, work)
        with_service(models, tmp_path, again)

    def test_rules_see_the_catalogue(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]
    ) -> None:
        file = rules("- {name: sale, pin: 1, where: {category: sale}}\n")

        async def work(client: Client) -> None:
            assert "selects no items" in (await client("GET", "/v1/rules")).json["warnings"][0]
            await client.post("/v1/items", {"items": [{"item": "119", "metadata": {"category": "sale"}}]})
            found = await client.post("/v1/recommend", ASK)
            assert (found["items"][0]["item"], found["items"][0]["rule"]) == ("119", "sale")
            assert (await client("GET", "/v1/rules")).json["warnings"] == []

        with_service(models, tmp_path, work, rules=file)

    def test_new_items_get_scores(self, models: dict[str, Path], tmp_path: Path) -> None:
        new = [
            {"item": "900", "name": "New thing", "metadata": {"category": "shop 1"}},
            {"item": "901", "metadata": {"category": "elsewhere"}},
            {"item": "text", "metadata": {"category": "shop 1"}},
        ]
        loaded = segue.load(models["als"])
        table = {"item": [900, 901], "category": ["shop 1", "elsewhere"]}
        expected = loaded.add_items(table, by="category").recommend([104], k=32)

        async def work(client: Client) -> None:
            answer = await client.post("/v1/items", {"items": new, "by": ["category"]})
            assert [one["status"] for one in answer["results"]] == ["added", "added", "refused"]
            assert "learns no embeddings" in answer["results"][0]["missing"]["markov"]
            assert "whole numbers as ids" in answer["results"][2]["detail"]
            await check(client)
            refused = await client.post("/v1/items", {"items": [{"item": "902"}], "by": ["colour"]})
            assert "als: by: must name metadata" in refused["results"][0]["detail"]
            assert len(client.app.service.models.merchandise.catalogue.entries) == 2

        async def check(client: Client) -> None:
            found = await client.post("/v1/recommend", {"items": ["104"], "k": 32})
            assert ids(found) == [str(item) for item in expected.items]
            assert [one["score"] for one in found["items"]] == pytest.approx(expected.scores)
            cold = {one["item"]: (one["name"], one["cold"]) for one in found["items"] if "cold" in one}
            assert cold == {"900": ("New thing", "similar items"), "901": ("901", "fallback")}
            read = await client.post("/v1/recommend", {"items": ["900"], "k": 3, "model": "gru4rec"})
            assert (read["fallback"], read["ignored"]) == (None, [])
            carried = {"session_id": "s", "append": [{"item": "900"}], "k": 32, "model": "gru4rec"}
            assert "901" in ids(await client.post("/v1/recommend", carried))
            problem(await client("GET", "/v1/items/900?model=markov"), 404, "not-found")

        with_service(models, tmp_path, work)
        with_service(models, tmp_path, check)

    def test_mistakes_of_a_request(self, models: dict[str, Path], tmp_path: Path) -> None:
        async def work(client: Client) -> None:
            assert "/items" in pointers(await client("POST", "/v1/items", {"items": []}))
            assert "/items" in pointers(await client("POST", "/v1/items", {"items": [{"item": 1}] * 1001}))
            assert "/bye" in pointers(await client("POST", "/v1/items", {"items": [{"item": 1}], "bye": []}))
            answer = await client.post("/v1/items", {"items": [{"item": "104", "metadata": {"category": {}}}]})
            assert answer["results"][0]["errors"][0]["pointer"] == "/items/0/metadata/category"

        with_service(models, tmp_path, work)

    def test_other_processes_read_the_file(self, models: dict[str, Path], tmp_path: Path) -> None:
        async def work(client: Client) -> None:
            other = await serving(models, memory_store(), tmp_path)
            await client.post("/v1/items", {"items": [{"item": "104", "available": False}]})
            await other.post("/v1/items", {"items": [{"item": "105", "available": False}]})  # It reads the file first.
            refresh(client)
            for one in (client, other):
                assert len(ids(await one.post("/v1/recommend", ASK))) == 28
            (tmp_path / FILE).write_text("{", encoding="utf-8")
            refresh(client)
            assert len(ids(await client.post("/v1/recommend", ASK))) == 28
            assert FILE in (await client("GET", "/health/ready")).json["problems"][0]
            refused = await client("POST", "/v1/items", {"items": [{"item": "104", "available": True}]})
            problem(refused, 503, "catalogue-unavailable")

        with_service(models, tmp_path, work)


def test_as_users_start_it(models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path]) -> None:
    file = rules("- {name: gone, block: true, items: ['105']}\n")
    with Process(tmp_path, [models["markov"]], "--rules", str(file)) as process:

        def listed() -> list[str]:
            return ids(process.post("/v1/recommend", ASK)[1])

        assert "105" not in listed()
        rules("- {name: gone, block: true, items: ['106']}\n")
        process.wait_until(lambda: "106" not in listed() and "105" in listed(), 30)
        rules("- {name: gone, block: true, item: ['107']}\n")
        process.process.send_signal(signal.SIGHUP)
        process.wait_until(lambda: process.get("/health/ready")[1]["problems"], 30)
        assert "106" not in listed()
        status, _ = process.post("/v1/items", {"items": [{"item": "110", "available": False}]})
        assert (status, "110" in listed()) == (200, False)
        os.kill(process.worker, signal.SIGKILL)
        rules("- {name: gone, block: true, items: ['106']}\n")
        process.wait_until(lambda: process.get("/health/ready")[0] == 200)
        assert not {"106", "110"} & set(listed())


def test_rules_that_make_a_model_slow_take_it_off_the_event_loop(
    models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(self: Listing, *given: Any) -> Any:
        time.sleep(0.2)
        return ranked(self, *given)

    monkeypatch.setattr("segue.serving.served_model.INLINE_SECONDS", 0.1)  # A busy machine is no slow model.

    async def work(client: Client) -> None:
        assert client.app.service is not None
        name = "markov"
        assert client.app.service.models.ranker(name).served.inline
        rules("- {name: a, boost: 2, items: [101]}")
        assert not refresh(client, force=True).ranker(name).served.inline
        rules("  []")
        assert refresh(client, force=True).ranker(name).served.inline

    ranked = Listing.rank
    monkeypatch.setattr(Listing, "rank", slow)
    with_service({"markov": models["markov"]}, tmp_path, work, rules=rules("  []"))


class TestFailures:
    """What fails half-way leaves models as they were, and is made up for at the next look at the files."""

    def test_a_refused_change_leaves_an_added_item(self, models: dict[str, Path], tmp_path: Path) -> None:
        async def work(client: Client) -> None:
            new = {"item": "9001", "metadata": {"category": "shop 1"}}
            await client.post("/v1/items", {"items": [new], "by": ["category"]})
            wrong = await client.post("/v1/items", {"items": [new], "by": ["nothing"]})
            assert wrong["refused"] == 1
            assert "9001" in ids(await client.post("/v1/recommend", {**ASK, "k": 100}))

        with_service({"als": models["als"]}, tmp_path, work)

    def test_rules_that_could_not_be_applied_are_applied_later(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*given: Any) -> float:
            raise MemoryError

        async def work(client: Client) -> None:
            rules("- {name: gone, block: true, items: ['105']}\n")
            monkeypatch.setattr(models_module, "_warm_up", fail)
            with pytest.raises(MemoryError):
                refresh(client)
            monkeypatch.undo()
            refresh(client)
            assert "105" not in ids(await client.post("/v1/recommend", ASK))

        with_service({"markov": models["markov"]}, tmp_path, work, rules=rules("  []"))

    def test_a_full_disk_does_not_hide_the_change_of_another_process(
        self, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*given: Any) -> None:
            raise StorageError("the disk is full")

        async def work(client: Client) -> None:
            Catalogue(tmp_path).write({"105": Entry(available=False)})
            monkeypatch.setattr(Catalogue, "write", fail)
            problem(await client("POST", "/v1/items", {"items": [{"item": "104"}]}), 503, "catalogue-unavailable")
            monkeypatch.undo()
            refresh(client)
            assert "105" not in ids(await client.post("/v1/recommend", ASK))

        with_service({"markov": models["markov"]}, tmp_path, work)

    def test_a_model_that_fails_under_the_rules_is_not_switched_to(
        self, models: dict[str, Path], tmp_path: Path, rules: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        warm_up = models_module._warm_up

        def fail(served: Any, *given: Any) -> float:
            if served.listing is not None:
                raise ArtifactError("the scores are not finite")
            return warm_up(served, *given)

        async def work(client: Client) -> None:
            assert client.app.service is not None
            before = client.app.service.models.ranker(None).served.model
            monkeypatch.setattr(models_module, "_warm_up", fail)
            problem(await client("POST", "/v1/models/markov/reload"), 409, "reload-refused")
            monkeypatch.undo()
            rules("- {name: gone, block: true, items: ['105']}\n")
            assert refresh(client).ranker(None).served.model is before

        with_service(
            {"markov": models["markov"]},
            tmp_path,
            work,
            rules=rules("- {name: gone, block: true, items: ['106']}\n"),
        )


def test_types_of_columns_are_described_in_words() -> None:
    words = {pl.Int64: "a whole number", pl.Float64: "a number", pl.Boolean: "true or false", pl.String: "text"}
    assert {kind: described(kind()) for kind in words} == words
