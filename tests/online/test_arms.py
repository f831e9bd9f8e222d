"""Who is in which arm: shares, determinism, and how many units move when a weight changes."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from segue.errors import ParameterError
from segue.online.arms import Experiment, Split, read_experiment

UNITS = [f"s{number}" for number in range(40_000)]
MODELS = ["v-sknn", "gru4rec"]
GOOD = """experiment:
  name: homepage
  arms:
    control: {model: v-sknn, weight: 50}
    gru: {model: gru4rec, weight: 50}
"""


def split(*weights: float, name: str = "test", salt: str | None = None) -> Split:
    arms = {f"arm-{place}": {"model": "m", "weight": weight} for place, weight in enumerate(weights)}
    return Split(Experiment(name=name, salt=salt, arms=arms))


def drawn(one: Split) -> list[str]:
    return [one.arm_of(unit) for unit in UNITS]


@pytest.mark.parametrize("weights", [(50, 50), (1, 9), (1, 2, 7), (0, 1, 1)])
def test_shares_are_proportional_to_weights(weights) -> None:
    counts = Counter(drawn(split(*weights)))
    for place, weight in enumerate(weights):
        share = weight / sum(weights)
        spread = (share * (1 - share) / len(UNITS)) ** 0.5
        assert counts[f"arm-{place}"] / len(UNITS) == pytest.approx(share, abs=4 * spread)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ((50, 50), (40, 60), 1),
        ((1, 1, 1), (1, 1, 4), 2),
        ((5, 3, 2), (0, 3, 2), 0),
        ((9, 1), (9, 0), 1),
        ((1, 1, 0), (1, 1, 1), 2),
    ],
)
def test_one_changed_weight_moves_as_few_units_as_possible(before, after, changed) -> None:
    """Units move to this arm, or from it, and no more than the change of the shares makes necessary."""
    old, new = split(*before), split(*after)
    moves = [(one, other) for one, other in zip(drawn(old), drawn(new), strict=True) if one != other]
    assert all(f"arm-{changed}" in pair for pair in moves)
    least = sum(max(0.0, new.shares[name] - old.shares[name]) for name in new.shares)
    assert len(moves) / len(UNITS) == pytest.approx(least, abs=4 * (least / len(UNITS)) ** 0.5)


@pytest.mark.parametrize(("before", "after"), [((5, 3, 2), (3, 3, 4)), ((1, 1, 1, 1), (4, 3, 2, 1))])
def test_several_changed_weights_move_a_bounded_share(before, after) -> None:
    old, new = split(*before), split(*after)
    moved = sum(one != other for one, other in zip(drawn(old), drawn(new), strict=True)) / len(UNITS)
    distance = sum(max(0.0, new.shares[name] - old.shares[name]) for name in new.shares)
    assert distance - 0.01 <= moved <= 2 * distance / (1 + distance) + 0.01


def test_the_scale_of_the_weights_does_not_matter() -> None:
    assert drawn(split(1, 3)) == drawn(split(25, 75))


def test_experiments_divide_independently() -> None:
    """The arm in one experiment says nothing about that in the next one; an equal salt gives equal arms."""
    first, second = drawn(split(1, 1, name="one")), drawn(split(1, 1, name="two"))
    both = Counter(zip(first, second, strict=True))
    assert all(count / len(UNITS) == pytest.approx(0.25, abs=0.01) for count in both.values())
    assert first == drawn(split(1, 1, name="two", salt="one"))


def test_every_process_draws_the_same_arm() -> None:
    code = (
        "from segue.online.arms import Experiment, Split; arm = lambda w: {'model': 'm', 'weight': w};"
        "one = Split(Experiment(name='\\xe9', arms={'a': arm(1), 'b': arm(2), '\\xfc': arm(1)}));"
        "print(''.join(one.arm_of(f's{n}') for n in range(200)).encode().hex())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONHASHSEED": seed, **_path()}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def _path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}


def test_known_arms() -> None:
    """The rule is fixed: another implementation of a site finds the same arms."""
    from hashlib import sha256
    from math import log

    def draw(arm: str, weight: float, unit: str) -> float:
        number = int.from_bytes(sha256(f"test\0{arm}\0{unit}".encode()).digest()[:8], "big") >> 11
        return -log((number + 0.5) / 2**53) / weight

    one = split(3, 1)
    for unit in UNITS[:200]:
        assert one.arm_of(unit) == min(("arm-0", 3), ("arm-1", 1), key=lambda arm: draw(*arm, unit))[0]


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(GOOD, encoding="utf-8")
    found = read_experiment(file, MODELS)
    assert (found.name, found.unit, found.interleave) == ("homepage", "session", False)
    assert Split(found).shares == {"control": 0.5, "gru": 0.5}
    file.write_text(GOOD + "\nrules: []\n", encoding="utf-8")
    assert read_experiment(file, MODELS) == found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "weight: 50}\n    gru",
            "weight: -1}\n    gru",
            "line 4: experiment.arms.control.weight: must be greater than or equal to 0, got -1",
        ),
        (
            "gru4rec",
            "gru",
            "line 5: experiment.arms.gru.model: must be a model in service (v-sknn, gru4rec), got 'gru'; correct",
        ),
        (
            "model: gru4rec",
            "modle: gru4rec",
            "line 5: experiment.arms.gru.modle: unknown field 'modle': did you mean 'model'?",
        ),
        (
            "  name: homepage\n",
            "",
            "line 1: experiment: must have name, got arms; add a line such as 'name: homepage-2026-11'",
        ),
        (
            "  name",
            "  salz: 1\n  name",
            "line 2: experiment.salz: unknown field 'salz': did you mean 'salt'?",
        ),
        (
            "weight: 50",
            "weight: 0",
            "line 1: experiment: must be an experiment with an arm whose weight is not 0",
        ),
        (
            "    gru: {model: gru4rec, weight: 50}\n",
            "",
            "line 3: experiment.arms: must be 2 to 20 arms, got",
        ),
        (
            "  name",
            "  unit: visitor\n  name",
            "line 2: experiment.unit: must be 'session' or 'user', got 'visitor'",
        ),
        (
            "experiment:",
            "experimnt:",
            "must have the section experiment, with name and arms, and beside it rules at most, got experimnt",
        ),
        (
            "name: homepage",
            "name: &a homepage",
            "line 2: anchors (&) and aliases (*) are not read",
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        read_experiment(file, MODELS)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_all_mistakes_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    lines = [
        "experiment:",
        "  nam: x",
        "  unit: visitor",
        "  arms:",
        "    control: {model: vsknn, weight: -1}",
        "    b: {modl: markov, weight: two}",
        "    c: v-sknn",
        "extra: 1",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        read_experiment(file, MODELS)
    assert [line.removeprefix(f"{file}, line ")[:48] for line in caught.value.lines] == [
        "1: experiment: must have name, got nam, unit, arms; add a line such as"[:48],
        "2: experiment.nam: unknown field 'nam': did you mean 'name'?"[:48],
        "3: experiment.unit: must be 'session' or 'user', got 'visitor'"[:48],
        "5: experiment.arms.control.model: must be a model in service"[:48],
        "5: experiment.arms.control.weight: must be greater than or equal to 0"[:48],
        "6: experiment.arms.b.modl: unknown field 'modl': did you mean 'model'?"[:48],
        "6: experiment.arms.b: must have model, got modl, weight; add a line"[:48],
        "6: experiment.arms.b.weight: must be a number, got 'two'"[:48],
        "7: experiment.arms.c: must be names and values, got 'v-sknn'"[:48],
        "8: extra: unknown section 'extra': choose one of experiment, rules"[:48],
    ]


def test_interleaving_needs_two_arms() -> None:
    with pytest.raises(ValueError, match="two arms with interleave: true"):
        Experiment(name="x", interleave=True, arms={name: {"model": "m"} for name in "abc"})


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"--experiment: .*nothing\.yaml cannot be read"):
        read_experiment(tmp_path / "nothing.yaml", MODELS)
