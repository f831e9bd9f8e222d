"""RecBole's configurations that are refused, and how files, options and the log come together."""

import re

import pytest
import yaml

from segue.errors import ParameterError, UnknownNameError
from segue.recbole import load_recbole

CE = {"train_neg_sample_args": None}
"""What RecBole wants to be told of a sequential model with the loss CE."""


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (
            "SASRec",
            {"train_neg_sample_args": {"sample_num": 1}},
            "train_neg_sample_args: must be ~ with loss_type CE",
        ),
        ("SASRec", {"loss_type": "BPR", **CE}, "must say how negatives are drawn"),
        ("BPR", CE, "must say how negatives are drawn with the loss BPR, got ~; leave it out for one uniform negative"),
        ("BPR", {"train_neg_sample_args": {"distribution": "none"}}, "distribution: must be uniform or popularity"),
        ("BPR", {"train_neg_sample_args": {"dynamic": True}}, "candidate_num: must be at least 1 if dynamic is true"),
        ("BPR", {"train_neg_sample_args": {"sample_num": 0}}, "bpr.training.n_samples: must be greater than or equal"),
        ("SASRec", {"loss_type": "NLL"}, "loss_type: must be CE or BPR, got NLL"),
        ("SASRec", {"eval_args": {"order": "RO"}}, "eval_args.order: must be TO for sequential models, got RO; set"),
        ("SASRec", {"eval_args": {"mode": "uni9"}}, "got RO, the default where eval_args have no order; set it to TO"),
        ("BPR", {"eval_args": None}, "eval_args: must contain names and values, got none"),
        ("BPR", {"eval_args.mode": "uni9"}, "must be inside of eval_args, where RecBole reads it: eval_args: {mode"),
        ("SASRec", {"repeatable": False}, "repeatable: must be true for sequential models"),
        ("SASRec", {"load_col": {"inter": ["user_id", "item_id"]}}, "must contain the TIME_FIELD 'timestamp'"),
        ("SASRec", {"benchmark_filename": ["train", "valid", "test"]}, "pre-split sequences are not supported"),
        ("SASRec", {"n_heads": 5}, "sasrec.heads: must be a divisor of embedding_size"),
        ("NARM", {"dropout_probs": 0.5}, "dropout_probs: must be a list of 2 numbers, got 0.5"),
        ("BPR", {"eval_args": "RS"}, "eval_args: must contain names and values, got RS"),
        ("BPR", {"eval_args": {"split": "RS"}}, "eval_args.split: must be one of RS, LS and TS"),
        ("BPR", {"eval_args": {"split": {"RS": [8, 2]}}}, "eval_args.split.RS: must be a list of three shares"),
        ("BPR", {"eval_args": {"split": {"LS": "all"}}}, "eval_args.split.LS: must be one of valid_and_test"),
        ("BPR", {"eval_args": {"order": "XO"}}, "eval_args.order: must be RO or TO, got XO"),
        ("BPR", {"eval_args": {"group_by": "item"}}, "eval_args.group_by: must be user or none"),
        ("BPR", {"eval_args": {"mode": "uni"}}, "eval_args.mode: must be full, uniN, popN or labeled, got uni"),
        ("BPR", {"eval_args": {"mode": "labeled"}}, "must be labeled for value metrics, and only for them"),
        ("BPR", {"metrics": ["AUC"]}, "must be labeled for value metrics"),
        ("BPR", {"metrics": ["AUC", "Recall"]}, "must be ranking metrics or value metrics, got both"),
        ("BPR", {"topk": 0}, "topk: must be a whole number of at least 1"),
        ("BPR", {"topk": None}, "got none; RecBole also refuses it, though its documentation lists None"),
        ("BPR", {"topk": "None"}, "got None; RecBole also refuses it"),
        ("BPR", {"topk": []}, "topk: must be a whole number of at least 1"),
        ("BPR", {"topk": True}, "topk: must be a whole number of at least 1"),
        ("BPR", {"field_separator": ","}, "field_separator: must be a tab"),
        ("BPR", {"benchmark_filename": ["part1", "part2", "part3"]}, "must be the names of training"),
        ("BPR", {"val_interval": {"rating": "3 or more"}}, "the interval of rating must be an interval"),
        ("BPR", {"user_inter_num_interval": 5}, "protocol.cleaning.session_interval: must be an interval"),
        ("BPR", {"load_col": ["user_id"]}, "load_col: must name the columns of inter"),
        ("BPR", {"epochs": "many"}, "bpr.training.epochs: must be an integer"),
        ("BPR", {"seed": -1}, "config.seed: must be greater than or equal to 0"),
        (
            "SASRec",
            {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "normal"}},
            "distribution: must be uniform or popularity, got normal",
        ),
        (
            "SASRec",
            {"loss_type": "BPR", "train_neg_sample_args": {"dynamic": True}},
            "candidate_num: must be at least 1 if dynamic is true",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(translate, model, settings, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        translate(model, settings)


def test_labels_and_filters_want_one_column_each(tmp_path):
    file = tmp_path / "config.yaml"
    settings = {"eval_args": {"mode": "labeled"}, "metrics": ["AUC"], "valid_metric": "AUC", "LABEL_FIELD": "liked"}
    file.write_text(yaml.safe_dump({**settings, "val_interval": {"rating": "[3,5]"}}), encoding="utf-8")
    with pytest.raises(ParameterError, match="cannot filter by 'rating' because the rating column is 'liked'"):
        load_recbole([file], {"models": ["BPR"]})


def test_unknown_names_are_refused_with_those_there_are(translate):
    with pytest.raises(UnknownNameError, match=r"unknown model 'LightGCN': .*BERT4Rec, BPR, .*SASRec"):
        translate("LightGCN")
    with pytest.raises(UnknownNameError, match="did you mean 'SASRec'"):
        translate("SASRex")
    with pytest.raises(UnknownNameError, match="unknown metric of RecBole in metrics 'Recal': did you mean 'recall'"):
        translate("BPR", {"metrics": ["Recal"]})


def test_models_of_both_kinds_run_apart(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("model: BPR\n", encoding="utf-8")
    assert load_recbole([file], {}).models == ["bpr"]
    assert load_recbole([file], {"models": ["SASRec", "NARM"]}).models == ["sasrec", "narm"]
    with pytest.raises(ParameterError, match="run them separately"):
        load_recbole([file], {"models": ["BPR", "SASRec"]})
    file.write_text("epochs: 3\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="names no model"):
        load_recbole([file], {})


def test_options_go_on_top(translate):
    config = translate(
        "BPR", {"seed": 7, "use_gpu": False}, seed=3, set={"bpr": {"embedding_size": 8}}, columns={"user": "u"}
    )
    assert (config.seed, config.device, config.set["bpr"]["embedding_size"]) == (3, "cpu", 8)
    assert config.set["bpr"]["training"]["epochs"] == 300
    assert config.columns == {"user": "u", "item": "item_id"}
    assert translate("BPR", {"gpu_id": ""}).device == "cpu"
    assert translate("BPR", {"enable_amp": True}).precision == "bf16"
    with pytest.raises(ParameterError, match="--protocol: cannot be combined with --recbole"):
        translate("BPR", protocol="leave-one-out")


def test_files_are_read_as_recbole_reads_them(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "learning_rate: 1e-3\nweight_decay: 5E-4\nclip_grad_norm: {max_norm: .5e1}\nmodel: SASRec\nepochs: 9\n",
        encoding="utf-8",
    )
    second.write_text("epochs: 2\n", encoding="utf-8")
    training = load_recbole([first, second], {}).set["sasrec"]["training"]
    found = (training["learning_rate"], training["weight_decay"], training["clip_norm"], training["epochs"])
    assert found == (0.001, 0.0005, 5.0, 2)
    second.write_text("", encoding="utf-8")
    assert load_recbole([first, second], {}).set["sasrec"]["training"]["epochs"] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "cannot be read: line"),
        ("- a", "must contain names and values, got list"),
        ("1: 2", "a name must be text, got '1'; quote it"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, text, message):
    file = tmp_path / "a.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=message):
        load_recbole([file], {"models": ["BPR"]})
    with pytest.raises(ParameterError, match="cannot be read"):
        load_recbole([tmp_path / "none.yaml"], {"models": ["BPR"]})


def test_the_log_is_found_by_folder_and_name(tmp_path, monkeypatch):
    file = tmp_path / "a.yaml"
    file.write_text(
        yaml.safe_dump({"model": "Pop", "dataset": "shop", "data_path": str(tmp_path / "data")}), encoding="utf-8"
    )
    config = load_recbole([file], {})
    assert (config.log, config.format) == (str(tmp_path / "data" / "shop" / "shop.inter"), "recbole")
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path / "logs"))
    (tmp_path / "logs" / "shop").mkdir(parents=True)
    assert load_recbole([file], {}).log == "shop"
    (tmp_path / "data" / "shop").mkdir(parents=True)
    assert load_recbole([file], {}).log == str(tmp_path / "data" / "shop" / "shop.inter")
    assert (load_recbole([file], {"log": "other"}).log, load_recbole([file], {"log": "other"}).format) == (
        "other",
        None,
    )


def test_settings_override_those_of_the_files_as_on_recboles_command_line(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("model: SASRec\nlearning_rate: 0.1\nepochs: 9\ntopk: 10\nloss_type: BPR\n", encoding="utf-8")
    settings = {
        **{"learning_rate": "1e-3", "topk": "[5, 20]", "use_gpu": "False", "hidden_act": "relu", "metrics": "Hit"},
        **{"train_neg_sample_args": "{'distribution': 'popularity', 'alpha': 0.5}", "clip_grad_norm": "None"},
    }
    config = load_recbole([file], {"log": "log.inter"}, settings)
    training = config.set["sasrec"]["training"]
    assert (training["learning_rate"], training["epochs"], training["clip_norm"]) == (0.001, 9, None)
    assert training["loss"] == {
        "kind": "bpr",
        "targets_per_draw": 1,
        "n_samples": 1,
        "alpha": 0.5,
        "candidate_num": 1,
    }
    assert (config.device, config.set["sasrec"]["activation"]) == ("cpu", "relu")
    assert config.set["protocol"]["ranking"]["metrics"] == ("hit@5", "hit@20")
    notes = load_recbole([file], {"log": "log.inter"}, {"colour": "red", "seed": 3}).notes
    assert "RecBole's colour (red): no counterpart, the setting is unknown" in notes
    with pytest.raises(ParameterError, match="config_files: name the files after --recbole"):
        load_recbole([file], {}, {"config_files": "b.yaml"})


@pytest.mark.parametrize("text", ["[0,inf)", "uni100", "~", "{1, 2}", "__import__('os')", "1 + 1", "(" * 5000])
def test_text_that_is_no_literal_stays_text(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text("model: Pop\n", encoding="utf-8")
    (note,) = load_recbole([file], {"log": "log.inter"}, {"colour": text}).notes
    assert f"colour ({text})" in note


def test_eval_args_of_a_file_replace_all_defaults_of_sequential_models(translate):
    """RecBole fills in a random split by shares where the file has eval_args without one."""
    split = translate("SASRec", {"eval_args": {"order": "TO"}}).set["protocol"]["split"]
    assert split == {"kind": "event-ratio", "ratios": (0.8, 0.1, 0.1), "group_by": "user", "order": "time"}
    assert translate("SASRec").set["protocol"]["split"]["kind"] == "last-event"
