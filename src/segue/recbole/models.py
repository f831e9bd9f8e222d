"""RecBole's models: which model here is the counterpart of each, and where its parameters go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from segue.errors import UnknownNameError
from segue.models.registry import model_names

Kind = Literal["general", "sequential"]
"""General models are tested by user, with all held-out items at once; sequential ones event by event."""


@dataclass(frozen=True)
class Counterpart:
    """A model of RecBole, and the one here.

    Attributes:
        recbole: its name there.
        segue: its name here.
        kind: how RecBole tests it.
        trained: which parameters its training section has.
        parameters: parameter here, RecBole's default, by RecBole's setting; several parameters for a list of values.
        loss: RecBole's default of loss_type.
        only: settings that have one value alone here.
        fixed: parameters that make it RecBole's model.
        unheard: why single settings are not honoured.
        differs: what else a reader should know.
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
            "learning_rate": "bpr climbs by plain stochastic gradient descent, whose steps are larger than Adam's",
            "train_batch_size": "bpr learns from one triple at a time",
            "weight_decay": "bpr has a penalty of its own: bpr.regularization",
            "eval_step": "bpr stops by its train_auc",
            "stopping_step": "bpr stops by its train_auc",
        },
        loss="BPR",
        differs="users are known by their items alone, those of validation too, and have no factors of their own; "
        "items have biases; training ends when its own triples are learnt, not by validation, and no later than after "
        "`epochs`",
    ),
    Counterpart("Pop", "popularity", "general", "not"),
    Counterpart(
        "ItemKNN",
        "item-knn",
        "general",
        "not",
        {"k": ("n_neighbours", 100), "shrink": ("damping", 0.0)},
        only={"knn_method": "item"},
        differs="it looks up the last item of a user, where RecBole adds up what all of them say",
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
        differs="RecBole's follows Tan et al. 2016, as improved-gru4rec does, and not Hidasi et al. 2016",
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
        differs="training goes over windows of events and not over every prefix, which batch_size counts; RecBole "
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
        "FPMC",
        "fpmc",
        "sequential",
        parameters={**_LENGTH, "embedding_size": ("embedding_size", 64)},
        loss="BPR",
        fixed={"user": True, "training": {"positions": "last"}},
    ),
)
"""Those that have one."""

_STRANGERS: Mapping[str, Kind] = {"als": "general"}
"""How a model that RecBole does not have is tested; sequential if it is not named here."""


def counterpart(name: str) -> Counterpart:
    """Return what is known of a model by its name in RecBole or here.

    Raises:
        UnknownNameError: neither knows it.
    """
    for one in COUNTERPARTS:
        if name in (one.recbole, one.segue):
            return one
    here = model_names()
    if name not in here:
        raise UnknownNameError("model", name, [*(one.recbole for one in COUNTERPARTS), *here])
    return Counterpart("", name, _STRANGERS.get(name, "sequential"), "not")
