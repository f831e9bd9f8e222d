"""Requests of a service with an experiment: the arm that answers, what the journal keeps, and the file that decides."""

import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import segue
from live import NOW, Client, memory_store, pointers, run, serving
from processes import Process

from segue.errors import ParameterError
from segue.online.arms import Experiment, Split
from segue.serving.journal import Journal

FILE = """experiment:
  name: test
  unit: {unit}
  interleave: {interleave}
  arms:
    control: {{model: markov, weight: 1}}
    other: {{model: popular, weight: {weight}}}
"""
MODELS = {"control": "markov", "other": "popular"}


def written(folder: Path, unit: str = "session", interleave: str = "false", weight: float = 1) -> Path:
    file = folder / "experiment.yaml"
    file.write_text(FILE.format(unit=unit, interleave=interleave, weight=weight), encoding="utf-8")
    os.utime(file, ns=(written.count, written.count))  # Each time another time, on any file system.
    written.count += 10**9
    return file


written.count = 10**18


@pytest.fixture
def served(markov: dict[str, Path], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs a story with a service that keeps a journal, and returns the rows of the journal."""

    def start(story: Callable[[Client], Any], *, experiment: bool = True, **changes: Any) -> dict[str, Any]:
        async def work() -> None:
            file = written(tmp_path, **changes) if experiment else None
            store = memory_store(journal=Journal(tmp_path / "journal"))
            client = await serving(markov, store, tmp_path, experiment=file)
            await story(client)
            await store.close()

        run(work())
        folders = {kind: tmp_path / "journal" / kind for kind in ("events", "exposures", "seen")}
        return {kind: pl.read_parquet(path).to_dicts() for kind, path in folders.items() if path.is_dir()}

    return start


def split(unit: str = "session") -> Split:
    arms = {name: {"model": model} for name, model in MODELS.items()}
    return Split(Experiment(name="test", unit=unit, arms=arms))


class TestArms:
    def test_each_session_is_answered_by_its_arm(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            for number in range(40):
                ask = {"session_id": f"s{number}", "append": [{"item": "104"}], "k": 3}
                first, again = await client.post("/v1/recommend", ask), await client.post("/v1/recommend", ask)
                assert first["arm"] == again["arm"] == split().arm_of(f"s{number}")
                assert first["model"] == again["model"] == MODELS[first["arm"]]
            metrics = client.app.telemetry.text().decode()
            counts = re.findall(r'^segue_arm_answers_total{arm="(.*)",experiment="test"} (.*)$', metrics, re.MULTILINE)
            drawn = Counter(split().arm_of(f"s{number}") for number in range(40))
            assert {arm: float(count) for arm, count in counts} == {arm: 2.0 * drawn[arm] for arm in MODELS}

        rows = served(story)["exposures"]
        assert {row["arm"] for row in rows} == set(MODELS)
        for row in rows:
            assert (row["experiment"], row["unit"], row["user"]) == ("test", row["session"], None)
            assert (row["forced"], row["bot"], row["arms"]) == (False, False, None)
            assert json.loads(row["plan"]) == {
                "unit": "session",
                "interleave": False,
                "arms": {name: {"model": model, "share": 0.5} for name, model in MODELS.items()},
            }

    def test_requests_that_take_no_part(self, served: Callable[..., Any]) -> None:
        """Without a session there is nothing to draw an arm for; a named model is no random choice; bots are marked."""

        async def story(client: Client) -> None:
            for ask, model in (
                ({"items": ["104"]}, "markov"),
                ({"session_id": "s", "model": "popular"}, "popular"),
                ({"session_id": "s", "model": "markov", "bot": True}, "markov"),
            ):
                answer = await client.post("/v1/recommend", ask)
                assert (answer["arm"], answer["model"]) == (None, model)

        rows = served(story)["exposures"]
        assert [(row["arm"], row["forced"], row["bot"], row["unit"]) for row in rows] == [
            (None, False, False, None),
            (None, True, False, None),
            (None, True, True, None),
        ]
        assert {row["experiment"] for row in rows} == {"test"}

    def test_without_consent_there_is_no_arm(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            arms = set()
            for number in range(20):
                ask = {"session_id": f"nobody-{number}", "user_id": "u", "append": [{"item": "104"}], "consent": False}
                answer = await client.post("/v1/recommend", ask)
                arms.add((answer["arm"], answer["model"]))
            assert arms == {(None, "markov")}
            seen = {"recommendation_id": "r", "session_id": "nobody-1", "positions": [1], "consent": False}
            answer = await client.post("/v1/exposures", {"exposures": [seen]})
            assert answer["results"] == [{"status": "ignored", "detail": "without consent nothing is stored"}]

        assert served(story) == {}

    def test_without_an_experiment_nothing_changes(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            answer = await client.post("/v1/recommend", {"session_id": "s", "user_id": "u"})
            assert "arm" not in answer
            assert await client.post("/v1/exposures", {"exposures": [{"recommendation_id": "r", "session_id": "s",
                                                                      "items": []}]})  # fmt: skip
            assert (await client("GET", "/v1/experiments")).json == {"experiments": []}

        (row,) = served(story, experiment=False)["exposures"]
        assert (row["experiment"], row["plan"], row["user"], row["unit"]) == (None, None, None, None)

    def test_users(self, served: Callable[..., Any]) -> None:
        """All sessions of a user are in one arm, and of their id only a keyed hash is kept."""

        async def story(client: Client) -> None:
            for number in range(30):
                ask = {"session_id": f"s{number}", "user_id": f"person-{number % 10}"}
                assert (await client.post("/v1/recommend", ask))["arm"] == split("user").arm_of(f"person-{number % 10}")
            assert (await client.post("/v1/recommend", {"session_id": "s"}))["arm"] is None
            assert (await client.post("/v1/recommend", {"items": [], "user_id": 7}))["arm"] == split("user").arm_of("7")
            assert set(pointers(await client("POST", "/v1/recommend", {"items": [], "user_id": "é" * 200}))) == {
                "/user_id"
            }

        rows = served(story, unit="user")["exposures"]
        assert "person" not in str(rows)
        assert len({row["unit"] for row in rows[:30]}) == 10
        assert all(row["unit"] == row["user"] for row in rows)

    def test_an_arm_without_its_model_keeps_its_sessions(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            client.app.service.models._rankers.pop("popular")  # type: ignore[union-attr]
            answers = [await client.post("/v1/recommend", {"session_id": f"s{number}"}) for number in range(20)]
            assert {answer["arm"] for answer in answers} == set(MODELS)
            assert {answer["model"] for answer in answers} == {"markov"}

        served(story)

    def test_a_batch(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            asks = [{"session_id": f"s{number}"} for number in range(20)]
            found = (await client.post("/v1/recommend/batch", {"requests": asks}))["results"]
            assert [one["arm"] for one in found] == [split().arm_of(f"s{number}") for number in range(20)]

        served(story)


class TestInterleaving:
    def test_each_item_has_the_credit_of_its_arm(self, served: Callable[..., Any]) -> None:
        leaders = set()

        async def story(client: Client) -> None:
            for number in range(20):
                ask = {"session_id": f"s{number}", "append": [{"item": "104"}], "k": 6}
                answer = await client.post("/v1/recommend", ask)
                assert answer["arm"] is None
                credit = [one["arm"] for one in answer["items"]]
                assert len({one["item"] for one in answer["items"]}) == 6
                assert [set(credit[place : place + 2]) for place in (0, 2, 4)] == [set(MODELS)] * 3
                leaders.add(credit[0])
                for arm, model in MODELS.items():
                    alone = await client.post("/v1/recommend", {"session_id": f"s{number}", "k": 6, "model": model})
                    order = [one["item"] for one in alone["items"]]
                    of_arm = [order.index(one["item"]) for one in answer["items"] if one["arm"] == arm]
                    assert of_arm == sorted(of_arm)

        rows = [row for row in served(story, interleave="true")["exposures"] if not row["forced"]]
        assert leaders == set(MODELS)
        for row in rows:
            assert len(row["arms"]) == len(row["items"]) == len(row["scores"]) == 6
            assert (row["arm"], row["unit"]) == (None, row["session"])


class TestSeen:
    def test_results(self, served: Callable[..., Any]) -> None:
        one = {"recommendation_id": "r1", "session_id": "s", "items": [104, "105"], "time": "2026-05-04T09:30:00Z"}

        async def story(client: Client) -> None:
            other = {"recommendation_id": "r2", "session_id": None}
            wrong = [
                other,
                {"recommendation_id": "r2", "positions": [1]},
                {**one, "positions": [1]},
                {**one, "positions": [0], "items": None},
                {**one, "time": "now"},
            ]
            given = [one, *wrong, {**other, "positions": [1, 3], "time": NOW + 60}]
            answer = await client.post("/v1/exposures", {"exposures": given})
            assert (answer["accepted"], answer["refused"]) == (2, 5)
            errors = [[error["pointer"] for error in found.get("errors", [])] for found in answer["results"]]
            assert errors == [[], ["/exposures/1/items"], ["/exposures/2/session_id"], ["/exposures/3/items"],
                              ["/exposures/4/positions/0"], ["/exposures/5/time"], []]  # fmt: skip

        first, second = served(story)["seen"]
        assert (first["session"], first["items"], first["positions"]) == ("s", ["104", "105"], None)
        assert (second["session"], second["items"], second["positions"]) == (None, None, [1, 3])
        assert second["time"].timestamp() == NOW  # It was ahead of the clock.

    def test_a_deleted_session_is_refused_and_gone(self, served: Callable[..., Any]) -> None:
        async def story(client: Client) -> None:
            seen = [
                {"recommendation_id": f"r-{name}", "session_id": name, "positions": [1]} for name in ("gone", "stays")
            ]
            for name in ("gone", "stays"):
                await client.post("/v1/recommend", {"session_id": name, "append": [{"item": "104"}]})
            await client.post("/v1/exposures", {"exposures": seen})
            assert (await client("DELETE", "/v1/sessions/gone")).status == 204
            answer = await client.post("/v1/exposures", {"exposures": seen})
            assert [one["status"] for one in answer["results"]] == ["refused", "accepted"]
            assert answer["results"][0]["detail"].startswith("it is not stored: the session was deleted")

        found = served(story)
        assert {kind: {row["session"] for row in rows} for kind, rows in found.items()} == {
            "events": {"stays"},
            "exposures": {"stays"},
            "seen": {"stays"},
        }


class TestReport:
    def test_exposures_and_clicks_join_completely(self, served: Callable[..., Any], tmp_path: Path) -> None:
        """What the report counts is what the visitors saw and did, and what was deleted is not counted any more."""
        lists, hits, bought = Counter[str](), Counter[str](), Counter[str]()
        rng = random.Random(0)

        async def story(client: Client) -> None:
            for number in range(60):
                session = f"s{number}"
                for step in range(rng.randrange(1, 4)):
                    ask = {"session_id": session, "append": [{"item": "104", "time": NOW - 10 + step}], "k": 5}
                    answer = await client.post("/v1/recommend", ask)
                    lists[answer["arm"]] += 1
                    if rng.random() < 0.4:
                        hits[answer["arm"]] += 1
                        item = rng.choice(answer["items"])["item"]
                        click = {"session_id": session, "item": item, "recommendation_id": answer["recommendation_id"]}
                        await client.post("/v1/events", {"events": [click, click]})
                if number % 3 == 0:
                    order = {"session_id": session, "item": "104", "type": "purchase", "time": NOW + 1}
                    await client.post("/v1/events", {"events": [order]})
                    bought[answer["arm"]] += 1
            await client.post("/v1/recommend", {"session_id": "s1", "model": "popular"})
            assert (await client("DELETE", "/v1/sessions/deleted")).status == 204

        served(story)
        folder = tmp_path / "journal"
        shown = segue("experiment", str(folder), "--json")
        assert shown.code == 0, shown.err
        found = json.loads(shown.out)
        assert found["counts"]["events_naming_a_list"] == found["counts"]["clicks"] == 2 * hits.total()
        assert found["counts"]["of_a_known_list"] == 2 * hits.total()
        for arm in found["arms"]:
            name = arm["name"]
            assert arm["lists"] == lists[name]
            assert arm["units"] == sum(split().arm_of(f"s{number}") == name for number in range(60))
            assert arm["hit rate"]["value"] == pytest.approx(hits[name] / lists[name])
            assert arm["conversion rate"]["value"] == pytest.approx(bought[name] / arm["units"])
        assert found["left_out"] == ["1 lists of requests that named a model (forced)"]
        Journal(folder).delete([f"s{number}" for number in range(30)])
        left = json.loads(segue("experiment", str(folder), "--json").out)
        assert sum(arm["units"] for arm in left["arms"]) == 30
        assert left["warnings"] == found["warnings"] == []


class TestFile:
    def test_a_changed_file_is_taken_up_and_a_wrong_one_is_refused(self, served: Callable[..., Any], tmp_path) -> None:
        async def listed(client: Client) -> Any:
            return (await client("GET", "/v1/experiments")).json["experiments"][0]

        async def story(client: Client) -> None:
            experiments = client.app.service.experiments  # type: ignore[union-attr]
            assert await listed(client) == {
                "name": "test",
                "unit": "session",
                "interleave": False,
                "arms": [{"name": name, "model": model, "share": 0.5} for name, model in MODELS.items()],
                "problem": None,
            }
            before = experiments.split
            experiments.reload()
            assert experiments.split is before
            written(tmp_path, weight=3)
            experiments.reload()
            assert [arm["share"] for arm in (await listed(client))["arms"]] == [0.25, 0.75]
            written(tmp_path, weight=-1)
            experiments.reload()
            found = await listed(client)
            assert [arm["share"] for arm in found["arms"]] == [0.25, 0.75]
            assert "line 7: experiment.arms.other.weight: must be greater than or equal to 0" in found["problem"]
            ready = await client("GET", "/health/ready")
            assert ready.status == 200
            assert "the experiment before goes on" in ready.json["problems"][0]
            (tmp_path / "experiment.yaml").unlink()
            experiments.reload()
            assert "cannot be read" in (await listed(client))["problem"]
            written(tmp_path)
            experiments.reload()
            assert (await client("GET", "/health/ready")).json["problems"] == []

        served(story)

    def test_a_wrong_file_at_the_start(self, served: Callable[..., Any]) -> None:
        with pytest.raises(ParameterError, match=r"experiment\.yaml, line 3: experiment\.unit: must be"):
            served(lambda client: None, unit="visitor")

    @pytest.mark.skipif(sys.platform != "linux", reason="it starts a process as on Linux")
    def test_a_process_takes_up_a_changed_file(self, markov: dict[str, Path], tmp_path: Path) -> None:
        text = FILE.format(unit="session", interleave="false", weight=1).replace("popular,", "popularity,")
        file = tmp_path / "experiment.yaml"
        file.write_text(text, encoding="utf-8")
        with Process(tmp_path, list(markov.values()), "--experiment", str(file)) as process:

            def shares() -> list[float]:
                return [arm["share"] for arm in process.get("/v1/experiments")[1]["experiments"][0]["arms"]]

            assert shares() == [0.5, 0.5]
            file.write_text(text.replace("weight: 1}\n    other", "weight: 3}\n    other"), encoding="utf-8")
            process.wait_until(lambda: shares() == [0.75, 0.25], 10)
