"""The settings of RecBole 1.2.1: what becomes of each here. The table of docs/recbole.md is this one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from segue.errors import ParameterError
from segue.parameters import typed

Fate = Literal["honoured", "no effect", "not honoured"]


@dataclass(frozen=True)
class Setting:
    """A setting of RecBole.

    Attributes:
        name: as in its files; a setting of a section is written with a dot.
        default: RecBole's own, None where it has none or leaves it to each model.
        fate: what becomes of it.
        becomes: the parameters here, or why it has no effect or is not honoured.
    """

    name: str
    default: Any
    fate: Fate
    becomes: str


def _honoured(name: str, default: Any, becomes: str) -> Setting:
    return Setting(name, default, "honoured", becomes)


def _idle(reason: str, *names: str, **defaults: Any) -> Iterator[Setting]:
    yield from (Setting(name, defaults.get(name), "no effect", reason) for name in (*names, *defaults))


def _open(reason: str, *names: str, **defaults: Any) -> Iterator[Setting]:
    yield from (Setting(name, defaults.get(name), "not honoured", reason) for name in (*names, *defaults))


_ENVIRONMENT = (
    _honoured("model", None, "the model, unless `--model` names others"),
    _honoured("dataset", None, "the log `data_path/dataset/dataset.inter`, or the one of this name in `$SEGUE_DATA`"),
    _honoured("data_path", "dataset/", "see `dataset`"),
    _honoured("seed", 2020, "`seed`, `protocol.split.seed` and `protocol.ranking.seed`"),
    _honoured("use_gpu", True, "`device`: cpu if it is off"),
    _honoured("gpu_id", "0", "`device`: cpu if it is empty; the first device otherwise, unless `--device` names one"),
    _honoured(
        "enable_amp",
        False,
        "`precision`: bf16 (a CPU on which it is slower refuses it) or fp32, else auto",
    ),
    *_idle("every run on a CPU can be repeated; on a GPU, with `--deterministic`", reproducibility=True),
    *_idle("it changes no figure", worker=0, state="INFO", show_progress=True, loss_decimal_place=4),
    *_idle("it changes no figure", "enable_scaler", "nproc", "ip", "port", "world_size", "group_offset"),
    *_idle("a run writes one folder: `--out`", checkpoint_dir="saved", save_dataset=False, save_dataloaders=False),
    *_idle("logs are read from their files", "dataset_save_path", "dataloaders_save_path"),
    *_open("Weights & Biases is not written to", log_wandb=False, wandb_project="recbole"),
)

_DATA = (
    _honoured("USER_ID_FIELD", "user_id", "`columns.user`"),
    _honoured("ITEM_ID_FIELD", "item_id", "`columns.item`"),
    _honoured("TIME_FIELD", "timestamp", "`columns.time`, where order, filters or `load_col` ask for it"),
    _honoured("RATING_FIELD", "rating", "`columns.rating`, where filters, labels or `load_col` ask for it"),
    _honoured(
        "LABEL_FIELD", "label", "`columns.rating` and `protocol.cases.label`, with mode labeled and no threshold"
    ),
    _honoured(
        "threshold",
        None,
        "`protocol.cases.label_threshold` and, for its field, `protocol.cases.label`, with mode labeled alone",
    ),
    _honoured(
        "load_col",
        {"inter": ["user_id", "item_id"]},
        "which of the columns above are looked for; all others are read as well, and used by filters alone",
    ),
    _honoured("rm_dup_inter", None, "`protocol.cleaning.revisits`"),
    _honoured(
        "val_interval",
        None,
        "`protocol.cleaning.value_interval`, and `protocol.cleaning.value_among` for lists; columns of the log alone",
    ),
    _honoured("user_inter_num_interval", "[0,inf)", "`protocol.cleaning.session_interval`"),
    _honoured("item_inter_num_interval", "[0,inf)", "`protocol.cleaning.item_interval`"),
    _honoured("MAX_ITEM_LIST_LENGTH", 50, "`max_length` of sequential models"),
    _honoured("benchmark_filename", None, "`protocol.split=given`: files called train, valid and test, or the like"),
    _honoured("field_separator", "\t", "must be a tab"),
    _honoured("seq_separator", " ", "must be a blank"),
    _honoured("encoding", "utf-8", "must be utf-8"),
    *_idle("sequences have no fields with names of their own", ITEM_LIST_LENGTH_FIELD="item_length"),
    *_idle("sequences have no fields with names of their own", LIST_SUFFIX="_list", POSITION_FIELD="position_id"),
    *_idle("negatives have no fields with names of their own", NEG_PREFIX="neg_"),
    *_idle("columns that nothing asks for are not used", "unload_col", "unused_col"),
    *_idle(
        "models of knowledge graphs alone read it",
        *("HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD", "kg_reverse_r"),
        *("entity_kg_num_interval", "relation_kg_num_interval", "alias_of_entity_id", "alias_of_relation_id"),
    ),
    *_idle("no model that is translated reads features", "normalize_field", "normalize_all", "discretization"),
    *_idle("no model that is translated reads features", "seq_len", "numerical_features", "additional_feat_suffix"),
    *_open("items and users have one column of ids each", "alias_of_user_id", "alias_of_item_id"),
    *_open("embeddings start at random", "preload_weight"),
    *_open(
        "events stay whether or not the tables of items and users hold them; it matters where `load_col` loads those",
        filter_inter_by_user_or_item=True,
    ),
)

_TRAINING = (
    _honoured("epochs", 300, "`training.epochs`"),
    _honoured("train_batch_size", 2048, "`training.batch_size`: prefixes per step"),
    _honoured("learner", "adam", "`training.optimizer`: adam and adamw are adamw, adagrad is adagrad"),
    _honoured("learning_rate", 0.001, "`training.learning_rate`"),
    _honoured("weight_decay", 0.0, "`training.weight_decay`, which does not go through the gradient as with adam"),
    _honoured("clip_grad_norm", None, "`training.clip_norm`: its max_norm"),
    _honoured("eval_step", 1, "`training.patience` = (stopping_step + 1) x eval_step; every epoch is validated"),
    _honoured("stopping_step", 10, "see `eval_step`"),
    _honoured("loss_type", None, "`training.loss`: CE is cross-entropy, BPR is bpr"),
    _honoured(
        "train_neg_sample_args.distribution",
        "uniform",
        "`training.loss.alpha`: 0 if uniform; of bpr `training.alpha`, and the next ones likewise",
    ),
    _honoured(
        "train_neg_sample_args.sample_num", 1, "`training.loss.n_samples`, drawn for each target (`targets_per_draw=1`)"
    ),
    _honoured("train_neg_sample_args.alpha", 1.0, "`training.loss.alpha`, if the distribution is popularity"),
    _honoured("train_neg_sample_args.dynamic", False, "`training.loss.candidate_num` counts only if it is on"),
    _honoured("train_neg_sample_args.candidate_num", 0, "`training.loss.candidate_num`"),
    *_open("the order of each epoch is shuffled", shuffle=True),
    *_open("it was replaced by train_neg_sample_args", "neg_sampling", "training_neg_sample_num"),
    *_open("losses have no penalty of their own: weight_decay is there", require_pow=False, reg_weight=None),
)

_EVALUATION = (
    _honoured(
        "eval_args.split",
        {"RS": [0.8, 0.1, 0.1]},
        "`protocol.split`: RS is event-ratio with `ratios`, LS is last-event with `leave`, TS is global-time with "
        "`test_share` and `valid_share`; sequential models have LS by default",
    ),
    _honoured("eval_args.group_by", "user", "`protocol.split.group_by`"),
    _honoured(
        "eval_args.order", "RO", "`protocol.split.order`: RO is random, TO is time, as sequential models must have it"
    ),
    _honoured("eval_args.mode", "full", "`protocol.ranking.candidates`; that of the test, if it is a mapping"),
    _honoured(
        "repeatable", False, "`protocol.cases.exclude_seen`, which is off if it is on, and for sequential models"
    ),
    _honoured(
        "metrics", ["Recall", "MRR", "NDCG", "Hit", "Precision"], "`protocol.ranking.metrics`, each with each of topk"
    ),
    _honoured("topk", [10], "see `metrics`"),
    _honoured("valid_metric", "MRR@10", "`protocol.valid_metric` and `training.metric`"),
    _honoured("metric_decimal_place", 4, "`protocol.decimals`"),
    *_idle("cases are scored in chunks that change no figure", eval_batch_size=4096),
    *_idle("it follows from the metric, as in RecBole", valid_metric_bigger=True),
    *_open("the tail is the tenth of the items with the fewest events", tail_ratio=0.1),
)

_OF_MODELS = (
    _honoured("embedding_size", None, "`embedding_size`"),
    _honoured("hidden_size", None, "`hidden_size`; of sasrec and bert4rec `embedding_size`"),
    _honoured("inner_size", None, "`inner_size`"),
    _honoured("n_layers", None, "`layers`"),
    _honoured("num_layers", None, "`layers`"),
    _honoured("n_heads", None, "`heads`"),
    _honoured("hidden_act", None, "`activation`"),
    _honoured("dropout_prob", None, "`dropout`"),
    _honoured("dropout_probs", None, "`dropout_embedding` and `dropout_context`"),
    _honoured("hidden_dropout_prob", None, "`dropout`"),
    _honoured("attn_dropout_prob", None, "`attention_dropout`"),
    _honoured("layer_norm_eps", None, "`layer_norm_eps`"),
    _honoured("initializer_range", None, "`initializer_range`"),
    _honoured("mask_ratio", None, "`training.mask_ratio`"),
    _honoured("ft_ratio", None, "`training.last_ratio`"),
    _honoured("step", None, "`steps`"),
    _honoured("k", None, "`n_neighbours`"),
    _honoured("shrink", None, "`damping`"),
    _honoured("knn_method", None, "item is all there is"),
    *_idle("it is part of bert4rec", "transform"),
)

GROUPS: Mapping[str, tuple[Setting, ...]] = {
    "Environment": _ENVIRONMENT,
    "Data": _DATA,
    "Training": _TRAINING,
    "Evaluation": _EVALUATION,
    "Models": _OF_MODELS,
}
"""All settings, by the heading under which they are documented."""

SETTINGS: Mapping[str, Setting] = {one.name: one for group in GROUPS.values() for one in group}
"""All settings by name."""

SECTIONS = tuple(dict.fromkeys(name.partition(".")[0] for name in SETTINGS if "." in name))
"""Settings that hold settings."""


class Given:
    """The settings of a configuration. It notes which of them were asked for, so that no other one goes unsaid.

    Args:
        values: settings by name, as the files hold them.

    Raises:
        ParameterError: a section is no section.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if name not in SECTIONS}
        self._taken: set[str] = set()
        self.sections = {name: values[name] for name in SECTIONS if name in values}
        for name in self._values:
            section, dot, key = name.partition(".")
            if dot and section in SECTIONS:
                raise ParameterError(
                    f"{name}: must stand inside of {section}, where RecBole reads it: "
                    f"{section}: {{{key}: {typed(values[name])}}}"
                )
        for name, section in self.sections.items():
            if isinstance(section, Mapping):
                self._values |= {f"{name}.{key}": value for key, value in section.items()}
            elif section not in (None, "None") or name == "eval_args":
                raise ParameterError(f"{name}: must contain names and values, got {typed(section)}")

    def has(self, name: str) -> bool:
        """Tell whether the files hold a setting."""
        return name in self._values

    def take(self, name: str, default: Any = None) -> Any:
        """Return a setting: the value of the files, else ``default``, else RecBole's own."""
        self._taken.add(name)
        if name in self._values:
            return self._values[name]
        return SETTINGS[name].default if default is None else default

    def left(self) -> dict[str, Any]:
        """Return the settings of the files that nothing asked for."""
        return {name: value for name, value in self._values.items() if name not in self._taken}
