"""RecBole's settings -> a config, worked by hand."""

import runpy
from pathlib import Path

import pytest
import yaml

from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec
from segue.models.core import CORE
from segue.models.fpmc import FPMC
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.sasrec import SASRec
from segue.parameters import merge
from segue.protocols.protocol import Protocol
from segue.protocols.splits import EventRatioSplit, LastEventSplit
from segue.recbole import load_recbole
from segue.recbole.models import COUNTERPARTS
from segue.recbole.settings import SETTINGS

ROOT = Path(__file__).parents[2]
ALL = [one.recbole for one in COUNTERPARTS]


def protocol(config):
    return Protocol.named(config.protocol, config.set["protocol"])


def test_general_models_have_recboles_defaults(translate):
    config = translate("BPR")
    assert (config.models, config.seed, config.device, config.precision) == (["bpr"], 2020, "auto", "auto")
    assert config.columns == {"user": "user_id", "item": "item_id"}
    training = {"epochs": 300, "n_samples": 1, "alpha": 0.0, "candidate_num": 1}
    assert config.set["bpr"] == {"embedding_size": 64, "training": training}
    found = protocol(config)
    assert found.split == EventRatioSplit(ratios=(0.8, 0.1, 0.1), group_by="user", order="random", seed=2020)
    assert (found.cases.targets, found.cases.exclude_seen, found.ranking.candidates) == ("together", True, "full")
    assert found.ranking.metrics == ("recall@10", "mrr@10", "ndcg@10", "hit@10", "precision@10")
    assert (found.valid_metric, found.decimals) == ("mrr@10", 4)
    assert (found.cleaning.k_core, found.cleaning.min_support) == (1, 1)


