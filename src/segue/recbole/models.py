"""RecBole's models: their counterparts in segue, and the mapping of their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from segue.errors import UnknownNameError
from segue.models.registry import model_names

Kind = Literal["general", "sequential"]
"""General models are tested once per user, with all held-out items at once; sequential models event by event."""


@dataclass(frozen=True)
class Counterpart:
    """A model of RecBole and its counterpart in segue.

    Attributes:
        recbole: name in RecBole.
        segue: name in segue.
        kind: how RecBole tests it.
        trained: kind of its training section.
        parameters: segue's parameter and RecBole's default, by RecBole's setting; several parameters for a list.
        loss: RecBole's default of loss_type.
        only: settings with only one possible value in segue.
        fixed: parameters that make the model equal to RecBole's.
        unheard: settings that are not honoured, with the reason.
        differs: other differences.
    """

    recbole: str
    segue: str
    kind: Kind
    trained: Literal["by prefix", "by triple", "not"] = "by prefix"
    parameters: Mapping[str, tuple[str | tuple[str, ...], Any]] = field(default_factory=dict)
    loss: Literal["CE", "BPR"] = "CE"
    only: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    unheard: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""


_LENGTH: dict[str, tuple[str | tuple[str, ...], Any]] = {"MAX_ITEM_LIST_LENGTH": ("max_length", 50)}
_TRANSFORMER: dict[str, tuple[str | tuple[str, ...], Any]] = {
    **_LENGTH,
    "n_layers": ("layers", 2),
    "n_heads": ("heads", 2),
    "hidden_size": ("embedding_size", 64),
    "inner_size": ("inner_size", 256),
    "hidden_act": ("activation", "gelu"),
    "layer_norm_eps": ("layer_norm_eps", 1e-12),
    "initializer_range": ("initializer_range", 0.02),
}
_EVERY_PREFIX = {"training": {"positions": "last", "schedule": "constant", "click_dropout": 0.0}}

COUNTERPARTS: Sequence[Counterpart] = (
    Counterpart(
        "BPR",
        "bpr",
        "general",
        "by triple",
        {"embedding_size": ("embedding_size", 64)},
        unheard={
            "learning_rate": "bpr uses plain stochastic gradient descent, whose steps are larger than Adam's",
            "train_batch_size": "bpr learns from one triple at a time",
            "weight_decay": "use bpr.regularization instead",
            "eval_step": "bpr stops by its train_auc",
            "stopping_step": "bpr stops by its train_auc",
        },
        loss="BPR",
        differs="users have no factors of their own; they are represented by their items, including validation items. "
        "Training stops by train_auc instead of validation, after at most `epochs`",
    ),
    Counterpart("Pop", "popularity", "general", "not"),
    Counterpart(
        "ItemKNN",
        "item-knn",
        "general",
        "not",
        {"k": ("n_neighbours", 100), "shrink": ("damping", 0.0)},
        only={"knn_method": "item"},
        differs="scores use only the last item of a user; RecBole sums over all items",
    ),
    Counterpart(
        "GRU4Rec",
        "improved-gru4rec",
        "sequential",
        parameters={
            **_LENGTH,
            "embedding_size": ("embedding_size", 64),
            "hidden_size": ("hidden_size", 128),
            "num_layers": ("layers", 1),
            "dropout_prob": ("dropout", 0.3),
        },
        fixed=_EVERY_PREFIX,
        differs="RecBole's GRU4Rec follows Tan et al. 2016, like improved-gru4rec, not Hidasi et al. 2016",
    ),
    Counterpart(
        "SASRec",
        "sasrec",
        "sequential",
        parameters={
            **_TRANSFORMER,
            "hidden_dropout_prob": ("dropout", 0.5),
            "attn_dropout_prob": ("attention_dropout", 0.5),
        },
        fixed={"norm_order": "post", "training": {"positions": "last"}},
        differs="RecBole normalises the input of the first block as well, and not the output of the last one",
    ),
    Counterpart(
        "BERT4Rec",
        "bert4rec",
        "sequential",
        parameters={
            **_TRANSFORMER,
            "hidden_dropout_prob": ("dropout", 0.2),
            "attn_dropout_prob": ("attention_dropout", 0.2),
            "mask_ratio": ("training.mask_ratio", 0.2),
            "ft_ratio": ("training.last_ratio", 0.5),
        },
        fixed={"norm_order": "post"},
        differs="training uses windows of events instead of every prefix; batch_size counts windows; RecBole "
        "normalises the input as well, and has a further layer and item biases at the output",
    ),
    Counterpart(
        "NARM",
        "narm",
        "sequential",
        parameters={
            **_LENGTH,
            "embedding_size": ("embedding_size", 64),
            "hidden_size": ("hidden_size", 128),
            "n_layers": ("layers", 1),
            "dropout_probs": (("dropout_embedding", "dropout_context"), [0.25, 0.5]),
        },
        fixed={"training": {"positions": "last"}},
    ),
    Counterpart(
        "STAMP",
        "stamp",
        "sequential",
        parameters={**_LENGTH, "embedding_size": ("embedding_size", 64)},
        fixed={"dropout": 0.0, "training": {"positions": "last"}},
    ),
    Counterpart(
        "SRGNN",
        "sr-gnn",
        "sequential",
        parameters={**_LENGTH, "embedding_size": ("embedding_size", 64), "step": ("steps", 1)},
        fixed={"dropout": 0.0},
    ),
    Counterpart(
        "CORE",
        "core",
        "sequential",
        parameters={
            **_LENGTH,
            "embedding_size": ("embedding_size", 64),
            "inner_size": ("inner_size", 256),
            "n_layers": ("layers", 2),
            "n_heads": ("heads", 2),
            "hidden_act": ("activation", "gelu"),
            "hidden_dropout_prob": ("dropout", 0.5),
            "attn_dropout_prob": ("attention_dropout", 0.5),
            "layer_norm_eps": ("layer_norm_eps", 1e-12),
            "dnn_type": ("variant", "trm"),
            "sess_dropout": ("session_dropout", 0.2),
            "item_dropout": ("item_dropout", 0.2),
            "temperature": ("temperature", 0.07),
        },
        fixed={"initializer_range": None, "training": {"positions": "last"}},
        unheard={"initializer_range": "RecBole's CORE ignores it, too"},
        differs="RecBole draws the initial weights of the layer normalisations at random and counts padding as an item",
    ),
    Counterpart(
        "FPMC",
        "fpmc",
        "sequential",
        parameters={**_LENGTH, "embedding_size": ("embedding_size", 64)},
        loss="BPR",
        fixed={"user": True, "training": {"positions": "last"}},
    ),
)
"""RecBole's models with a counterpart in segue."""

_STRANGERS: Mapping[str, Kind] = {"als": "general"}
"""How models without a counterpart in RecBole are tested; sequential if not listed."""


def counterpart(name: str) -> Counterpart:
    """Return the counterpart of a model, by its name in RecBole or segue.

    Raises:
        UnknownNameError: there is no such model in either.
    """
    for one in COUNTERPARTS:
        if name in (one.recbole, one.segue):
            return one
    here = model_names()
    if name not in here:
        raise UnknownNameError("model", name, [*(one.recbole for one in COUNTERPARTS), *here])
    return Counterpart("", name, _STRANGERS.get(name, "sequential"), "not")
