"""Configurations are read strictly: what cannot be meant is refused in one short line."""

import time
from pathlib import Path

import pytest

from segue import strict_yaml

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
    "a number as a name": ("1: 2", "a name must be text, got '1'; quote it"),
    "a list as a name": ("? [a]\n: 2", "a name must be text"),
    "a merge": ("<<: {a: 1}", "a name must be text, got '<<'"),
    "a surrogate": ('a: "\\ud800"', "is not text that UTF-8 can hold"),
    "a control character": ("a: \x1b", "special characters are not allowed"),
    "two documents": ("a: 1\n--- \nb: 2", "line 2: but found another document; quote it if it is text"),
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


def test_everything_else_is_read_as_yaml_has_it() -> None:
    text = "a: [1, -2.5, true, null, x, '007']\nb: {c: 9223372036854775807, d: 2026-02-28}\nempty:\n"
    found = strict_yaml.loads(text)
    assert found["a"] == [1, -2.5, True, None, "x", "007"]
    assert found["b"]["c"] == 2**63 - 1
    assert found["b"]["d"].isoformat() == "2026-02-28"
    assert found["empty"] is None


def test_what_is_written_can_be_read() -> None:
    shared = ["x", "2026-02-30", "1e3", "\x1b[31m", "é\u202e"]
    content = {"a": shared, "b": shared, "c": {"d": None, "e": 0.5}}
    assert strict_yaml.loads(strict_yaml.dumps(content)) == content


def test_a_file_is_read_no_further_than_a_configuration_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer than 256 KB"):
        strict_yaml.read(Path("/dev/zero"))
    (tmp_path / "latin").write_bytes("a: 1\nb: café".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2: the text is not UTF-8"):
        strict_yaml.read(tmp_path / "latin")
