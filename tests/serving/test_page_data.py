"""The page without a browser: its files, its policy, who may see what, and the figures it shows."""

import asyncio
import gc
import json
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from live import Answer, Client, memory_store, problem, run
from prometheus_client import Counter

import segue.serving.page.live as live_module
import segue.serving.telemetry as telemetry_module
from segue.artifact import Artifact
from segue.embeddings.components import principal_components
from segue.embeddings.vectors import ItemVectors, nearest_neighbours
from segue.models.blend import Blend
from segue.models.registry import restore
from segue.models.two_stage import TwoStage
from segue.serving.catalogue.catalogue import Entry
from segue.serving.catalogue.overlay import Overlay
from segue.serving.http.access import Tokens
from segue.serving.http.app import App
from segue.serving.models import ModelSet, load_model
from segue.serving.page import Page
from segue.serving.page.maps import Maps, _titled, principal_plane
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.telemetry import Recent, Telemetry

PAGE = Path(live_module.__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
DATA = ["runs.json", "live.json", "map.json", "map.bin", "colours.bin?column=popularity", "items.json?rows=0"]
TOKEN = "read-0123456789abcdef"


@pytest.fixture
def ask(run_folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that asks the page of a service for some paths."""

    def answers(*paths: Any, models: dict[str, Path] | None = None, tokens: Tokens | None = None, **more: Any) -> Any:
        async def work() -> list[Answer]:
            folders = models or {name: run_folder / name for name in ("gru4rec", "markov")}
            settings = ServeSettings(models=folders, default=next(iter(folders)), state=tmp_path, deadline=60.0)
            telemetry = Telemetry()
            page = Page(settings, telemetry)
            app = App(settings, telemetry, tokens or Tokens({}), page.operations)
            found = ModelSet(folders, settings.default, ThreadPoolExecutor(1), telemetry)
            for name in folders:
                found.load(name)
            store = memory_store()
            await store.open()
            app.service = Service(found, store, telemetry)
            if "before" in more:
                more["before"](telemetry)
            app.service.experiments = more.get("experiments")
            client = Client(app)
            return [await client(*one) if isinstance(one, tuple) else await client("GET", one) for one in paths]

        found = run(work())
        return found[0] if len(found) == 1 else found

    return answers


def files_of(index: Answer) -> list[str]:
    return re.findall(r'(?:src|href)="(/page/static/[^"]+)"', index.body.decode())


class TestFiles:
    def test_the_page_and_its_policy(self, ask: Callable[..., Any]) -> None:
        index = ask("/")
        assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert index.headers["content-security-policy"] == POLICY
        assert index.headers["cache-control"] == "no-store"
        text = index.body.decode()
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)
        assert "http" not in re.sub(r'"/[^"]*"', "", text)

    def test_every_file_is_kept_under_its_version(self, ask: Callable[..., Any]) -> None:
        index = ask("/")
        named = files_of(index)
        assert len(named) == 7
        folder = named[0].rpartition("/")[0]
        scripts = [f"{folder}/{file.name}" for file in PAGE.glob("static/*.js")]
        for path, answer in zip([*named, *scripts], ask(*named, *scripts), strict=True):
            assert answer.status == 200, path
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-security-policy"] == POLICY
            kind = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
            assert answer.headers["content-type"] == kind[path.rpartition(".")[2]]

    def test_no_path_leads_elsewhere(self, ask: Callable[..., Any]) -> None:
        folder = files_of(ask("/"))[0].rpartition("/")[0]
        wrong = [
            "../live.py",
            "..%2Flive.py",
            "%2e%2e%2flive.py",
            "live.py",
            "index.html",
            "uPlot.LICENSE",
            "README.md",
        ]
        wrong += ["%2Fetc%2Fpasswd", "static%2Fapp.js", "..", "%00", "app.js%00"]
        for answer in ask(*(f"{folder}/{name}" for name in wrong), "/page/static/0123456789ab/app.js"):
            assert answer.status in (404, 422)
            assert "json" in answer.headers["content-type"]

    def test_scripts_need_nothing_that_the_policy_forbids(self) -> None:
        for file in [*PAGE.glob("static/*.js"), *PAGE.glob("vendor/*.js")]:
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text), file.name
            for name in re.findall(r'(?:^import .* from |import\()"\./([^"]+)"', text, re.MULTILINE):
                assert (PAGE / "static" / name).is_file(), (file.name, name)
            addresses = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org", "https://github.com"}
            assert not addresses, file.name
        for file in [*PAGE.glob("static/*.css"), *PAGE.glob("vendor/*.css")]:
            assert not re.search(r"url\(|@import", file.read_text(encoding="utf-8")), file.name

    def test_files_stay_small(self) -> None:
        assert all(len(file.read_text(encoding="utf-8").splitlines()) <= 300 for file in PAGE.glob("static/*"))
        assert sum(file.stat().st_size for file in PAGE.rglob("*.*") if file.suffix in (".js", ".css")) < 250_000


class TestAccess:
    def test_data_need_a_token_and_files_do_not(self, ask: Callable[..., Any]) -> None:
        tokens = Tokens({TOKEN: frozenset({"read"}), TOKEN[::-1]: frozenset({"admin"})})
        files = files_of(ask("/"))
        assert {one.status for one in ask("/", *files, tokens=tokens)} == {200}
        paths = [f"/page/{name}" for name in DATA]
        for answer in ask(*paths, tokens=tokens):
            problem(answer, 401, "unauthorized")
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert {one.status for one in ask(*(("GET", path, None, bearer) for path in paths), tokens=tokens)} == {200}
        other = {"authorization": f"Bearer {TOKEN[::-1]}"}
        assert {one.status for one in ask(*(("GET", path, None, other) for path in paths), tokens=tokens)} == {403}

    def test_only_this_machine_without_tokens(self, ask: Callable[..., Any]) -> None:
        for answer in ask(*(("GET", path, None, {"host": "shop.example"}) for path in ("/", "/page/runs.json"))):
            problem(answer, 403, "forbidden")

    def test_the_page_is_not_described(self, ask: Callable[..., Any]) -> None:
        assert not [
            path for path in ask("/openapi.json").json["paths"] if not re.match("/(v1|health|metrics|open)", path)
        ]

    def test_other_methods(self, ask: Callable[..., Any]) -> None:
        posted, head = ask(("POST", "/"), ("HEAD", "/"))
        assert (posted.status, head.status, head.body) == (405, 200, b"")

    def test_without_the_page(self, markov: dict[str, Path], call: Callable[..., Any]) -> None:
        """An app without further operations, as ``--no-page`` makes it, has none of the paths."""
        for answer in call("/", *(f"/page/{name}" for name in DATA)):
            problem(answer, 404, "not-found")

    def test_no_page_is_an_option(self) -> None:
        worker = "from segue.serving.worker import Worker; from segue.serving.settings import ServeSettings as S\n"
        code = worker + (
            "import tempfile, sys\n"
            "for page in (True, False):\n"
            "    state = tempfile.mkdtemp()\n"
            "    made = Worker(S(models={}, default='m', state=state, page=page), None)\n"
            "    print(len(made.app._routes._by_path), made.telemetry.recent is not None)\n"
            "heavy = ['segue.experiment', 'segue.embeddings', 'jinja2', 'segue.evaluation.linter']\n"
            "print([name for name in heavy if name in sys.modules])\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        (with_page, recent), (without, none), loaded = (line.split(" ", 1) for line in done.stdout.splitlines())
        assert int(with_page) - int(without) == 9
        assert (recent, none, loaded) == ("True", "False", ["[]"])


class TestRuns:
    def test_what_a_run_shows(self, ask: Callable[..., Any], run_folder: Path) -> None:
        answer = ask("/page/runs.json").json
        (found,) = answer["runs"]
        results = json.loads((run_folder / "results.json").read_text(encoding="utf-8"))
        assert (answer["alone"], found["folder"], found["problem"]) == ([], "first", None)
        assert found["hash"] == results["protocol"]["hash"]
        assert found["headline"] == results["protocol"]["headline"]
        assert found["settings"]["cleaning.min_support"] == json.dumps(results["protocol"]["cleaning"]["min_support"])
        for shown, row in zip(found["models"], results["models"], strict=True):
            assert (shown["metrics"], shown["confidence"]) == (row["metrics"], row["confidence"])
        network = next(row for row in found["models"] if row["label"] == "gru4rec")
        assert network["config"]["training.epochs"] == "3"
        (training,) = found["trainings"]
        (curve,) = (row["curve"] for row in results["models"] if row["label"] == "gru4rec")
        assert (training["label"], training["metric"]) == ("gru4rec", network["config"]["training.metric"])
        assert training["epochs"] == [{name: one[name] for name in ("epoch", "loss", "validation")} for one in curve]
        assert len(curve) == 3
        assert found["data"]["distributions"]["timeline"]["parts"].keys() == {"train", "valid", "test"}

    def test_its_findings_are_those_of_the_report(
        self, ask: Callable[..., Any], run_folder: Path, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(run_folder, copy)
        results = json.loads((copy / "results.json").read_text(encoding="utf-8"))
        results["findings"] = [
            {"code": code, "severity": severity, "subject": "gru4rec", "message": "worse"}
            for code, severity in (("order-in-list", "note"), ("loses-to-baseline", "warning"), ("ties", "warning"))
        ]
        (copy / "results.json").write_text(json.dumps(results), encoding="utf-8")
        (found,) = ask("/page/runs.json", models={"markov": copy / "markov"}).json["runs"]
        assert [one["code"] for one in found["findings"]] == ["ties", "order-in-list"]
        assert found["verdicts"] == results["verdicts"]

    def test_changed_results_are_read_again(self, ask: Callable[..., Any], run_folder: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(run_folder, copy)
        models = {"markov": copy / "markov"}
        seen = []

        def change(_: Telemetry) -> None:
            results = json.loads((copy / "results.json").read_text(encoding="utf-8"))
            results["seed"] = 5
            (copy / "results.json").write_text(json.dumps(results), encoding="utf-8")

        seen.append(ask("/page/runs.json", models=models).json["runs"][0]["seed"])
        seen.append(ask("/page/runs.json", models=models, before=change).json["runs"][0]["seed"])
        assert seen == [0, 5]
        (copy / "results.json").write_text("{", encoding="utf-8")
        broken = ask("/page/runs.json", models=models).json["runs"][0]
        assert broken["problem"].startswith("results.json: is not a results file of segue, or is damaged")
        assert str(tmp_path) not in json.dumps(broken)

    def test_single_models(self, ask: Callable[..., Any], popular: Path) -> None:
        assert ask("/page/runs.json", models={"popular": popular}).json == {"runs": [], "alone": ["popular"]}


class TestLive:
    def test_figures_worked_by_hand(self, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten requests in the last two seconds of a minute, 1 to 10 ms long; one of them an error, one refused."""
        now = [1000.5]
        monkeypatch.setattr(live_module.time, "monotonic", lambda: now[0])

        def before(telemetry: Telemetry) -> None:
            for number in range(1, 11):
                now[0] = 1100.1 + 0.1 * number
                telemetry.request("/v1/recommend", {3: 500, 4: 422}.get(number, 200), number / 1000)
                telemetry.request("/page/live.json", 200, 5.0)
            telemetry.ranked("markov", "empty-session", 0)
            telemetry.ranked("markov", "unknown-items", 1)
            telemetry.ranked("markov", None, 1)
            arms = Counter("segue_exposures", "", ("experiment", "arm"), registry=telemetry.registry)
            arms.labels("new", "b").inc(3)
            now[0] = 1102.0

        found = ask("/page/live.json", before=before).json
        assert found["minute"] == {
            "requests": 10, "rate": round(10 / 60, 3), "errors": 1, "refused": 1, "p50": 5.0, "p90": 9.0, "p99": 10.0
        }  # fmt: skip
        series = found["series"]
        assert [len(values) for values in series.values()] == [150] * 5
        assert (series["rate"][-1], series["errors"][-1], series["p50"][-1]) == (5.0, 0.5, 5.0)
        assert (series["rate"][-2], series["p99"][-2]) == (0.0, None)
        markov = next(one for one in found["models"] if one["name"] == "markov")
        assert (markov["answers"], markov["fallbacks"], markov["unknown_items"]) == (3, 1, 2)
        assert found["arms"] == [{"experiment": "new", "arm": "b", "exposures_total": 3.0}]
        assert found["store"] == {"kind": "sqlite", "problem": None, "warning": None, "lag": 0.0}

    def test_arms_of_an_experiment(self, ask: Callable[..., Any]) -> None:
        arms = {"control": SimpleNamespace(model="markov"), "new": SimpleNamespace(model="gru4rec")}
        experiment = SimpleNamespace(name="home", arms=arms)
        split = SimpleNamespace(experiment=experiment, shares={"control": 0.75, "new": 0.25})
        found = ask("/page/live.json", experiments=SimpleNamespace(split=split, problem="line 3")).json
        assert found["arms"] == [
            {"experiment": "home", "arm": "control", "model": "markov", "share": 0.75},
            {"experiment": "home", "arm": "new", "model": "gru4rec", "share": 0.25},
        ]
        assert found["experiment_problem"] == "line 3"

    def test_requests_that_are_forgotten_are_no_standstill(
        self, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two requests a second for two minutes, of which the last 32 are kept."""
        now = [1000.0]
        monkeypatch.setattr(live_module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(Recent, "SIZE", 32)

        def before(telemetry: Telemetry) -> None:
            telemetry.recent = Recent()
            for number in range(240):
                now[0] = 1000.0 + number / 2
                telemetry.request("/v1/recommend", 200, 0.001)
            now[0] = 1120.0

        found = ask("/page/live.json", before=before).json
        assert found["series"]["rate"][-9:] == [None, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
        assert found["series"]["errors"][:142] == [None] * 142
        assert (found["minute"]["requests"], found["minute"]["rate"]) == (32, 2.0)

    def test_the_ring_keeps_the_last_requests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr(telemetry_module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(Recent, "SIZE", 8)
        recent = Recent()
        for number in range(11):
            now[0] = float(number)
            recent.add(200 + number, number / 10)
        times, seconds, status = recent.since(5.0)
        assert times.tolist() == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
        assert seconds.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
        assert status.tolist() == [205, 206, 207, 208, 209, 210]
        assert recent.since(0.0)[0].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]


class TestMap:
    def test_the_plane_is_that_of_the_principal_components(self) -> None:
        vectors = np.random.default_rng(1).standard_normal((200, 6)).astype(np.float32) * np.arange(
            1, 7, dtype=np.float32
        )
        points = ItemVectors(vectors, pl.DataFrame({"item": range(200), "support": range(200)}))
        plane, shares = principal_plane(vectors)
        known = principal_components(points)
        np.testing.assert_allclose(np.abs(plane), np.abs(known.points), atol=1e-3)
        np.testing.assert_allclose(shares, known.shares[:2], atol=1e-6)

    def test_equal_vectors_and_a_single_dimension(self) -> None:
        assert principal_plane(np.ones((5, 3), dtype=np.float32)) == (pytest.approx(np.zeros((5, 2))), [0.0, 0.0])
        plane, shares = principal_plane(np.arange(4, dtype=np.float32)[:, None])
        assert (plane[:, 0].tolist(), plane[:, 1].tolist(), shares) == ([-1.5, -0.5, 0.5, 1.5], [0.0] * 4, [1.0])

    def test_items_of_a_model(self, ask: Callable[..., Any], run_folder: Path) -> None:
        about, places, codes, listed, searched = ask(
            "/page/map.json", "/page/map.bin", "/page/colours.bin?column=category", "/page/items.json?rows=0,1",
            "/page/items.json?search=thing+12",
        )  # fmt: skip
        model = restore(Artifact.read(run_folder / "gru4rec"), run_folder / "gru4rec")
        order = model.vocabulary.order.items[::-1]
        count = len(order)
        assert (about.json["items"], about.json["total"], about.json["problem"]) == (count, count, None)
        assert about.json["vectors_of"] is None
        values = np.frombuffer(places.body, "<f4").reshape(2, count).T
        assert np.abs(values).max() == pytest.approx(1.0)
        vectors = model.item_vectors()[order]
        plane, shares = principal_plane(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        assert about.json["shares"] == pytest.approx(shares)
        spread = np.linalg.norm(values[:, None] - values[None], axis=2)
        expected = np.linalg.norm(plane[:, None] - plane[None], axis=2)
        np.testing.assert_allclose(spread * expected.max() / spread.max(), expected, atol=1e-4)
        ids = [model.vocabulary.raw_ids[index] for index in order]
        assert [one["item"] for one in listed.json["items"]] == [str(one) for one in ids[:2]]
        assert listed.json["items"][0]["support"] == model.vocabulary.support[order[0]]
        assert {one["name"] for one in searched.json["items"]} <= {f"Thing {item}" for item in range(120, 130)}
        (category,) = [one for one in about.json["columns"] if one["name"] == "category"]
        names = {entry["code"]: entry["name"] for entry in category["categories"]}
        table = dict(zip(model.vocabulary.ids.to_list(), model.vocabulary.table["category"].to_list(), strict=True))
        assert [names[code] for code in codes.body] == [table[item] for item in ids]
        near = ask(f"/page/neighbours.json?row={count - 1}").json
        points = ItemVectors(vectors, pl.DataFrame({"item": ids, "support": range(count)}))
        naive = nearest_neighbours(points, 10).rows[count - 1].tolist()
        assert [one["row"] for one in near["neighbours"]] == naive

    def test_the_map_of_a_blend_names_the_model_whose_vectors_it_shows(
        self, ask: Callable[..., Any], run_folder: Path, tmp_path: Path
    ) -> None:
        markov, network = (
            restore(Artifact.read(run_folder / name), run_folder / name) for name in ("markov", "gru4rec")
        )
        Blend.of([markov, network], weights={"markov": 0.5, "gru4rec": 0.5}).save(tmp_path / "blend")
        models = {"blend": tmp_path / "blend", "gru4rec": run_folder / "gru4rec"}
        blend, own = ask("/page/map.json", "/page/map.json?model=gru4rec", models=models)
        assert (blend.json["vectors_of"], own.json["vectors_of"]) == ("gru4rec", None)
        assert blend.json["shares"] == own.json["shares"]
        pair = TwoStage(retriever="bpr", ranker="sasrec")
        assert [_titled(pair, name) for name in pair.parts] == ["retriever, bpr", "ranker, sasrec"]

    def test_a_map_follows_the_catalogue_and_the_model(self, run_folder: Path) -> None:
        maps, base = Maps(), load_model("gru4rec", run_folder / "gru4rec")
        before = maps.of(base)
        item = before.items([0], "")["items"][0]["item"]
        after = maps.of(Overlay(base).apply({item: Entry(name="Renamed")}))
        assert (after is before, after.items([0], "")["items"][0]["name"]) == (True, "Renamed")
        assert maps.of(replace(base, name="other")).describe()["model"] == "other"
        again = load_model("gru4rec", run_folder / "gru4rec")
        assert maps.of(again).served is again
        assert maps.of(again) is not before

    def test_a_replaced_model_is_not_kept_alive(self, run_folder: Path, tmp_path: Path) -> None:
        folders = {"gru4rec": run_folder / "gru4rec"}
        telemetry = Telemetry()
        settings = ServeSettings(models=folders, default="gru4rec", state=tmp_path)
        page = Page(settings, telemetry)
        models = ModelSet(folders, "gru4rec", ThreadPoolExecutor(1), telemetry)
        models.load("gru4rec")
        models.replaced = page.replaced
        before = weakref.ref(models.ranker(None).served.model)
        call: Any = SimpleNamespace(service=SimpleNamespace(models=models), query={})
        run(page._map(call))
        models.load("gru4rec")
        page._map_pool.submit(gc.collect).result()
        assert before() is None

    def test_files_do_not_wait_for_a_map(self, run_folder: Path, tmp_path: Path) -> None:
        page = Page(ServeSettings(models={}, default="", state=tmp_path), Telemetry())
        done = threading.Event()
        page._map_pool.submit(done.wait, 30)
        call: Any = SimpleNamespace()

        async def index() -> int:
            return (await asyncio.wait_for(page._index(call), 10)).status

        assert run(index()) == 200
        done.set()

    def test_levels_of_popularity(self, ask: Callable[..., Any]) -> None:
        levels = list(ask("/page/colours.bin?column=popularity").body)
        assert levels == sorted(levels)
        assert (levels[0], levels[-1]) == (0, 252)

    def test_a_model_without_vectors(self, ask: Callable[..., Any]) -> None:
        about, places = ask("/page/map.json?model=markov", "/page/map.bin?model=markov")
        assert "has no item vectors" in about.json["problem"]
        problem(places, 404, "not-found")

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("map.json?model=none", 404),
            ("colours.bin?column=size", 422),
            ("colours.bin", 422),
            ("items.json?rows=0,x", 422),
            ("items.json?rows=999999", 422),
            ("items.json?rows=" + ",".join(["1"] * 201), 422),
            ("neighbours.json?row=-1", 422),
            ("neighbours.json?row=99999999999999999", 422),
            ("neighbours.json", 422),
            ("map.json?colour=red", 422),
        ],
    )
    def test_wrong_requests(self, path: str, status: int, ask: Callable[..., Any]) -> None:
        assert ask(f"/page/{path}").status == status
