"""The protocol as an object: names, overrides, rules, hash."""

import json
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from segue.errors import ArtifactError, ParameterError, UnknownNameError
from segue.experiment.config import load_config, parse_settings
from segue.experiment.prepared_data import protocol_settings
from segue.parameters import describe, flatten, nested, typed
from segue.protocols.cases import CaseRules
from segue.protocols.cleaning import DEFAULT_ORDER, STEPS, Cleaning, StepName
from segue.protocols.hashing import protocol_hash
from segue.protocols.protocol import Protocol
from segue.protocols.ranking import Ranking
from segue.protocols.splits import SPLITS, BaseSplit, LastDaysSplit, RatioSplit

DOCS = Path(__file__).parents[2] / "docs" / "protocols.md"


@pytest.mark.parametrize("name", sorted(Protocol.presets))
def test_each_named_protocol_is_valid_and_survives_json(name):
    protocol = Protocol.named(name)
    assert protocol.name == name
    assert Protocol.model_validate(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol


def test_the_default_runs_no_filter():
    assert not [name for name, step in STEPS.items() if step.parameters and Cleaning().runs(name)]


def test_parameters_go_on_top_of_the_named_protocol():
    protocol = Protocol.named("leave-one-out", {"cleaning": {"k_core": 10}, "cases": {"exclude_seen": False}})
    assert (protocol.split.kind, protocol.cleaning.k_core, protocol.cases.exclude_seen) == ("last-event", 10, False)
    assert protocol.changed({"cleaning": {"k_core": 3}}).cleaning.k_core == 3
    assert protocol.cleaning.k_core == 10


def test_a_name_chooses_a_split_and_keeps_the_parameters_that_both_have():
    weeks = Protocol.named("session-next", {"split": {"test_days": 7}})
    assert weeks.split == LastDaysSplit(test_days=7)
    assert weeks.changed({"split": {"valid_days": 2}}).split == LastDaysSplit(test_days=7, valid_days=2)
    assert weeks.changed({"split": "last-days"}).split == weeks.split
    named = weeks.changed({"split": {"kind": "last-days", "valid_days": 2}})
    assert named.split == LastDaysSplit(test_days=7, valid_days=2)
    assert weeks.changed({"split": "ratio"}).split == RatioSplit()
    assert weeks.changed({"split": {"kind": "ratio", "test_share": 0.3}}).split == RatioSplit(test_share=0.3)
    assert weeks.changed({"split": RatioSplit(test_share=0.3)}).split == RatioSplit(test_share=0.3)
    assert Protocol(split="ratio").split == RatioSplit()
    assert Protocol.named("recbole").split.order == "random"
    assert Protocol.named("recbole", {"split": {"ratios": (7, 1, 2)}}).split.order == "random"
    assert Protocol.named("recbole", {"split": "last-event"}).split.order == "random"


def test_command_line_yaml_and_python_name_parameters_alike(tmp_path):
    """In any order on the command line; the command line goes on top of the file."""
    python = Protocol.named("session-next", {"split": {"kind": "ratio", "test_share": 0.2}, "cleaning": {"k_core": 5}})
    typed = ["protocol.split.test_share=0.2", "protocol.split=ratio", "protocol.cleaning.k_core=5"]
    for settings in (typed, typed[::-1], ["protocol.split.kind=ratio", typed[0], typed[2]]):
        assert Protocol.named("session-next", parse_settings(settings)["protocol"]) == python
    file = tmp_path / "recipe.yaml"
    file.write_text("set: {protocol: {split: {kind: ratio, test_share: 0.2}, cleaning: {k_core: 5}}}", encoding="utf-8")
    assert Protocol.named("session-next", load_config(file, {}).set["protocol"]) == python
    file.write_text("set: {protocol: {split: ratio, cleaning: {k_core: 5}}}", encoding="utf-8")
    recipe = load_config(file, {"set": parse_settings(typed[:1])})
    assert Protocol.named("session-next", recipe.set["protocol"]) == python
    file.write_text("set: {protocol: {split: {test_days: 3}, cleaning: {k_core: 5}}}", encoding="utf-8")
    recipe = load_config(file, {"set": parse_settings(typed[:2])})
    assert Protocol.named("session-next", recipe.set["protocol"]) == python


@pytest.mark.parametrize("name", sorted(Protocol.presets))
def test_a_preset_has_one_hash_however_it_is_written(name, tmp_path):
    python = Protocol.named(name)
    values = python.model_dump(mode="json", exclude={"name"})
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"set": {"protocol": values}}), encoding="utf-8")
    settings = [f"protocol.{one}={typed(value)}" for one, value in flatten(values).items()]
    chosen, own = protocol_settings(python)
    forms = [
        Protocol.named("session-next", load_config(file, {}).set["protocol"]),
        Protocol.named("session-next", parse_settings(settings)["protocol"]),
        Protocol.named(chosen, own),
        Protocol.of({"hash": "0", "fingerprint": "1", **python.model_dump(mode="json")}),
        Protocol(**Protocol.presets[name]),
    ]
    assert {protocol_hash(form, "log") for form in forms} == {protocol_hash(python, "log")}
    assert (chosen, own) == (name, {})


