"""Numbers of the worked examples that a formula gives: means, intervals, and tables besides the main one."""

from collections.abc import Sequence
from math import comb, exp, lgamma, log, log2, sqrt

import pytest

from segue.explain.catalogue import TOPICS


def cells(topic: str, start: str) -> list[list[str]]:
    """Return the cells of the lines of an example that start like this."""
    lines = TOPICS[topic].example().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(start)]


def softmax(scores: Sequence[float]) -> list[float]:
    total = sum(map(exp, scores))
    return [exp(score) / total for score in scores]


@pytest.mark.parametrize("temperature", [1, 5])
def test_the_items_that_the_teacher_has_not_kept_are_pushed_down(temperature: int) -> None:
    student, kept = (softmax([score / temperature for score in scores]) for scores in ((2, 1, 0, 0, 0), (2, 1)))
    expected = [temperature * (own - p) for own, p in zip(student, [*kept, 0.0, 0.0, 0.0], strict=True)]
    (found,) = cells("distillation", f"| {temperature} | 2 | -")
    assert [float(one) for one in found[2:]] == pytest.approx(expected, abs=5e-5)
    assert min(expected[2:]) > 0
    (all_kept,) = cells("distillation", f"| {temperature} | 5 | ")
    assert all_kept[2:] == ["0.0000"] * 5


def test_a_sampled_item_has_another_weight_than_a_target_of_equal_support() -> None:
    assert cells("session-parallel-batches", "| C | target of lane 1") == [
        ["C", "target of lane 1", "2", "1", "2.0000", f"{1 - log(2):.4f}"]
    ]
    assert cells("session-parallel-batches", "| A | sampled") == [
        ["A", "sampled", "2", "2", f"{sqrt(2):.4f}", f"{2 - log(2) / 2:.4f}"]
    ]
    text = TOPICS["session-parallel-batches"].example()
    assert f"{-log(softmax([1, 0, 2])[0]):.4f}; with" in text
    assert f"{-log(softmax([1 - log(2), 0, 2 - log(2) / 2])[0]):.4f}. A and C" in text


def test_the_best_list_has_the_value_one_or_what_the_relevant_items_allow() -> None:
    for k, recall, precision in ((2, 2 / 3, 1.0), (3, 1.0, 1.0), (5, 1.0, 3 / 5)):
        found = cells("ranking-metrics", f"| {k} | {recall:.4f}")[0]
        assert found[1:] == [f"{one:.4f}" for one in (recall, recall, 1.0, precision)]


def test_few_random_vectors_have_less_in_the_plane_than_in_the_limit() -> None:
    assert "7.7% for 200\nitems, where 20 random draws have 7.2% on average" in TOPICS["projections"].example()


def test_perplexity_is_two_to_the_entropy_in_bits() -> None:
    p = softmax([-1 / 2, -3 / 2])
    perplexity = 2 ** -sum(share * log2(share) for share in p)
    assert f"{p[0]:.4f} and {p[1]:.4f}, a perplexity of {perplexity:.2f};" in TOPICS["projections"].example()


def test_the_interval_of_the_example_is_as_wide_as_the_formula_says() -> None:
    lines = [line.split(" | ") for line in TOPICS["seeds"].example().splitlines() if line.startswith("| 1")]
    assert len(lines) == 3
    for _, _, low, high, width in lines:
        assert (float(high) - float(low)) / 2 == pytest.approx(float(width.rstrip(" |")), rel=0.1, abs=0.001)


def test_the_share_of_hits_is_near_its_probability() -> None:
    # At rank 100, 99 of 999 items are better.
    expected = sum(comb(99, n) * comb(900, 99 - n) for n in range(10)) / comb(999, 99)
    (found,) = cells("sampled-metrics", "| 100 |")
    assert float(found[3]) == pytest.approx(expected, abs=0.04)
    assert float(found[5]) == pytest.approx(float(found[4]), abs=0.01)


@pytest.mark.parametrize(("size", "logq"), [(10, 1), (100, 1), (400, 1), (400, 0)])
def test_the_gradient_of_sampled_negatives_is_its_expected_value(size: int, logq: int) -> None:
    """How often A, B and C are drawn is multinomial; B is the target, so its hits are left out."""
    q = [100 / 111, 10 / 111, 1 / 111]
    mean = [0.0, 0.0]
    for rare in range(min(size, 30) + 1):
        rest = size - rare
        for often in range(max(0, rest - 120), rest + 1):
            logs = lgamma(size + 1) - lgamma(rare + 1) - lgamma(often + 1) - lgamma(rest - often + 1)
            chance = exp(logs + often * log(q[0]) + (rest - often) * log(q[1]) + rare * log(q[2]))
            weights = [often / (size * q[0]) ** logq, rare / (size * q[2]) ** logq]
            mean = [old + chance * one / (1 + sum(weights)) for old, one in zip(mean, weights, strict=True)]
    (found,) = cells("negative-sampling", f"| {size} | {logq} |")
    assert [float(one) for one in found[2:]] == pytest.approx([mean[0], -sum(mean), mean[1]], abs=6e-4)