def test_sequential_models_have_recboles_defaults(translate):
    config = translate("SASRec")
    assert config.columns == {"user": "user_id", "item": "item_id", "time": "timestamp"}
    found = protocol(config)
    assert found.split == LastEventSplit(leave="valid_and_test")
    assert (found.cases.targets, found.cases.exclude_seen) == ("every-next", False)
    assert config.set["sasrec"] == {
        "norm_order": "post",
        "max_length": 50,
        "layers": 2,
        "heads": 2,
        "embedding_size": 64,
        "inner_size": 256,
        "activation": "gelu",
        "dropout": 0.5,
        "attention_dropout": 0.5,
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "training": {
            "epochs": 300,
            "batch_size": 2048,
            "learning_rate": 0.001,
            "optimizer": "adamw",
            "weight_decay": 0.0,
            "clip_norm": None,
            "patience": 11,
            "metric": "mrr@10",
            "loss": "cross-entropy",
            "positions": "last",
        },
    }


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"eval_args": {"split": {"RS": [8, 0, 2]}}}, {"split": {"ratios": (8, 0, 2)}}),
        ({"eval_args": {"group_by": None}}, {"split": {"group_by": "none"}}),
        ({"eval_args": {"group_by": "none"}}, {"split": {"group_by": "none"}}),
        ({"eval_args": {"order": "TO"}}, {"split": {"order": "time", "seed": 0}}),
        (
            {"eval_args": {"split": {"LS": "test_only"}, "order": "TO"}},
            {"split": {"kind": "last-event", "leave": "test_only"}},
        ),
        (
            {"eval_args": {"split": {"LS": "valid_only"}}},
            {"split": {"leave": "valid_only", "order": "random", "seed": 2020}},
        ),
        (
            {"eval_args": {"split": {"TS": [7, 1, 2]}, "order": "TO"}},
            {"split": {"kind": "global-time", "test_share": 0.2}},
        ),
        ({"eval_args": {"split": {"TS": [7, 1, 2]}, "order": "TO"}}, {"split": {"valid_share": 0.125}}),
        ({"eval_args": {"mode": "uni100"}}, {"ranking": {"candidates": "uni100", "seed": 2020}}),
        ({"eval_args": {"mode": {"valid": "uni100", "test": "pop50"}}}, {"ranking": {"candidates": "pop50"}}),
        ({"eval_args": {"mode": {"valid": "uni100"}}}, {"ranking": {"candidates": "uni100"}}),
        ({"seed": 7}, {"split": {"seed": 7}}),
        ({"repeatable": True}, {"cases": {"exclude_seen": False}}),
        ({"metrics": "MAP", "topk": [1, 5]}, {"ranking": {"metrics": ("map@1", "map@5")}}),
        (
            {"metrics": ["ItemCoverage", "AveragePopularity"], "topk": 5},
            {"ranking": {"metrics": ("coverage@5", "popularity@5")}},
        ),
        ({"valid_metric": "NDCG@20"}, {"valid_metric": "ndcg@20"}),
        ({"metric_decimal_place": 6}, {"decimals": 6}),
        ({"rm_dup_inter": "first"}, {"cleaning": {"revisits": "first"}}),
        ({"val_interval": {"rating": "[3,inf)"}}, {"cleaning": {"value_interval": {"rating": "[3,inf)"}}}),
        ({"val_interval": {"rating": [3, 5]}}, {"cleaning": {"value_interval": {"rating": "[3, 5]"}}}),
        ({"val_interval": {"timestamp": "(5,9]"}}, {"cleaning": {"value_interval": {"time": "(5,9]"}}}),
        (
            {"val_interval": {"user_id": ["a"], "shop": [1]}},
            {"cleaning": {"value_among": {"session": ("a",), "shop": ("1",)}}},
        ),
        ({"val_interval": {"action": ["buy"]}}, {"cleaning": {"value_among": {"type": ("buy",)}}}),
        ({"user_inter_num_interval": "[5,inf)"}, {"cleaning": {"session_interval": "[5,inf)", "item_interval": None}}),
        ({"item_inter_num_interval": "(4,100]"}, {"cleaning": {"session_interval": None, "item_interval": "(4,100]"}}),
        ({"user_inter_num_interval": "[0,inf)"}, {"cleaning": {"session_interval": None}}),
        ({"benchmark_filename": ["train", "dev", "test"]}, {"split": {"kind": "given"}}),
        ({"benchmark_filename": ["train", "dev", "test"], "rm_dup_inter": "first"}, {"cleaning": {"revisits": "all"}}),
    ],
)
def test_settings_of_the_protocol(translate, settings, changes):
    found = protocol(translate("BPR", settings)).model_dump()
    for part, values in changes.items():
        if isinstance(values, dict):
            assert {name: found[part][name] for name in values} == values
        else:
            assert found[part] == values


