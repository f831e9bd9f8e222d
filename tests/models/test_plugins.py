"""Models of other packages: found by name, imported on demand, and harmless to others when they are broken."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chains import blocks

import segue
from segue.errors import PluginError, UnknownNameError
from segue.models import registry
from segue.models.popularity import Popularity
from segue.models.two_stage import TwoStage

_MODEL = 'from segue.models.popularity import Popularity\nclass Best(Popularity):\n    """Bests."""\n    name = "{}"\n'


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, code: str, *entries: str) -> None:
        """Write a package of one module and the metadata that an installer leaves."""
        (self.folder / f"{package}.py").write_text(code, encoding="utf-8")
        about = self.folder / f"{package}-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
        lines = "\n".join(f"{entry} = {package}:Best" for entry in entries)
        (about / "entry_points.txt").write_text(f"[segue.models]\n{lines}\n", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_model_of_another_package_is_imported_when_it_is_asked_for(site: Site, tmp_path: Path) -> None:
    site.install("fine_models", _MODEL.format("best"), "best")
    assert registry.model_names() == [*registry.BUILT_IN, "best"]
    with pytest.raises(UnknownNameError, match="did you mean 'best'"):
        registry.model_class("bets")
    assert "fine_models" not in sys.modules
    best = registry.model_class("best")
    assert best.__module__ == "fine_models"
    assert registry.model_classes()[-1] is best
    folder = best().fit(blocks().train).save(tmp_path / "model")
    assert type(segue.load(folder)) is best
    assert type(TwoStage(retriever="best", ranker="markov").retriever) is best


def test_the_model_in_the_docs_is_complete(site: Site, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recommending.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "(segue.Model)" in block)
    site.install("trending_models", f"{code}\n\nBest = Trending\n", "trending")
    task = blocks(n_sessions=20)
    model = registry.model_class("trending")(decay=0.5).fit(task.train)
    ages = range(len(task.train.items))[::-1]
    for item in (1, len(task.train.vocabulary)):
        weight = sum(0.5**age for age, other in zip(ages, task.train.items, strict=True) if other == item)
        assert model.score(task.cases.prefixes)[:, item].tolist() == pytest.approx([weight] * len(task.cases))
    again = segue.load(model.save(tmp_path / "model"))
    assert segue.measure(again, task.cases).metrics == segue.measure(model, task.cases).metrics
    assert len(again.recommend([101], k=2).items) == 2


BROKEN = {
    "its module fails": (
        "import no_such_module",
        "cannot be imported (ModuleNotFoundError: No module named 'no_such_module'); repair or uninstall the package",
    ),
    "its module breaks off": ("1 / 0", "cannot be imported (ZeroDivisionError: division by zero)"),
    "it has no such class": ("", "cannot be imported (AttributeError: module 'broken_models' has no attribute 'Best')"),
    "it is no class": ("Best = 3", "must be a subclass of segue.Model that implements its methods, got 3"),
    "it is another class": ("class Best: pass", "must be a subclass of segue.Model that implements its methods, got "),
    "it is abstract": (
        "from segue import Model as Best",
        "must be a subclass of segue.Model that implements its methods",
    ),
    "it declares too little": (
        "from segue import Model, Popularity as P\nclass Best(Model):\n    name = 'best'\n    _score = _fit = P._fit",
        "must declare paper, Config",
    ),
    "it has another name": (_MODEL.format("worst"), "must be named as its entry point, 'best', got name = 'worst'"),
}


@pytest.mark.parametrize(("code", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_an_error_for_whom_asks_for_it_alone(site: Site, code: str, why: str) -> None:
    site.install("broken_models", code, "best")
    site.install("fine_models", _MODEL.format("good"), "good")
    assert registry.model_class("popularity") is Popularity
    assert registry.model_class("good").name == "good"
    with pytest.raises(PluginError) as caught:
        registry.model_class("best")
    message = str(caught.value)
    assert message.startswith("model 'best' (broken_models:Best) of package broken_models 1.2: ")
    assert why in message
    with pytest.warns(RuntimeWarning) as warned:
        models = registry.model_classes()
    assert [str(one.message) for one in warned] == [message]
    assert [model.name for model in models] == [*registry.BUILT_IN, "good"]


def test_the_cause_is_kept(site: Site) -> None:
    site.install("broken_models", "1 / 0", "best")
    with pytest.raises(PluginError) as caught:
        registry.model_class("best")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_name_of_segue_means_the_model_of_segue(site: Site) -> None:
    site.install("impostors", _MODEL.format("popularity"), "popularity", "two-stage")
    assert registry.model_class("popularity") is Popularity
    assert registry.model_names() == list(registry.BUILT_IN)
    models, faults = registry.usable_models()
    assert Popularity in models
    assert faults == [
        f"model '{name}' (impostors:Best) of package impostors 1.2: is ignored, because segue has a model of this "
        "name; rename it"
        for name in ("popularity", "two-stage")
    ]
    assert "impostors" not in sys.modules


def test_a_name_that_two_packages_bring_is_ambiguous(site: Site) -> None:
    for package in ("first_models", "second_models"):
        site.install(package, _MODEL.format("best"), "best")
    with pytest.raises(PluginError) as caught:
        registry.model_class("best")
    assert all(f"of package {package} 1.2" in str(caught.value) for package in ("first_models", "second_models"))
    assert str(caught.value).endswith("have the same name; uninstall all packages but one")
    assert "first_models" not in sys.modules
