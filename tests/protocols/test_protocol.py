"""The protocol as an object: names, overrides, rules, hash."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from segue.errors import ParameterError, UnknownNameError
from segue.experiment.config import parse_settings
from segue.parameters import describe
from segue.protocols.protocol import ORDER, Protocol, SplitName, StepName
from segue.protocols.steps import CLEANING, SPLITS

DOCS = Path(__file__).parents[2] / "docs" / "protocols.md"


@pytest.mark.parametrize("name", sorted(Protocol.presets))
def test_each_named_protocol_is_valid_and_survives_json(name):
    protocol = Protocol.named(name)
    assert protocol.name == name
    assert Protocol.model_validate(json.loads(json.dumps(protocol.model_dump(mode="json")))) == protocol


def test_the_default_asks_for_no_filter():
    assert not [name for name, step in CLEANING.items() if step.parameters and step.asked(Protocol())]


def test_parameters_stand_on_top_of_the_named_protocol():
    protocol = Protocol.named("leave-one-out", {"k_core": 10, "exclude_seen": False})
    assert (protocol.split, protocol.k_core, protocol.exclude_seen) == ("last-event", 10, False)
    assert protocol.changed({"k_core": 3}).k_core == 3
    assert protocol.k_core == 10


def test_an_unknown_protocol_is_refused_with_a_guess():
    with pytest.raises(UnknownNameError, match="unknown protocol 'sesion-next': did you mean 'session-next'"):
        Protocol.named("sesion-next")


def test_all_mistakes_are_reported_together():
    with pytest.raises(ParameterError) as caught:
        Protocol.named("session-next", {"min_support": 0, "recent_share": 1.5, "split": "random", "kcore": 5})
    message = str(caught.value)
    assert "protocol.min_support: must be greater than or equal to 1, got 0" in message
    assert "protocol.recent_share: must be less than or equal to 1, got 1.5" in message
    assert "protocol.split: must be 'last-days'" in message
    assert "unknown parameter of protocol 'kcore': did you mean 'k_core'?" in message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": []}, "begins with 'incomplete' and holds 'hold-out-test' once"),
        ({"steps": ["hold-out-test"]}, "begins with 'incomplete'"),
        ({"steps": ["incomplete", "hold-out-test", "hold-out-test"]}, "holds 'hold-out-test' once"),
        ({"steps": ["incomplete", "hold-out-valid", "hold-out-test"]}, "after 'hold-out-test'"),
        ({"steps": ["incomplete", "known-items", "hold-out-test"]}, "after 'hold-out-test'"),
        ({"steps": ["incomplete", "hold-out-test", "shuffle"]}, "protocol.steps"),
        ({"since": "2024-02-01", "until": "2024-01-01"}, "protocol.until: must be a time after since"),
        (
            {"split": "global-time", "valid_from": "2024-01-01"},
            "protocol.valid_from: must be left out where test_from is; valid_share says",
        ),
        (
            {"ratios": (8, 2, 0)},
            "protocol.ratios: must be three shares of 0 or more, those of training and test above 0",
        ),
        (
            {"candidates": "uni"},
            "protocol.candidates: must be full, labeled, uniN or popN with a number N such as uni100",
        ),
        ({"candidates": "pop0"}, "protocol.candidates: must be full, labeled, uniN or popN"),
        ({"valid_metric": "recal@20"}, "protocol.valid_metric: must be a metric .*did you mean 'recall'"),
        (
            {"test_from": "2024-01-01", "valid_from": "2024-01-01"},
            "protocol.valid_from: must be a time before test_from",
        ),
        ({"metrics": ["recal@20"]}, "protocol.metrics: must be a list of metrics .*did you mean 'recall'"),
        ({"metrics": []}, "protocol.metrics"),
        ({"since": "yesterday"}, "protocol.since"),
        (
            {"value_interval": {"rating": "3 up"}},
            "protocol.value_interval: must be .* that of rating must be an interval",
        ),
        ({"session_interval": "[5,2]"}, r"protocol.session_interval: must be an interval .* got '\[5,2\]'"),
    ],
)
def test_a_rule_that_is_broken_is_named(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Protocol.named("session-next", parameters)


def test_times_are_meant_in_utc():
    protocol = Protocol.named("session-next", {"since": "2024-01-01T02:00:00+02:00", "until": "2024-01-02"})
    assert (protocol.since, protocol.until) == (datetime(2024, 1, 1), datetime(2024, 1, 2))


def test_every_step_and_split_does_something():
    assert {*CLEANING, "hold-out-test", "hold-out-valid", "known-items"} == set(StepName.__args__)
    assert set(SPLITS) == set(SplitName.__args__)
    assert set(ORDER) == set(StepName.__args__) - {"known-items"}
    fields = set(Protocol.model_fields)
    assert all(set(step.parameters) <= fields for step in CLEANING.values())


@pytest.mark.parametrize("name", ["last_days", "session_gap", "test_days", "valid_days"])
def test_an_infinite_number_is_refused(name):
    with pytest.raises(ParameterError, match=f"protocol.{name}: must be a finite number, got inf"):
        Protocol.named("session-next", {name: float("inf")})


def test_none_is_a_choice_of_groups_on_a_command_line():
    tree = parse_settings(["protocol.split=event-ratio", "protocol.group_by=none"])
    assert Protocol.named("session-next", tree["protocol"]).group_by == "none"


def test_on_a_whole_log_every_event_is_predicted_that_was_one_of_many():
    assert Protocol.named("leave-one-out", {"cases": "together"}).on_whole_log().cases == "every-next"
    assert Protocol.named("leave-one-out", {"cases": "first"}).on_whole_log().cases == "first"


def test_the_headline_is_the_first_two_metrics():
    assert Protocol.named("session-next").headline == ("recall@20", "mrr@20")
    assert Protocol.named("leave-one-out").headline == ("hit@10", "ndcg@10")


@pytest.mark.parametrize("parameter", describe(Protocol), ids=lambda parameter: parameter.name)
def test_every_parameter_is_documented_as_it_is_declared(parameter):
    default = (
        ", ".join(map(str, parameter.default))
        if isinstance(parameter.default, tuple)
        else str(parameter.default).lower()
    )
    rule = parameter.rule.replace("|", "\\|")
    assert f"| `{parameter.name}` | {default} | {rule} | {parameter.meaning} |\n" in DOCS.read_text()


@pytest.mark.parametrize("name", [*StepName.__args__, *SplitName.__args__, *Protocol.presets])
def test_every_step_split_and_protocol_is_documented(name):
    assert f"| `{name}` |" in DOCS.read_text()
