"""Configurations are read strictly: what cannot be meant is refused in one short line."""

import math
import re
import time
from pathlib import Path

import pytest

from segue import strict_yaml
from segue.errors import ParameterError
from segue.experiment.config import RunConfig, parse_settings
from segue.models.sasrec import SASRec
from segue.spaces import parse_space

REFUSED = {
    "a date that is none": ("since: 2026-02-30", "line 1: '2026-02-30' is not a date; quote it if it is text"),
    "an integer of 5,000 digits": ("a: " + "9" * 5000, "is not an integer"),
    "an integer beyond 64 bits": ("a:\n- 9223372036854775808", "line 2: '9223372036854775808' is too large for"),
    "a hexadecimal integer": ("a: 0x" + "f" * 5000, "is too large for an integer of 64 bits"),
    "a deep list": ("[" * 5000 + "]" * 5000, "nested at most 20 deep"),
    "a deep mapping": ("{a: " * 5000, "nested at most 20 deep"),
    "a bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "line 1: anchors (&) and aliases (*) are not read"),
    "an alias": ("a: *b", "line 1: anchors (&) and aliases (*) are not read"),
    "a tag": ("a: !!binary aaaa", "line 1: tags (!) are not read"),
    "a name twice": ("seed: 1\nseed: 2", "line 2: the name 'seed' occurs twice; remove one of them"),
    "a name twice inside": ("a: {b: 1, b: 2}", "line 1: the name 'b' occurs twice"),
    "no space after a colon": ("a: {b:1, c: 2}", "line 1: 'b:1' has no value; put a space after the colon: b: 1"),
    "a number as a name": ("1: 2", "a name must be text, got '1'; quote it"),
    "a list as a name": ("? [a]\n: 2", "a name must be text"),
    "a merge": ("<<: {a: 1}", "line 1: '<<' differs between YAML 1.1 and 1.2"),
    "a surrogate": ('a: "\\ud800"', "is not text that UTF-8 can hold"),
    "a control character": ("a: \x1b", "special characters are not allowed"),
    "two documents": ("a: 1\n--- \nb: 2", "line 2: another document begins; remove it"),
    "a list without an end": ("a: 1\nb: [1,\n  2\n", "line 2: a bracket or a quote is not closed; close it"),
    "a text without an end": ('a: "b\nc: 1\n', "line 1: a bracket or a quote is not closed; close it"),
    "a tab": ("a:\n\tb: 1\n", "line 2: begins with a tab; indent with spaces"),
    "200,000 names": ("".join(f"k{n}: {n}\n" for n in range(200_000)), "it is longer than 256 KB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case: str) -> None:
    text, message = REFUSED[case]
    started = time.monotonic()
    with pytest.raises(ValueError, match=r".") as caught:
        strict_yaml.loads(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 5


AMBIGUOUS = ("010", "08", "-007", "1_000", "1_0.5", "1:30", "-190:20:30.5", "0b11", "0o17", "0x1_F", "<<", "01e3")


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_readers_of_yaml_read_differently_is_refused(text: str) -> None:
    message = f"'{text}' differs between YAML 1.1 and 1.2; write a plain number, or quote it if it is text"
    with pytest.raises(ValueError, match=re.escape(message)):
        strict_yaml.loads(f"a: [{text}]")
    assert strict_yaml.loads(f"a: '{text}'") == {"a": text}
    with pytest.raises(
        ParameterError, match=re.escape(f"--set: the value in 'm.x={text}' cannot be read: line 1: {message}")
    ):
        parse_settings([f"m.x={text}"])
    with pytest.raises(ParameterError, match=re.escape(message)):
        parse_space("m.x", f"[{text}, 1]")


def test_a_long_number_is_refused_at_once() -> None:
    started = time.monotonic()
    for text in ("1" + ":30" * 80_000, "1_" * 100_000, "0" * 200_000):
        with pytest.raises(ValueError, match=r"differs between YAML 1\.1 and 1\.2"):
            strict_yaml.loads(f"a: {text}")
    assert time.monotonic() - started < 10


def test_plain_values_are_those_of_yaml_1_2() -> None:
    text = "[no, Yes, on, OFF, y, 1e3, 1e-3, .5, +1, 0x1F, -0, 1.2.3, 12:75, 0123abc, -.inf, True, ~, '']"
    expected = ["no", "Yes", "on", "OFF", "y", 1000.0, 0.001, 0.5, 1, 31, 0, "1.2.3", "12:75", "0123abc", -math.inf]
    found = strict_yaml.loads(text)
    assert found == [*expected, True, None, ""]
    assert list(map(type, found[5:11])) == [float, float, float, int, int, int]
    assert strict_yaml.loads("no: 1") == {"no": 1}
    with pytest.raises(ValueError, match="'1e400' is too large for a number of 64 bits"):
        strict_yaml.loads("1e400")


def test_yes_and_no_are_true_and_false_for_a_parameter_that_is_either() -> None:
    assert RunConfig.model_validate(strict_yaml.loads("{log: no, models: [als], baselines: no}")).baselines is False
    assert RunConfig.model_validate(strict_yaml.loads("{log: no, models: [als], baselines: no}")).log == "no"


@pytest.mark.parametrize("number", [".nan", ".inf", "-.Inf"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    settings = parse_settings([f"sasrec.dropout={number}"])
    with pytest.raises(ParameterError, match=r"sasrec\.dropout: must be a finite number, got"):
        SASRec(**settings["sasrec"])


def test_everything_else_is_read_as_yaml_has_it() -> None:
    text = "a: [1, -2.5, true, null, x, '007']\nb: {c: 9223372036854775807, d: 2026-02-28}\nempty:\n"
    found = strict_yaml.loads(text)
    assert found["a"] == [1, -2.5, True, None, "x", "007"]
    assert found["b"]["c"] == 2**63 - 1
    assert found["b"]["d"].isoformat() == "2026-02-28"
    assert found["empty"] is None


def test_what_is_written_can_be_read() -> None:
    shared = ["x", "2026-02-30", "1e3", "\x1b[31m", "é\u202e", *AMBIGUOUS, "no", "On", "0x1F", ""]
    content = {"a": shared, "b": shared, "c": {"d": None, "e": 0.5}}
    assert strict_yaml.loads(strict_yaml.dumps(content)) == content


def test_a_file_is_read_no_further_than_a_configuration_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer than 256 KB"):
        strict_yaml.read(Path("/dev/zero"))
    (tmp_path / "latin").write_bytes("a: 1\nb: café".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2: the text is not UTF-8"):
        strict_yaml.read(tmp_path / "latin")