@pytest.mark.parametrize(
    ("settings", "columns"),
    [
        ({"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}, {"time": "timestamp"}),
        ({"load_col": {"inter": ["user_id", "item_id", "rating"]}}, {"rating": "rating"}),
        ({"USER_ID_FIELD": "uid", "ITEM_ID_FIELD": "iid", "load_col": None}, {"user": "uid", "item": "iid"}),
        ({"TIME_FIELD": "ts", "eval_args": {"order": "TO"}}, {"time": "ts"}),
        ({"RATING_FIELD": "stars", "val_interval": {"stars": "[3,5]"}}, {"rating": "stars"}),
        ({"val_interval": {"behavior": ["buy"]}}, {"type": "behavior"}),
    ],
)
def test_columns(translate, settings, columns):
    assert translate("BPR", settings).columns == {"user": "user_id", "item": "item_id", **columns}


def test_labels_come_from_a_threshold_or_from_a_column(translate):
    labeled = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC", "LogLoss"], "valid_metric": "AUC"}
    config = translate("BPR", {**labeled, "threshold": {"stars": 4}})
    found = protocol(config)
    assert (found.ranking.candidates, found.cases.label, found.cases.label_threshold) == ("labeled", "rating", 4)
    assert (found.ranking.metrics, found.valid_metric) == (("auc", "logloss"), None)
    assert found.cases.targets == "every-next"
    assert config.columns["rating"] == "stars"
    assert any("valid_metric (AUC) is not honoured" in note for note in config.notes)
    config = translate("BPR", {**labeled, "LABEL_FIELD": "liked"})
    assert config.columns["rating"] == "liked"
    assert protocol(config).cases.label_threshold is None
    with pytest.raises(ParameterError, match="threshold: must be one field with a number"):
        translate("BPR", {**labeled, "threshold": 3})


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"epochs": 3, "train_batch_size": 64, "learning_rate": 0.01}, {"epochs": 3, "batch_size": 64}),
        ({"learner": "adagrad"}, {"optimizer": "adagrad"}),
        ({"learner": "AdamW", "weight_decay": 0.1}, {"optimizer": "adamw", "weight_decay": 0.1}),
        ({"clip_grad_norm": {"max_norm": 5, "norm_type": 2}}, {"clip_norm": 5}),
        ({"stopping_step": 4, "eval_step": 2}, {"patience": 10}),
        ({"eval_step": 0}, {"patience": None}),
        ({"valid_metric": "NDCG@10"}, {"metric": "ndcg@10"}),
        ({"valid_metric": "GAUC"}, {"metric": "gauc"}),
        (
            {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "popularity", "alpha": 0.75}},
            {"loss": {"kind": "bpr", "n_samples": 1, "targets_per_draw": 1, "alpha": 0.75, "candidate_num": 1}},
        ),
        (
            {"loss_type": "BPR", "train_neg_sample_args": {"sample_num": 4, "dynamic": True, "candidate_num": 8}},
            {"loss": {"kind": "bpr", "n_samples": 4, "targets_per_draw": 1, "alpha": 0.0, "candidate_num": 8}},
        ),
    ],
)
def test_settings_of_training(translate, settings, changes):
    training = translate("SASRec", settings).set["sasrec"]["training"]
    assert {name: training[name] for name in changes} == changes


@pytest.mark.parametrize(
    ("model", "settings", "name", "changes"),
    [
        ("BPR", {"embedding_size": 32}, "bpr", {"embedding_size": 32}),
        ("ItemKNN", {"k": 50, "shrink": 10.0}, "item-knn", {"n_neighbours": 50, "damping": 10.0}),
        ("ItemKNN", {}, "item-knn", {"n_neighbours": 100, "damping": 0.0}),
        ("Pop", {}, "popularity", {}),
        (
            "GRU4Rec",
            {"num_layers": 2, "dropout_prob": 0.1, "MAX_ITEM_LIST_LENGTH": 20},
            "improved-gru4rec",
            {"layers": 2, "dropout": 0.1, "max_length": 20, "hidden_size": 128, "embedding_size": 64},
        ),
        (
            "SASRec",
            {"n_layers": 3, "n_heads": 4, "hidden_size": 32, "inner_size": 99, "hidden_act": "relu"},
            "sasrec",
            {"layers": 3, "heads": 4, "embedding_size": 32, "inner_size": 99, "activation": "relu"},
        ),
        *(
            (
                model,
                {"attn_dropout_prob": 0.1, "layer_norm_eps": 1e-5, "initializer_range": 0.1},
                name,
                {"attention_dropout": 0.1, "layer_norm_eps": 1e-5, "initializer_range": 0.1, "dropout": dropout},
            )
            for model, name, dropout in (("SASRec", "sasrec", 0.5), ("BERT4Rec", "bert4rec", 0.2))
        ),
        (
            "NARM",
            {"n_layers": 2, "dropout_probs": [0.1, 0.2]},
            "narm",
            {"layers": 2, "dropout_embedding": 0.1, "dropout_context": 0.2, "embedding_size": 64, "hidden_size": 128},
        ),
        ("STAMP", {}, "stamp", {"embedding_size": 64, "dropout": 0.0}),
        ("SRGNN", {"step": 2}, "sr-gnn", {"embedding_size": 64, "steps": 2, "dropout": 0.0}),
        (
            "CORE",
            {"dnn_type": "ave", "sess_dropout": 0.1, "temperature": 0.1, "n_heads": 4, "attn_dropout_prob": 0.1},
            "core",
            {"variant": "ave", "session_dropout": 0.1, "temperature": 0.1, "heads": 4, "attention_dropout": 0.1}
            | {"embedding_size": 64, "dropout": 0.5, "item_dropout": 0.2, "initializer_range": None},
        ),
        ("FPMC", {"embedding_size": 16}, "fpmc", {"embedding_size": 16, "user": True}),
    ],
)
def test_parameters_of_models(translate, model, settings, name, changes):
    parameters = translate(model, settings).set[name]
    assert {name: parameters[name] for name in changes} == changes


