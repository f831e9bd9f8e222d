"""Export to ONNX: equal in onnxruntime, refused where it cannot be, and nothing half-written."""

import copy
import json
import re
from pathlib import Path

import polars as pl
import pytest
import torch
from chains import Task, blocks

from segue.data.vocabulary import Vocabulary
from segue.errors import MissingExtraError, ParameterError, SegueError
from segue.models import export
from segue.models.base import Model
from segue.models.export import export_onnx
from segue.models.gru4rec import GRU4Rec
from segue.models.markov import Markov
from segue.models.registry import model_class
from segue.models.sasrec import SASRec
from small_models import parameters_of

DOCS = Path(__file__).parents[2] / "docs" / "production.md"
NETWORKS = [
    "improved-gru4rec", "narm", "stamp", "sr-gnn", "gce-gnn", "core", "bert4rec", "fmlp-rec", "attention-clustering",
    "gsasrec",
    "esasrec", "fpmc",
]  # fmt: skip


@pytest.fixture(scope="module")
def task() -> Task:
    return blocks(n_sessions=60)


@pytest.fixture(scope="module")
def sasrec(task: Task) -> Model:
    return SASRec(embedding_size=8, max_length=5, layers=1, training={"epochs": 1}).fit(task.train)


needs_onnx = pytest.mark.skipif(
    any(__import__("importlib.util").util.find_spec(name) is None for name in export.PACKAGES),
    reason="needs the extra 'onnx'",
)


@needs_onnx
def test_the_documented_program_recommends_what_segue_recommends(
    sasrec: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file has dynamic axes, and everything that the program needs."""
    (program,) = re.findall(r"```python\n(import json.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "top20.onnx"
    assert export_onnx(sasrec, file, top_k=6, version="sha256:12") < 1e-5
    assert [one.name for one in tmp_path.iterdir()] == ["top20.onnx"]
    monkeypatch.chdir(tmp_path)
    ids = sasrec.vocabulary.raw_ids
    for session in ([ids[3]], [ids[1], "unknown", ids[2], *[ids[4]] * 7]):
        names: dict[str, object] = {}
        exec(program.replace("[17, 204]", repr(session)), names)  # The text of our own docs.
        assert names["recommended"] == sasrec.recommend(session, 6).items
    facts = names["facts"]
    assert (facts["model"], facts["version"], facts["max_length"], facts["top_k"]) == ("sasrec", "sha256:12", 5, 6)


@needs_onnx
def test_what_the_model_cannot_read_is_dropped(sasrec: Model, tmp_path: Path) -> None:
    """Cold items without similar ones have no id in the file: a program drops them, as the model does."""
    table = sasrec.vocabulary.table.with_columns(group=pl.lit("known"))
    model = copy.copy(sasrec).restore(sasrec.arrays(), Vocabulary(table))
    model = model.add_items(pl.DataFrame({"item": [901, 902], "group": ["known", "new"]}), by="group")
    export_onnx(model, tmp_path / "m.onnx")
    onnx = pytest.importorskip("onnx")
    (entry,) = onnx.load(tmp_path / "m.onnx").metadata_props
    assert json.loads(entry.value)["ids"] == [None, *sasrec.vocabulary.raw_ids[1:], 901, None]
    with pytest.raises(ParameterError, match=r"--top-k: must be between 1 and the \d+ items that the model knows"):
        export_onnx(model, tmp_path / "m.onnx", top_k=len(model.vocabulary))


@needs_onnx
def test_a_network_with_other_scores_is_not_written(
    sasrec: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(sasrec), "_score", lambda self, prefixes: torch.ones(len(prefixes), len(self.vocabulary) + 1)
    )
    with pytest.raises(SegueError, match="the exported network gives other scores than sasrec: they differ by"):
        export_onnx(sasrec, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@needs_onnx
@pytest.mark.soak
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported(name: str, task: Task, tmp_path: Path) -> None:
    parameters = {**parameters_of(name), **({"user": False} if name == "fpmc" else {})}
    model = model_class(name)(**parameters).fit(task.train)
    assert export_onnx(model, tmp_path / "m.onnx") < 1e-5


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_a_recurrent_network_is_exported_after_another_trace(task: Task, tmp_path: Path) -> None:
    """Also with sessions of any length."""
    torch.export.export(torch.nn.GRU(2, 2).eval(), (torch.ones(3, 1, 2),))
    narm = model_class("narm")(**parameters_of("narm")).fit(task.train)
    assert export_onnx(narm, tmp_path / "m.onnx") < 1e-5


def test_other_models_are_refused(task: Task, tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    with pytest.raises(ParameterError, match=r"markov: cannot be exported to ONNX: it is no network; export one of"):
        export_onnx(Markov().fit(task.train), file)
    gru = GRU4Rec(hidden_size=4, training={"epochs": 1, "batch_size": 4}).fit(task.train)
    with pytest.raises(ParameterError, match=r"gru4rec: cannot be exported .* export improved-gru4rec instead"):
        export_onnx(gru, file)
    timed = model_class("hstu")(**parameters_of("hstu")).fit(task.train)
    with pytest.raises(ParameterError, match="hstu: cannot be exported to ONNX: it reads time besides the items"):
        export_onnx(timed, file)
    assert list(tmp_path.iterdir()) == []


def test_bad_input(sasrec: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in (0, 10_000):
        with pytest.raises(
            ParameterError, match=rf"--top-k: must be between 1 and the \d+ items that the model knows, got {k}"
        ):
            export_onnx(sasrec, tmp_path / "m.onnx", top_k=k)
    monkeypatch.setattr(export, "PACKAGES", ("no_such_package",))
    with pytest.raises(MissingExtraError, match=r"segue\[onnx\]"):
        export_onnx(sasrec, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
