"""The settings of RecBole 1.2.1 and how segue handles each; docs/recbole.md is generated from these tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from segue.errors import ParameterError
from segue.parameters import typed
from segue.printable import short

Fate = Literal["honoured", "no effect", "not honoured"]


@dataclass(frozen=True)
class Setting:
    """A setting of RecBole.

    Attributes:
        name: its name in configuration files; settings of a section are written with a dot.
        default: RecBole's default; None without a default, or if it depends on the model.
        fate: whether segue honours it.
        becomes: the corresponding parameters of segue, or the reason why it has no effect or is not honoured.
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
    _honoured("model", None, "the model, unless `--model` names other models"),
    _honoured("dataset", None, "the log `data_path/dataset/dataset.inter`, or the log of this name in `$SEGUE_DATA`"),
    _honoured("data_path", "dataset/", "see `dataset`"),
    _honoured("seed", 2020, "`seed`, `protocol.split.seed` and `protocol.ranking.seed`"),
    _honoured("use_gpu", True, "`device`: cpu if use_gpu is false"),
    _honoured("gpu_id", "0", "`device`: cpu if it is empty, else the first device, unless `--device` names another"),
    _honoured(
        "enable_amp",
        False,
        "`precision`: bf16 if true (refused on a CPU where bf16 is slower), fp32 if false, auto if not set",
    ),
    *_idle("every run on a CPU can be repeated; on a GPU, with `--deterministic`", reproducibility=True),
    *_idle("it does not affect results", worker=0, state="INFO", show_progress=True, loss_decimal_place=4),
    *_idle("it does not affect results", "enable_scaler", "nproc", "ip", "port", "world_size", "group_offset"),
    *_idle("a run writes one folder: `--out`", checkpoint_dir="saved", save_dataset=False, save_dataloaders=False),
    *_idle("logs are read from their files", "dataset_save_path", "dataloaders_save_path"),
    *_open("Weights & Biases is not supported", log_wandb=False, wandb_project="recbole"),
)

_DATA = (
    _honoured("USER_ID_FIELD", "user_id", "`columns.user`"),
    _honoured("ITEM_ID_FIELD", "item_id", "`columns.item`"),
    _honoured("TIME_FIELD", "timestamp", "`columns.time`, if order, filters or `load_col` use it"),
    _honoured("RATING_FIELD", "rating", "`columns.rating`, if filters, labels or `load_col` use it"),
    _honoured(
        "LABEL_FIELD", "label", "`columns.rating` and `protocol.cases.label`, with mode labeled and no threshold"
    ),
    _honoured(
        "threshold",
        None,
        "`protocol.cases.label_threshold` and, for its field, `protocol.cases.label`; only with mode labeled",
    ),
    _honoured(
        "load_col",
        {"inter": ["user_id", "item_id"]},
        "selects the columns above; all other columns are also read, but used only by filters",
    ),
    _honoured("rm_dup_inter", None, "`protocol.cleaning.revisits`"),
    _honoured(
        "val_interval",
        None,
        "`protocol.cleaning.value_interval`, and `protocol.cleaning.value_among` for lists; only columns of the log",
    ),
    _honoured("user_inter_num_interval", "[0,inf)", "`protocol.cleaning.session_interval`"),
    _honoured("item_inter_num_interval", "[0,inf)", "`protocol.cleaning.item_interval`"),
    _honoured("MAX_ITEM_LIST_LENGTH", 50, "`max_length` of sequential models"),
    _honoured("benchmark_filename", None, "`protocol.split=given`: files named train, valid and test, or similar"),
    _honoured("field_separator", "\t", "must be a tab"),
    _honoured("seq_separator", " ", "must be a space"),
    _honoured("encoding", "utf-8", "must be utf-8"),
    *_idle("sequences have no named fields in segue", ITEM_LIST_LENGTH_FIELD="item_length"),
    *_idle("sequences have no named fields in segue", LIST_SUFFIX="_list", POSITION_FIELD="position_id"),
    *_idle("negatives have no named fields in segue", NEG_PREFIX="neg_"),
    *_idle("columns that are not needed are not used", "unload_col", "unused_col"),
    *_idle(
        "only knowledge-graph models use it",
        *("HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD", "kg_reverse_r"),
        *("entity_kg_num_interval", "relation_kg_num_interval", "alias_of_entity_id", "alias_of_relation_id"),
    ),
    *_idle("no supported model uses features", "normalize_field", "normalize_all", "discretization"),
    *_idle("no supported model uses features", "seq_len", "numerical_features", "additional_feat_suffix"),
    *_open("items and users have only one column of ids each", "alias_of_user_id", "alias_of_item_id"),
    *_open("embeddings are initialised at random", "preload_weight"),
    *_open(
        "events on items or users without metadata are kept; this matters only if `load_col` loads metadata",
        filter_inter_by_user_or_item=True,
    ),
)

