"""The models that are made of no other model: name -> class."""

from functools import cache
from importlib.metadata import entry_points

from segue.errors import UnknownNameError
from segue.models.als import ALS
from segue.models.attention_clustering import AttentionClustering
from segue.models.base import Model
from segue.models.bert4rec import BERT4Rec
from segue.models.bpr import BPR
from segue.models.esasrec import ESASRec
from segue.models.fmlp_rec import FMLPRec
from segue.models.fpmc import FPMC
from segue.models.gru4rec import GRU4Rec
from segue.models.gsasrec import GSASRec
from segue.models.hstu import HSTU
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.item_knn import ItemKNN
from segue.models.markov import Markov
from segue.models.narm import NARM
from segue.models.popularity import Popularity
from segue.models.sasrec import SASRec
from segue.models.sequential_rules import SequentialRules
from segue.models.session_popularity import SessionPopularity
from segue.models.sr_gnn import SRGNN
from segue.models.stamp import STAMP
from segue.models.stan import STAN
from segue.models.v_sknn import VSKNN
from segue.models.vstan import VSTAN

SINGLE: tuple[type[Model], ...] = (
    Popularity,
    SessionPopularity,
    Markov,
    SequentialRules,
    ItemKNN,
    VSKNN,
    STAN,
    VSTAN,
    ALS,
    BPR,
    FPMC,
    GRU4Rec,
    ImprovedGRU4Rec,
    NARM,
    STAMP,
    SRGNN,
    SASRec,
    BERT4Rec,
    FMLPRec,
    AttentionClustering,
    GSASRec,
    ESASRec,
    HSTU,
)
"""Those of this package, in the order of its documentation."""


@cache
def single_models() -> dict[str, type[Model]]:
    """Return them by name, with those that other packages add through the entry point group ``segue.models``."""
    foreign = [entry.load() for entry in entry_points(group="segue.models")]
    return {model.name: model for model in (*foreign, *SINGLE)}


def single_model(name: str) -> type[Model]:
    """Return the model of a name.

    Raises:
        UnknownNameError: there is none.
    """
    table = single_models()
    if name not in table:
        raise UnknownNameError("model", name, table)
    return table[name]