def test_an_unknown_protocol_is_refused_with_a_guess():
    with pytest.raises(UnknownNameError, match="unknown protocol 'sesion-next': did you mean 'session-next'"):
        Protocol.named("sesion-next")


def test_all_mistakes_are_reported_together():
    with pytest.raises(ParameterError) as caught:
        Protocol.named(
            "session-next",
            {
                "cleaning": {"min_support": 0, "recent_share": 1.5, "kcore": 5},
                "split": "random",
                "cases": {"label": "stars"},
                "ranking": {"seed": 3},
                "k_core": 5,
            },
        )
    message = str(caught.value)
    assert "protocol.cleaning.min_support: must be greater than or equal to 1, got 0" in message
    assert "protocol.cleaning.recent_share: must be less than or equal to 1, got 1.5" in message
    assert "protocol.split: must be one of 'last-days', 'last-event', " in message
    assert "unknown parameter of protocol 'cleaning.kcore': did you mean 'cleaning.k_core'?" in message
    assert "unknown parameter of protocol 'k_core': did you mean 'cleaning.k_core'?" in message
    assert "protocol.ranking.seed: has no effect with candidates 'full', where nothing is sampled" in message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"split": {"kind": "ratio", "test_days": 7}},
            "protocol.split.test_days: belongs to split 'last-days', got split 'ratio'; leave it out, or set "
            "protocol.split=last-days",
        ),
        (
            {"split": {"test_share": 0.2}},
            "split.test_share: belongs to split 'ratio', 'global-time', got split 'last",
        ),
        ({"split": {"kind": "last-event", "ratios": (8, 1, 1)}}, "split.ratios: belongs to split 'event-ratio', got"),
        ({"split": {"kind": "last-event", "seed": 3}}, "split.seed: has no effect with order=time, .* got 3"),
        (
            {"split": {"kind": "global-time", "test_from": "2024-02-01", "test_share": 0.2}},
            "split.test_share: has no effect with test_from, which decides what is held out, got 0.2",
        ),
        (
            {"cases": {"label": "stars", "label_threshold": 4}},
            "cases.label: has no effect with ranking.candidates 'full', because it belongs to 'labeled', got 'stars'; "
            ".*\n"
            "protocol.cases.label_threshold: has no effect with ranking.candidates 'full', .* got 4.0",
        ),
        ({"cases": {"feed_valid": False}}, "cases.feed_valid: has no effect with split 'last-days', .* got False"),
        (
            {"cases": {"feed_valid": False}, "split": {"kind": "last-event", "leave": "test_only"}},
            "cases.feed_valid: has no effect with split 'last-event', where no session has both",
        ),
        (
            {"ranking": {"seed": 3}},
            "ranking.seed: has no effect with candidates 'full', .* got 3; remove it, or set uniN or popN",
        ),
        (
            {"ranking": {"candidates": "labeled", "ties": "average"}},
            "ranking.ties: has no effect with candidates 'lab",
        ),
        (
            {"cleaning": {"k_core": 5, "order": ["incomplete", "hold-out-test"]}},
            "cleaning.k_core: has no effect because cleaning.order has no step 'k-core', got 5; .* add the step",
        ),
        (
            {"split": {"valid_days": 3}, "cleaning": {"order": ["incomplete", "hold-out-test"]}},
            "split.valid_days: has no effect because cleaning.order has no step 'hold-out-valid', got 3.0",
        ),
    ],
)
def test_a_parameter_without_effect_is_refused_with_what_it_belongs_to(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Protocol.named("session-next", parameters)


def test_what_a_change_leaves_without_effect_goes_back_to_its_default():
    short = {"cleaning": {"order": ["incomplete", "hold-out-test"]}}
    assert Protocol.named("session-next", short).cleaning == Cleaning(**short["cleaning"])
    drawn = Protocol.named("session-next", {"ranking": {"candidates": "uni100", "seed": 3}})
    assert drawn.changed({"ranking": {"candidates": "pop5"}}).ranking == Ranking(candidates="pop5", seed=3)
    assert drawn.changed({"ranking": {"candidates": "full"}}).ranking == Ranking()
    stars = {"ranking": {"candidates": "labeled"}, "cases": {"label": "stars", "label_threshold": 4}}
    assert Protocol.named("session-next", stars).changed({"ranking": {"candidates": "full"}}).cases == CaseRules()
    shown = Protocol.named("leave-one-out", {"cases": {"feed_valid": False}})
    assert shown.changed({"split": "ratio"}).cases.feed_valid


@pytest.mark.parametrize("described", [{"steps": ["incomplete"]}, {"name": "session-next", "split": "last-days"}])
def test_a_protocol_on_one_level_is_refused(described):
    with pytest.raises(ArtifactError, match=r"about: was written by an earlier version of segue, .* this version"):
        Protocol.of(described, "about")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cleaning": {"order": []}}, "begins with 'incomplete' and contains 'hold-out-test' once"),
        ({"cleaning": {"order": ["hold-out-test"]}}, "begins with 'incomplete'"),
        ({"cleaning": {"order": ["incomplete", "hold-out-test", "hold-out-test"]}}, "contains 'hold-out-test' once"),
        ({"cleaning": {"order": ["incomplete", "hold-out-valid", "hold-out-test"]}}, "after 'hold-out-test'"),
        ({"cleaning": {"order": ["incomplete", "known-items", "hold-out-test"]}}, "after 'hold-out-test'"),
        ({"cleaning": {"order": ["incomplete", "hold-out-test", "shuffle"]}}, "protocol.cleaning.order"),
        (
            {"cleaning": {"since": "2024-02-01", "until": "2024-01-01"}},
            "protocol.cleaning.until: must be a time after since",
        ),
        (
            {"split": {"kind": "global-time", "valid_from": "2024-01-01"}},
            "protocol.split.valid_from: has no effect without test_from, ",
        ),
        (
            {"split": {"kind": "event-ratio", "ratios": (8, 2, 0)}},
            "protocol.split.ratios: must be three shares of 0 or more, with training and test above 0",
        ),
        (
            {"ranking": {"candidates": "uni"}},
            "protocol.ranking.candidates: must be full, labeled, uniN or popN with a number N such as uni100",
        ),
        ({"ranking": {"candidates": "pop0"}}, "protocol.ranking.candidates: must be full, labeled, uniN or popN"),
        ({"valid_metric": "recal@20"}, "protocol.valid_metric: unknown metric 'recal@20': did you mean 'recall@20'"),
        (
            {"split": {"kind": "global-time", "test_from": "2024-01-01", "valid_from": "2024-01-01"}},
            "protocol.split.valid_from: must be a time before test_from",
        ),
        (
            {"ranking": {"metrics": ["recal@20"]}},
            "protocol.ranking.metrics: unknown metric 'recal@20': did you mean 'recall@20'",
        ),
        ({"ranking": {"metrics": []}}, "protocol.ranking.metrics"),
        ({"cleaning": {"since": "yesterday"}}, "protocol.cleaning.since"),
        (
            {"cleaning": {"since": "9999-12-31T23:59:59-12:00"}},
            "protocol.cleaning.since: must be a time in the years 1 to 9999 in UTC, got '?9999",
        ),
        (
            {"split": {"kind": "global-time", "test_from": "0001-01-01T00:00:00+14:00"}},
            "protocol.split.test_from: must be a time in the years 1 to 9999 in UTC, got '?0001",
        ),
        (
            {"cleaning": {"value_interval": {"rating": "3 up"}}},
            "protocol.cleaning.value_interval: must be .* the interval of rating must be an interval",
        ),
        (
            {"cleaning": {"session_interval": "[5,2]"}},
            r"protocol.cleaning.session_interval: must be an interval .* got '\[5,2\]'",
        ),
    ],
)
def test_a_rule_that_is_broken_is_named(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Protocol.named("session-next", parameters)


def test_a_date_is_shown_as_it_is_written():
    with pytest.raises(ParameterError, match=r"a time after since \(2024-02-01T00:00:00\), got 2024-01-01$"):
        Protocol.named("session-next", {"cleaning": {"since": date(2024, 2, 1), "until": date(2024, 1, 1)}})


def test_times_are_meant_in_utc():
    protocol = Protocol.named(
        "session-next", {"cleaning": {"since": "2024-01-01T02:00:00+02:00", "until": "2024-01-02"}}
    )
    assert (protocol.cleaning.since, protocol.cleaning.until) == (datetime(2024, 1, 1), datetime(2024, 1, 2))


def test_every_step_and_split_does_something():
    assert {*STEPS, "hold-out-test", "hold-out-valid", "known-items"} == set(StepName.__args__)
    assert set(DEFAULT_ORDER) == set(StepName.__args__) - {"known-items"}
    assert {name for step in STEPS.values() for name in step.parameters} == set(Cleaning.model_fields) - {"order"}
    for kind, split in SPLITS.items():
        assert split().kind == kind
        assert split.test_part is not BaseSplit.test_part
        assert split.validation_part is not BaseSplit.validation_part


@pytest.mark.parametrize("name", ["cleaning.last_days", "cleaning.session_gap", "split.test_days", "split.valid_days"])
def test_an_infinite_number_is_refused(name):
    with pytest.raises(ParameterError, match=f"protocol.{name}: must be a finite number, got inf"):
        Protocol.named("session-next", nested({name: float("inf")}))


def test_none_is_a_choice_of_groups_on_a_command_line():
    tree = parse_settings(["protocol.split=event-ratio", "protocol.split.group_by=none"])
    assert Protocol.named("session-next", tree["protocol"]).split.group_by == "none"


def test_on_a_whole_log_every_event_is_predicted_that_was_one_of_many():
    assert (
        Protocol.named("leave-one-out", {"cases": {"targets": "together"}}).on_whole_log().cases.targets == "every-next"
    )
    assert Protocol.named("leave-one-out", {"cases": {"targets": "first"}}).on_whole_log().cases.targets == "first"


def test_the_headline_is_the_first_two_metrics():
    assert Protocol.named("session-next").ranking.headline == ("recall@20", "mrr@20")
    assert Protocol.named("leave-one-out").ranking.headline == ("hit@10", "ndcg@10")


@pytest.mark.parametrize(
    "parameter", describe(Protocol), ids=lambda parameter: f"{parameter.name} {' '.join(parameter.kinds)}"
)
def test_every_parameter_is_documented_as_it_is_declared(parameter):
    default = (
        ", ".join(map(str, parameter.default))
        if isinstance(parameter.default, tuple)
        else str(parameter.default).lower()
    )
    rule = parameter.rule.replace("|", "\\|")
    line = f"| `{parameter.name}` | {default} | {rule} | {parameter.meaning} |\n"
    text = DOCS.read_text(encoding="utf-8")
    parts = [text.split(f"### Parameters of `{kind}`\n")[1].split("\n#")[0] for kind in parameter.kinds] or [text]
    assert all(line in part for part in parts)


@pytest.mark.parametrize("name", [*StepName.__args__, *SPLITS, *Protocol.presets])
def test_every_step_split_and_protocol_is_documented(name):
    assert f"| `{name}` |" in DOCS.read_text(encoding="utf-8")


def test_new_sessions_begin_before_the_test_part_is_held_out() -> None:
    with pytest.raises(ParameterError, match="'sessionise' before 'hold-out-test'"):
        Protocol.named("session-next", {"cleaning": {"order": ["incomplete", "hold-out-test", "sessionise"]}})