def test_bert4rec_has_its_masks(translate):
    training = translate("BERT4Rec", {"mask_ratio": 0.3, "ft_ratio": 0.4}).set["bert4rec"]["training"]
    assert (training["mask_ratio"], training["last_ratio"]) == (0.3, 0.4)
    training = translate("FPMC").set["fpmc"]["training"]
    loss = training["loss"]
    assert (loss["kind"], loss["n_samples"], loss["alpha"]) == ("bpr", 1, 0.0)


@pytest.mark.parametrize("one", COUNTERPARTS, ids=lambda one: one.recbole)
def test_each_model_is_known_by_both_names_and_takes_recboles_defaults(translate, one):
    assert translate(one.recbole).models == translate(one.segue).models == [one.segue]
    parameters = translate(one.recbole, {name: value for name, (_, value) in one.parameters.items()})
    assert parameters.set[one.segue] == translate(one.recbole).set[one.segue]


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"distribution": "popularity"}, {"n_samples": 1, "alpha": 1.0, "candidate_num": 1}),
        ({"sample_num": 3, "distribution": "popularity", "alpha": 0.5}, {"n_samples": 3, "alpha": 0.5}),
        ({"dynamic": True, "candidate_num": 8}, {"alpha": 0.0, "candidate_num": 8}),
        ({"alpha": 0.5, "candidate_num": 8}, {"alpha": 0.0, "candidate_num": 1}),
    ],
)
def test_negatives_of_bpr(translate, settings, changes):
    training = translate("BPR", {"train_neg_sample_args": settings}).set["bpr"]["training"]
    assert {name: training[name] for name in changes} == changes


@pytest.mark.parametrize(("model", "kind"), [("GRU4Rec", ImprovedGRU4Rec), ("FPMC", FPMC), ("CORE", CORE)])
def test_presets_are_what_recboles_defaults_become(translate, model, kind):
    assert kind(preset="recbole").config == kind(**translate(model).set[kind.name]).config


@pytest.mark.parametrize(
    ("model", "kind", "free"), [("SASRec", SASRec, {"positions"}), ("BERT4Rec", BERT4Rec, {"mask_ratio", "last_ratio"})]
)
def test_presets_of_transformers_are_recboles_networks(translate, model, kind, free):
    preset, config = kind(preset="recbole").config, kind(**translate(model).set[kind.name]).config
    assert preset == config.model_copy(update={"attention_dropout": None, "training": preset.training})
    assert all(getattr(preset.training, name) == getattr(config.training, name) for name in free)


def test_a_model_that_recbole_does_not_have_keeps_its_own_parameters(translate):
    config = translate("stan", {"epochs": 3})
    assert (config.models, list(config.set)) == (["stan"], ["protocol"])
    assert config.set["protocol"]["cases"]["targets"] == "every-next"
    assert "stan: has no counterpart in RecBole; it keeps segue's parameters" in config.notes
    assert translate("als").set["protocol"]["cases"]["targets"] == "together"


