"""segue: from a click log to live next-item recommendations.

    log = segue.read("clicks.csv")
    data = segue.prepare(log, "session-next")
    model = segue.GRU4Rec(hidden_size=128).fit(data.train, valid=data.valid)
    segue.evaluate(model, data).metrics["recall@20"]
    model.recommend([["a", "b"], ["c"]], k=10)
    model.save("gru4rec")
    segue.load("gru4rec")

A name is imported when it is first used, so that looking into a log does not wait for a deep learning library.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# By default an OpenMP thread burns its core for a millisecond while it waits for the others, and small steps wait
# often: where another process wants the core too, training takes ten times as long. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# By default, tensors the size of an embedding table are mapped anew in pages of 4 KiB in each step of a training, which
# can take as long as the computation. Linux has huge pages for that, as NumPy uses them. Read at the first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

logging.getLogger("segue").addHandler(logging.NullHandler())  # Messages are for who asks for them.

if TYPE_CHECKING:
    from segue.data.cases import Cases as Cases
    from segue.data.events import Events as Events
    from segue.data.readers.read import read as read
    from segue.data.sessions import Prefixes as Prefixes
    from segue.data.sessions import Sessions as Sessions
    from segue.data.vocabulary import Vocabulary as Vocabulary
    from segue.embeddings.plot import EmbeddingPlot as EmbeddingPlot
    from segue.embeddings.plot import plot as plot
    from segue.errors import SegueError as SegueError
    from segue.evaluation.linter import lint as lint
    from segue.evaluation.linter.checks import Finding as Finding
    from segue.evaluation.measure import evaluate as evaluate
    from segue.evaluation.measure import measure as measure
    from segue.evaluation.result import Evaluation as Evaluation
    from segue.experiment.comparison.compare import Comparison as Comparison
    from segue.experiment.comparison.compare import compare as compare
    from segue.experiment.config import RunConfig as RunConfig
    from segue.experiment.distillation import distill as distill
    from segue.experiment.production import fit as fit
    from segue.experiment.results import Results as Results
    from segue.experiment.run import run as run
    from segue.experiment.updating import update as update
    from segue.model_selection import BestConfig as BestConfig
    from segue.model_selection.select import best as best
    from segue.models.als import ALS as ALS
    from segue.models.attention_clustering import AttentionClustering as AttentionClustering
    from segue.models.base import Model as Model
    from segue.models.bert4rec import BERT4Rec as BERT4Rec
    from segue.models.blend import Blend as Blend
    from segue.models.bpr import BPR as BPR
    from segue.models.core import CORE as CORE
    from segue.models.esasrec import ESASRec as ESASRec
    from segue.models.fmlp_rec import FMLPRec as FMLPRec
    from segue.models.fpmc import FPMC as FPMC
    from segue.models.gce_gnn import GCEGNN as GCEGNN
    from segue.models.gru4rec import GRU4Rec as GRU4Rec
    from segue.models.gsasrec import GSASRec as GSASRec
    from segue.models.hstu import HSTU as HSTU
    from segue.models.improved_gru4rec import ImprovedGRU4Rec as ImprovedGRU4Rec
    from segue.models.item_knn import ItemKNN as ItemKNN
    from segue.models.markov import Markov as Markov
    from segue.models.narm import NARM as NARM
    from segue.models.popularity import Popularity as Popularity
    from segue.models.recommendation import Recommendation as Recommendation
    from segue.models.registry import load as load
    from segue.models.registry import model_class as model_class
    from segue.models.registry import model_classes as model_classes
    from segue.models.sasrec import SASRec as SASRec
    from segue.models.sequential_rules import SequentialRules as SequentialRules
    from segue.models.session_popularity import SessionPopularity as SessionPopularity
    from segue.models.sr_gnn import SRGNN as SRGNN
    from segue.models.stamp import STAMP as STAMP
    from segue.models.stan import STAN as STAN
    from segue.models.summary import summary as summary
    from segue.models.two_stage import TwoStage as TwoStage
    from segue.models.v_sknn import VSKNN as VSKNN
    from segue.models.vstan import VSTAN as VSTAN
    from segue.models.why.session import why as why
    from segue.protocols.dataset import Dataset as Dataset
    from segue.protocols.dataset import open_dataset as open_dataset
    from segue.protocols.prepare import prepare as prepare
    from segue.protocols.protocol import Protocol as Protocol
    from segue.protocols.ranking import Ranking as Ranking
    from segue.protocols.recent import prepare_history as prepare_history
    from segue.protocols.recent import prepare_recent as prepare_recent
    from segue.recbole import load_recbole as load_recbole
    from segue.training.config import Distillation as Distillation
    from segue.training.config import UpdatePlan as UpdatePlan
    from segue.training.runtime import Runtime as Runtime
    from segue.tuning import TuningConfig as TuningConfig
    from segue.tuning.tune import tune as tune
    from segue.version import __version__ as __version__

_HOMES = {
    "Events": "data.events",
    "read": "data.readers.read",
    "Cases": "data.cases",
    "Prefixes": "data.sessions",
    "Sessions": "data.sessions",
    "Vocabulary": "data.vocabulary",
    "SegueError": "errors",
    "evaluate": "evaluation.measure",
    "Finding": "evaluation.linter.checks",
    "lint": "evaluation.linter",
    "Evaluation": "evaluation.result",
    "measure": "evaluation.measure",
    "Dataset": "protocols.dataset",
    "open_dataset": "protocols.dataset",
    "prepare": "protocols.prepare",
    "prepare_history": "protocols.recent",
    "prepare_recent": "protocols.recent",
    "Protocol": "protocols.protocol",
    "Ranking": "protocols.ranking",
    "Distillation": "training.config",
    "UpdatePlan": "training.config",
    "Comparison": "experiment.comparison.compare",
    "compare": "experiment.comparison.compare",
    "distill": "experiment.distillation",
    "fit": "experiment.production",
    "load_recbole": "recbole",
    "RunConfig": "experiment.config",
    "Results": "experiment.results",
    "run": "experiment.run",
    "update": "experiment.updating",
    "EmbeddingPlot": "embeddings.plot",
    "plot": "embeddings.plot",
    "ALS": "models.als",
    "summary": "models.summary",
    "Model": "models.base",
    "Recommendation": "models.recommendation",
    "BERT4Rec": "models.bert4rec",
    "Blend": "models.blend",
    "BPR": "models.bpr",
    "CORE": "models.core",
    "load": "models.registry",
    "model_class": "models.registry",
    "model_classes": "models.registry",
    "ESASRec": "models.esasrec",
    "FPMC": "models.fpmc",
    "GCEGNN": "models.gce_gnn",
    "GRU4Rec": "models.gru4rec",
    "GSASRec": "models.gsasrec",
    "HSTU": "models.hstu",
    "AttentionClustering": "models.attention_clustering",
    "FMLPRec": "models.fmlp_rec",
    "ImprovedGRU4Rec": "models.improved_gru4rec",
    "ItemKNN": "models.item_knn",
    "Markov": "models.markov",
    "NARM": "models.narm",
    "Popularity": "models.popularity",
    "SASRec": "models.sasrec",
    "SequentialRules": "models.sequential_rules",
    "SessionPopularity": "models.session_popularity",
    "SRGNN": "models.sr_gnn",
    "STAMP": "models.stamp",
    "STAN": "models.stan",
    "TwoStage": "models.two_stage",
    "VSKNN": "models.v_sknn",
    "VSTAN": "models.vstan",
    "why": "models.why.session",
    "Runtime": "training.runtime",
    "BestConfig": "model_selection",
    "best": "model_selection.select",
    "TuningConfig": "tuning",
    "tune": "tuning.tune",
    "__version__": "version",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 (the table is the list)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segue' has no attribute '{name}'")
    return getattr(import_module(f"segue.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