_TRAINING = (
    _honoured("epochs", 300, "`training.epochs`"),
    _honoured("train_batch_size", 2048, "`training.batch_size`: prefixes per step"),
    _honoured("learner", "adam", "`training.optimizer`: adamw for adam and adamw, adagrad for adagrad"),
    _honoured("learning_rate", 0.001, "`training.learning_rate`"),
    _honoured("weight_decay", 0.0, "`training.weight_decay`, which is decoupled from the gradient, unlike Adam's"),
    _honoured("clip_grad_norm", None, "`training.clip_norm`: its max_norm"),
    _honoured("eval_step", 1, "`training.patience` = (stopping_step + 1) x eval_step; every epoch is validated"),
    _honoured("stopping_step", 10, "see `eval_step`"),
    _honoured("loss_type", None, "`training.loss`: cross-entropy for CE, bpr for BPR"),
    _honoured(
        "train_neg_sample_args.distribution",
        "uniform",
        "`training.loss.alpha`: 0 if uniform; of bpr `training.alpha`, and the next ones likewise",
    ),
    _honoured(
        "train_neg_sample_args.sample_num", 1, "`training.loss.n_samples`, sampled per target (`targets_per_draw=1`)"
    ),
    _honoured("train_neg_sample_args.alpha", 1.0, "`training.loss.alpha`, if the distribution is popularity"),
    _honoured("train_neg_sample_args.dynamic", False, "`training.loss.candidate_num` is used only if dynamic is true"),
    _honoured("train_neg_sample_args.candidate_num", 0, "`training.loss.candidate_num`"),
    *_open("every epoch is shuffled", shuffle=True),
    *_open("it was replaced by train_neg_sample_args", "neg_sampling", "training_neg_sample_num"),
    *_open("losses have no regularization; use weight_decay instead", require_pow=False, reg_weight=None),
)

_EVALUATION = (
    _honoured(
        "eval_args.split",
        {"RS": [0.8, 0.1, 0.1]},
        "`protocol.split`: event-ratio with `ratios` for RS, last-event with `leave` for LS, global-time with "
        "`test_share` and `valid_share` for TS; the default for sequential models is LS",
    ),
    _honoured("eval_args.group_by", "user", "`protocol.split.group_by`"),
    _honoured(
        "eval_args.order", "RO", "`protocol.split.order`: random for RO, time for TO; sequential models require TO"
    ),
    _honoured("eval_args.mode", "full", "`protocol.ranking.candidates`; of a mapping, the mode of the test"),
    _honoured(
        "repeatable", False, "`protocol.cases.exclude_seen`: false if repeatable is true or the model is sequential"
    ),
    _honoured("metrics", ["Recall", "MRR", "NDCG", "Hit", "Precision"], "`protocol.ranking.metrics`, with every topk"),
    _honoured("topk", [10], "see `metrics`"),
    _honoured("valid_metric", "MRR@10", "`protocol.valid_metric` and `training.metric`"),
    _honoured("metric_decimal_place", 4, "`protocol.decimals`"),
    *_idle("cases are scored in chunks, which does not affect results", eval_batch_size=4096),
    *_idle("it follows from the metric, as in RecBole", valid_metric_bigger=True),
    *_open("the tail is always the tenth of the items with the fewest events", tail_ratio=0.1),
)

_OF_MODELS = (
    _honoured("embedding_size", None, "`embedding_size`"),
    _honoured("hidden_size", None, "`hidden_size`; `embedding_size` for sasrec and bert4rec"),
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
    _honoured("dnn_type", None, "`variant`"),
    _honoured("sess_dropout", None, "`session_dropout`"),
    _honoured("item_dropout", None, "`item_dropout`"),
    _honoured("temperature", None, "`temperature`"),
    _honoured("k", None, "`n_neighbours`"),
    _honoured("shrink", None, "`damping`"),
    _honoured("knn_method", None, "must be item"),
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
"""Settings that contain settings."""


class Given:
    """The settings of a configuration; records which settings were used, to report the others.

    Args:
        values: settings by name, from the files.

    Raises:
        ParameterError: a section is not a mapping.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if name not in SECTIONS}
        self._taken: set[str] = set()
        self.sections = {name: values[name] for name in SECTIONS if name in values}
        for name in self._values:
            section, dot, key = name.partition(".")
            if dot and section in SECTIONS:
                raise ParameterError(
                    f"{name}: must be inside of {section}, where RecBole reads it: "
                    f"{section}: {{{key}: {typed(values[name])}}}"
                )
        for name, section in self.sections.items():
            if isinstance(section, Mapping):
                self._values |= {f"{name}.{key}": value for key, value in section.items()}
            elif section not in (None, "None") or name == "eval_args":
                raise ParameterError(f"{name}: must contain names and values, got {typed(section)}")

    def has(self, name: str) -> bool:
        """Tell whether the files contain a setting."""
        return name in self._values

    def take(self, name: str, default: Any = None) -> Any:
        """Return a setting: the value of the files, else ``default``, else RecBole's default.

        Raises:
            ParameterError: the value is of another type than RecBole's default.
        """
        self._taken.add(name)
        if name in self._values:
            _check_type(name, self._values[name])
            return self._values[name]
        return SETTINGS[name].default if default is None else default

    def left(self) -> dict[str, Any]:
        """Return the settings of the files that were not used."""
        return {name: value for name, value in self._values.items() if name not in self._taken}


_MAPPINGS = ("val_interval", "eval_args.mode")
_COUNTS = ("eval_step", "stopping_step", "metric_decimal_place")
"""Settings whose value may be names and values."""
_TEXTS = ("model", "dataset", "loss_type")
"""Settings without a default that are text."""


def _check_type(name: str, value: Any) -> None:
    default = SETTINGS[name].default
    if name in _MAPPINGS and (value is None or isinstance(value, Mapping)):
        return
    rule, valid = "", True
    if name in _TEXTS or isinstance(default, str):
        rule, valid = "text", value is None or isinstance(value, str if name == "model" else str | int | float)
    elif isinstance(default, bool):
        rule, valid = "true or false", value is None or isinstance(value, bool)
    elif name in _COUNTS:
        rule, valid = "an integer", isinstance(value, int)
    elif isinstance(default, list):
        rule, valid = "a list", isinstance(value, list | tuple | str | int | None)
    elif name in _MAPPINGS:
        rule, valid = "names and values", False
    if not valid:
        raise ParameterError(f"{name}: must be {rule}, as in RecBole, got {short(value)}")