def test_every_setting_that_is_given_is_honoured_or_said(translate):
    settings = {
        **{"eval_batch_size": 512, "log_wandb": True, "my_own": [1, 2], "hidden_size": 3, "LIST_SUFFIX": "_l"},
        **{"train_batch_size": 4096, "learning_rate": 0.01, "train_neg_sample_args": {"sample_num": 2, "odd": 1}},
    }
    notes = "\n".join(translate("BPR", settings).notes)
    assert "RecBole's eval_batch_size (512): no effect, cases are scored in chunks" in notes
    assert "RecBole's log_wandb (true): not honoured, Weights & Biases is not supported" in notes
    assert "RecBole's my_own ([1, 2]), train_neg_sample_args.odd (1): no counterpart, the setting is unknown" in notes
    assert "RecBole's hidden_size (3): no effect on a run of bpr" in notes
    assert "RecBole's LIST_SUFFIX (_l): no effect, sequences have no named fields" in notes
    assert "RecBole's train_batch_size (4096): not honoured, bpr learns from one triple at a time" in notes
    assert "RecBole's learning_rate (0.01): not honoured, bpr uses plain" in notes


LABELED = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC"], "valid_metric": "AUC"}
WITH = {
    "train_neg_sample_args.distribution": {"loss_type": "BPR"},
    "train_neg_sample_args.sample_num": {"loss_type": "BPR"},
    "train_neg_sample_args.alpha": {"loss_type": "BPR"},
    "train_neg_sample_args.dynamic": {"loss_type": "BPR"},
    "train_neg_sample_args.candidate_num": {"loss_type": "BPR"},
    "RATING_FIELD": {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}},
    "LABEL_FIELD": LABELED,
    "threshold": LABELED,
    "eval_args.split": {"eval_args": {"order": "TO"}},
    "eval_args.group_by": {"eval_args": {"order": "TO"}},
    "eval_args.mode": {"eval_args": {"order": "TO"}},
}
"""What a setting needs beside it to have an effect."""
VALUES = {
    **{"threshold": {"rating": 3}, "rm_dup_inter": "last", "val_interval": {"rating": "[1,5]"}},
    **{"eval_args.order": "TO", "load_col": None, "dropout_probs": [0.1, 0.2], "hidden_act": "relu"},
    **{
        "attn_dropout_prob": 0.5,
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "knn_method": "item",
        "dnn_type": "ave",
        "sess_dropout": 0.1,
        "item_dropout": 0.1,
        "loss_type": "CE",
        "benchmark_filename": ["train", "valid", "test"],
        "repeatable": True,
    },
}
"""Values of settings whose default is none, or suits not every model."""


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ("model", "dataset", "data_path")])
def test_each_setting_that_is_honoured_is_taken_and_each_other_one_is_said(tmp_path, name):
    file = tmp_path / "config.yaml"
    section, _, key = name.rpartition(".")
    value = VALUES.get(name, 1 if SETTINGS[name].default is None else SETTINGS[name].default)
    file.write_text(
        yaml.safe_dump(merge(WITH.get(name, {}), {section: {key: value}} if section else {name: value})),
        encoding="utf-8",
    )
    models = ["BPR"] if WITH.get(name) is LABELED or name in ("RATING_FIELD", "benchmark_filename") else ALL
    notes = [load_recbole([file], {"models": [model], "log": "log.inter"}).notes for model in models]
    said = [any(f"{name} (" in note for note in some) for some in notes]
    assert not all(said) if SETTINGS[name].fate == "honoured" else all(said)


def test_what_is_honoured_in_part_is_said(translate):
    notes = translate("SASRec", {"learner": "rmsprop", "eval_step": 0}).notes
    assert any("learner (rmsprop) is not honoured" in note for note in notes)
    assert any("eval_step is not honoured" in note for note in notes)
    notes = translate("BPR", {"eval_args": {"mode": {"valid": "uni10", "test": "full"}}}).notes
    assert any("honoured for the test (full)" in note for note in notes)
    notes = translate("SASRec", {"eval_args": {"split": {"RS": [8, 1, 1]}, "order": "TO"}}).notes
    assert any("shares of the targets" in note for note in notes)


def test_the_docs_are_up_to_date():
    generator = runpy.run_path(str(ROOT / "docs" / "recbole_page.py"))
    text = generator["filled"]()
    assert generator["PAGE"].read_text(encoding="utf-8") == text, "run: python docs/recbole_page.py"
    assert all(f"| `{name}` |" in text for name in (*SETTINGS, *ALL))
