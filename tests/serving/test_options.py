"""The options of `segue serve`: each also as a variable; the files in deploy/ use options that exist."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from typer.testing import CliRunner

from segue.cli.main import app
from segue.cli.serve import serve
from segue.errors import ArtifactError, ParameterError
from segue.serving import supervisor
from segue.serving.folders import find_models, runs_beside_models
from segue.serving.settings import ServeSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
OPTIONS = {
    name: get_args(hint)[1] for name, hint in get_type_hints(serve, include_extras=True).items() if name != "return"
}
FLAGS = {f"--{name.replace('_', '-')}" for name in OPTIONS} | {"--no-journal", "--no-page"}
VALUES = {
    "model": "markov", "host": "127.0.0.1", "port": "0", "store": "memory", "cors_origin": "https://a.example https://b.example:8443",
    "session_minutes": "20", "retention_days": "7", "journal": "false", "journal_seconds": "5", "max_in_flight": "9",
    "deadline": "0.5", "drain": "2", "access_log": "1", "workers": "1", "page": "false", "search": "auto",
}  # fmt: skip


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServeSettings]:
    """Return a function from words and variables to the settings that a worker would get."""
    found: list[ServeSettings] = []
    monkeypatch.setattr(
        supervisor.Supervisor, "run", lambda self: found.append(self._settings) or self._socket.close() or 0
    )

    def start(*words: str, **variables: str) -> ServeSettings:
        outcome = CliRunner().invoke(app, ["serve", *words], env=variables)
        assert outcome.exit_code == 0, outcome.output
        return found.pop()

    return start


def test_every_option_is_a_variable(artifact: Callable[..., Path], settings: Any, tmp_path: Path) -> None:
    names = {"folders": "SEGUE_MODELS", "tokens": "SEGUE_TOKENS_FILE"}
    for name, option in OPTIONS.items():
        assert option.envvar == names.get(name, f"SEGUE_{name.upper()}")
        assert option.help
    assert set(VALUES) | {"folders", "tokens", "rules", "state", "experiment", "update_every"} == set(OPTIONS)
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("read 0123456789abcdef", encoding="utf-8")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []", encoding="utf-8")
    given = {f"SEGUE_{name.upper()}": value for name, value in VALUES.items()}
    models = f"{artifact('popularity')}:{artifact('markov')}"
    state = tmp_path / "state"
    found = settings(
        **given, SEGUE_MODELS=models, SEGUE_TOKENS_FILE=str(tokens), SEGUE_STATE=str(state), SEGUE_RULES=str(rules)
    )
    assert found == ServeSettings(
        models={"popularity": artifact("popularity"), "markov": artifact("markov")}, default="markov", state=state,
        store="memory", host="127.0.0.1", port=0, workers=1, tokens=tokens, rules=rules,
        cors_origin=("https://a.example", "https://b.example:8443"), session_minutes=20, retention_days=7,
        journal_seconds=5, journal=False, max_in_flight=9, deadline=0.5, drain=2, access_log=True, page=False,
        search="auto",
    )  # fmt: skip
    assert ServeSettings.model_validate_json(found.model_dump_json()) == found


def test_the_file_of_an_experiment(artifact: Callable[..., Path], settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    arms = "{a: {model: popularity}, b: {model: markov}}"
    file.write_text(f"experiment: {{name: test, arms: {arms}}}", encoding="utf-8")
    words = [str(artifact(name)) for name in ("popularity", "markov")]
    state = ["--state", str(tmp_path / "state"), "--port", "0"]
    assert settings(*words, *state, SEGUE_EXPERIMENT=str(file)).experiment == file
    for more, message in (
        (["--no-journal", words[1]], "--experiment: needs the journal, which segue experiment reads"),
        ([], "line 1: experiment.arms.b.model: must be a model in service (popularity), got 'markov'"),
    ):
        outcome = CliRunner().invoke(app, ["serve", words[0], *more, *state, "--experiment", str(file)])
        assert isinstance(outcome.exception, ParameterError)
        assert message in str(outcome.exception)


def test_what_a_search_chose_is_the_default_of_its_folder(
    artifact: Callable[..., Path], settings: Any, tmp_path: Path
) -> None:
    search, state = tmp_path / "search", ["--state", str(tmp_path / "state"), "--port", "0"]
    for name in ("popularity", "markov"):
        shutil.copytree(artifact(name), search / name)
    (other,) = {"popularity", "markov"} - {settings(str(search), *state).default}
    (search / "best.json").write_text(json.dumps({"chosen": other}), encoding="utf-8")
    assert settings(str(search), *state).default == other
    first = str(artifact("item-knn"))
    assert settings(first, str(search), *state).default == "item-knn"
    (search / "best.json").write_text("{", encoding="utf-8")
    assert settings(str(search), *state).default != other


def test_the_command_line_is_stronger(artifact: Callable[..., Path], settings: Any, tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    found = settings(str(artifact("popularity")), *state, "--port", "0", "--deadline", "3", SEGUE_DEADLINE="2")
    assert (found.deadline, found.journal) == (3, True)


@pytest.mark.parametrize(
    "words", [["--deadline", "0"], ["--deadline", "nan"], ["--deadline", "inf"], ["--retention-days", "-1"],
              ["--session-minutes", "inf"], ["--port", "65536"], ["--workers", "0"], ["--host", "no such host"]]
)  # fmt: skip
def test_values_out_of_bounds(artifact: Callable[..., Path], settings: Any, tmp_path: Path, words: list[str]) -> None:
    state = ["--state", str(tmp_path / "state")]
    outcome = CliRunner().invoke(app, ["serve", str(artifact("popularity")), *state, "--port", "0", *words])
    assert outcome.exit_code == 2 or isinstance(outcome.exception, ValueError), outcome.output


def flags(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


class TestDeploy:
    def test_compose(self) -> None:
        content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
        service = content["services"]["segue"]
        assert flags(service["command"]) <= FLAGS
        assert service["read_only"] is True
        assert service["ports"] == ["127.0.0.1:8000:8000"]
        assert set(content["volumes"]) | {"../models"} >= {one.split(":")[0] for one in service["volumes"]}
        assert set(service["secrets"]) <= set(content["secrets"])
        assert int(service["stop_grace_period"].rstrip("s")) > 10

    def test_kubernetes(self) -> None:
        deployment, service = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert flags(container["args"]) <= FLAGS
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
        drain = float(container["args"][container["args"].index("--drain") + 1])
        assert pod["terminationGracePeriodSeconds"] > drain + 10
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
        assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
        assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["containerPort"]

    def test_systemd(self) -> None:
        text = (DEPLOY / "segue.service").read_text(encoding="utf-8")
        start = re.search(r"^ExecStart=(.*)$", text, re.M)
        assert start
        assert flags(shlex.split(start[1])) <= FLAGS
        variables = set(re.findall(r"SEGUE_\w+", text))
        assert variables <= {option.envvar for option in OPTIONS.values()}
        if (verify := shutil.which("systemd-analyze")) is not None:
            checked = subprocess.run(
                [verify, "verify", DEPLOY / "segue.service"], capture_output=True, text=True, check=False
            )
            complaints = [line for line in checked.stderr.splitlines() if "segue.service" in line]
            assert [one for one in complaints if "is not executable" not in one and "man page" not in one] == []

    def test_docker(self) -> None:
        text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
        assert set(re.findall(r"SEGUE_\w+", text)) <= {option.envvar for option in OPTIONS.values()}
        assert re.search(r"^USER [0-9]+$", text, re.M)
        assert 'ENTRYPOINT ["segue", "serve"]' in text


class TestFolders:
    def test_of_several_the_first_is_the_default(self, artifact: Callable[..., Path], tmp_path: Path) -> None:
        shutil.copytree(artifact("markov"), tmp_path / "run" / "markov")
        shutil.copytree(artifact("popularity"), tmp_path / "run" / "popularity")
        one = artifact("v-sknn")
        assert list(find_models([one, tmp_path / "run", one])) == ["v-sknn", "markov", "popularity"]
        with pytest.raises(ParameterError, match="is called like"):
            find_models([tmp_path / "run", artifact("markov")])

    @pytest.mark.parametrize(("metric", "best"), [("mrr@20", "popularity"), ("gini@20", "markov")])
    def test_the_best_model_of_a_run_is_first(
        self, metric: str, best: str, artifact: Callable[..., Path], tmp_path: Path
    ) -> None:
        for name, value in {"markov": 0.1, "popularity": 0.2}.items():
            manifest = shutil.copytree(artifact(name), tmp_path / name) / "manifest.json"
            about = json.loads(manifest.read_text(encoding="utf-8"))
            about["about"]["protocol"] = {"ranking": {"metrics": [metric]}}
            about["about"]["result"] = {"metrics": {metric: value}}
            manifest.write_text(json.dumps(about), encoding="utf-8")
        shutil.copytree(artifact("v-sknn"), tmp_path / "a-model-without-result")
        other = {"markov", "popularity"} - {best}
        assert list(find_models([tmp_path])) == [best, *other, "a-model-without-result"]

    def test_runs_beside_a_model(self, artifact: Callable[..., Path], tmp_path: Path) -> None:
        shutil.copytree(artifact("markov"), tmp_path / "model")
        shutil.copytree(artifact("markov"), tmp_path / "run" / "markov")
        assert runs_beside_models([tmp_path]) == [tmp_path / "run"]
        assert runs_beside_models([tmp_path / "run", tmp_path / "model"]) == []

    def test_what_is_no_model_is_said(self, artifact: Callable[..., Path], tmp_path: Path) -> None:
        shutil.copytree(artifact("markov"), tmp_path / "runs" / "first" / "markov")
        (tmp_path / "empty").mkdir()
        (tmp_path / "log.csv").write_text("session,item\n", encoding="utf-8")
        for name, says in {
            "nothing": "does not exist",
            "log.csv": "is a file",
            "empty": "is neither a model nor a run",
            "runs": f"holds runs, and no models; name one of them, such as {tmp_path / 'runs' / 'first'}",
        }.items():
            with pytest.raises(ArtifactError, match=re.escape(says)):
                find_models([tmp_path / name])
