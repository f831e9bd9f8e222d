"""The numbers of the worked examples, worked by hand."""

from math import comb, exp, log, log2, sqrt

import pytest

from segue.explain.catalogue import TOPICS


def row(*cells: str | float, places: int = 4) -> str:
    """Return a line of a table; numbers are rounded."""
    return "| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.{places}f}" for cell in cells) + " |"


def sigma(x: float) -> float:
    return 1 / (1 + exp(-x))


def nll(x: float) -> float:
    return -log(sigma(x))


def softmax(*scores: float) -> list[float]:
    total = sum(map(exp, scores))
    return [exp(score) / total for score in scores]


E = exp(1)
MAX = softmax(0, -1)
"""Shares of two negatives with the scores 0 and -1."""
SCORES = softmax(1, 0, -1)
IDEAL = 1 + 1 / log2(3) + 1 / 2
SWAP_TOP, SWAP_BOTTOM = 1 - 1 / log2(3), 1 / log2(3) - 1 / 2
"""Changes in NDCG, where the target is at rank 2 of 3."""
POWERS = {alpha: [100**alpha, 10**alpha, 1.0] for alpha in (0.0, 0.5, 1.0)}


def drawn(alpha: float, place: int) -> float:
    return POWERS[alpha][place] / sum(POWERS[alpha])


EXPECTED: dict[str, list[str]] = {
    "implicit-feedback": [
        row("1", "1", "1", 1 / 2, 1 / 2, 1 / 4),
        row("10", "1", "10", 10 / 11, 10 / 11, 5 / 11),
        row("10", "2", "20", 20 / 21, 20 / 21, 10 / 21),
    ],
    "k-core": ["| the log | 4 | 4 | 8 |", "| 4 | 3 | 7 |", "| 2 | 2 | 4 |"],
    "padding": ["| AB | 0 1 2 |", "| CABD | 1 2 4 |", "states is 0.0000"],
    "markov-chains": [
        row("0", 0.0, 2 / 3, 1 / 3),
        row("1", (3 / 7) / 4, (2 + 2 / 7) / 4, (1 + 2 / 7) / 4),
    ],
    "temporal-recommendation": [
        row("none", 1.0, 1.0, 3 / 4, 1 / 4),
        row("30", exp(-1), 1.0, 3 * exp(-1) / (3 * exp(-1) + 1), 1 / (3 * exp(-1) + 1)),
        row("10", exp(-3), 1.0, 3 * exp(-3) / (3 * exp(-3) + 1), 1 / (3 * exp(-3) + 1)),
    ],
    "attention": [
        row("causal", 0.0, E / (1 + E), 2 * E / (1 + 2 * E)),
        row("not causal", 2 / 3, 2 * E / (1 + 2 * E), 2 * E / (1 + 2 * E)),
    ],
    "bilinear-decoding": [
        "`B c = (1, 3)`",
        "| (1, 0) | 1 |",
        "| (0, 1) | 3 |",
        "| (1, -1) | -2 |",
        "20,000 weights",
        "7,496,600",
    ],
    "dropout": [row("0.25", 0.25, 4 / 3, 1.0, 1.0, places=2), row("0.5", 0.5, 2.0, 1.0, 1.0, places=2)],
    "residual-connections": [
        "| `pre` | x + f(n(x)) | (1.0, 3.0) |",
        "| `gated` | x + gate * f(n(x)) | (1.0, 3.0) |",
        "| `post` | n(x + f(x)) | (-1.0, 1.0) |",
        "| `query` | n(x) + f(n(x)) | (-1.0, 1.0) |",
        "0.1^10 = 1e-10",
        "1.1^10 = 2.59",
    ],
    "normalisation": [
        "| layer norm | (-1.0000, 1.0000) |",
        "| layer norm, with a row of padding in the batch | (-1.0000, 1.0000) |",
        "| batch norm | (-1.0000, -1.0000) |",
        # 1 among 1, 10 and 0: the mean is 11/3, the variance 101/3 - 121/9 = 182/9.
        f"| batch norm, with a row of padding in the batch | ({(1 - 11 / 3) / sqrt(182 / 9):.4f}, -0.5930) |",
    ],
    "losses": [
        row("`cross-entropy`", log(1 + exp(-1) + exp(-2))),
        row("`bce`", nll(1) + (nll(0) + nll(1)) / 2),
        row("`gbce`", (nll(1) + nll(0) + nll(1)) / 3),
        row("`nce`", nll(1) + nll(0) + nll(1)),
        row("`bpr`", (nll(1) + nll(2)) / 2),
        row("`top1`", (sigma(-1) + sigma(0) + sigma(-2) + sigma(1)) / 2),
        row("`top1-max`", MAX[0] * (sigma(-1) + sigma(0)) + MAX[1] * (sigma(-2) + sigma(1))),
        row("`bpr-max`", -log(MAX[0] * sigma(1) + MAX[1] * sigma(2)) + MAX[1]),
        row("`listnet`", -log(SCORES[0])),
        row("`lambdarank`", (1 - 1 / log2(3)) * nll(1) + (1 - 1 / 2) * nll(2)),
        row("`cosine`", 1 - 24 / 25),
    ],
    "loss-and-metric": [
        row("3", log(1 + 2 * exp(-0.1)), 1.0, 1.0),
        row("9", (log(1 + 2 * exp(-5)) + log(2 + exp(0.1))) / 2, 1 / 2, (1 + 1 / 2) / 2),
    ],
    "pointwise-pairwise-listwise": [
        row("pointwise: `bce`", -1 / 2, sigma(2) / 2, sigma(-2) / 2),
        row("pairwise: `bpr`", -(sigma(2) + sigma(-2)) / 2, sigma(2) / 2, sigma(-2) / 2),
        row(
            "pairwise, weighted by NDCG: `lambdarank`",
            -(SWAP_TOP * sigma(2) + SWAP_BOTTOM * sigma(-2)),
            SWAP_TOP * sigma(2),
            SWAP_BOTTOM * sigma(-2),
        ),
        row("listwise: `cross-entropy`", softmax(0, 2, -2)[0] - 1, *softmax(0, 2, -2)[1:]),
    ],
    "session-parallel-batches": [
        "| 1 | A → B (reset) | D → E (reset) |",
        "| 2 | B → C | F → G (reset) |",
        "| 3 | - | G → H |",
    ],
    "tan-recipes": [
        "| A | A | B | DC |",
        "| AB | AB | C | D |",
        "| ABC | AC | D | nothing |",
        "session number 4 of 4",
        "0.0400",
    ],
    "negative-sampling": [
        row(name, str(events), drawn(0.0, place), drawn(0.5, place), drawn(1.0, place), log(100 * drawn(0.5, place)))
        for place, (name, events) in enumerate({"A": 100, "B": 10, "C": 1}.items())
    ],
    "distillation": [row(f"{t}", *softmax(2 / t, 1 / t, 0), t * t * log(3), log(3)) for t in (1, 2, 5)],
    "ranking-metrics": [
        row("recall@5", "2/3", 2 / 3),
        row("precision@5", "2/5", 2 / 5),
        row("hit@5", "1, since at least one is listed", 1.0),
        row("mrr@5", "1/2", 1 / 2),
        row("ndcg@5", "(1/log2 3 + 1/log2 5) / (1 + 1/log2 3 + 1/2)", (1 / log2(3) + 1 / log2(5)) / IDEAL),
        row("map@5", "(1/2 + 2/4) / 3", (1 / 2 + 2 / 4) / 3),
        f"5/6 = {5 / 6:.4f}",
    ],
    "sampled-metrics": [
        # At rank 30, 29 of 999 items are better: in the first ten if at most 9 of the 99 drawn are among them.
        row(
            "A: every target at rank 30",
            0.0,
            sum(comb(29, n) * comb(970, 99 - n) for n in range(10)) / comb(999, 99),
            places=2,
        ),
        row("B: half at rank 2, half at 900", 0.5, 0.5, places=2),
    ],
    "ties": [
        row("`served`", 20 / 100, sum(1 / rank for rank in range(1, 101)) / 100),
        row("`pessimistic`", 0.0, 1 / 100),
        row("`optimistic`", 1.0, 1.0),
        row("`average`", 0.0, 1 / 50.5),
    ],
    "seeds": ["| 0.096 |", "| 0.030 |", "| 0.010 |"],
    "learning-curves": [
        # 0.19 > 1.01 * 0.17; 0.20 = 0.20; 0.16 < 0.95 * 0.20.
        "| still rising | 0.10 0.14 0.17 0.19 | look | ok |",
        "| converged | 0.10 0.18 0.20 0.20 | ok | ok |",
        "| over-fitted | 0.10 0.20 0.18 0.16 | ok | look |",
        "= 12%",
        "= 20%",
    ],
    "leaks": [
        # User 0 is tested on its event of hour 9, while user 19 begins at hour 19 and trains until hour 26.
        "| random order | overlap-in-time (warning), validation-overlaps-training (warning), future-in-input (error) |",
        "| order of time, per user | overlap-in-time (warning), validation-overlaps-training (warning) |",
        "| one cut in time for all users | nothing |",
    ],
    "projections": [
        "| 64 equal dimensions | 3.1% | 64.00 |",
        "| 8 equal dimensions | 25.0% | 8.00 |",
        f"| {13 / 19:.1%} | {exp(-(9 * log(9 / 19) + 4 * log(4 / 19) + 6 * log(1 / 19)) / 19):.2f} |",
        f"| 100.0% | {exp(-(100 * log(100 / 101) + log(1 / 101)) / 101):.2f} |",
    ],
    "collapsed-embeddings": [
        # Of the six pairs, four are orthogonal and two opposite.
        f"(0, -1) | {-2 / 6:.2f} | 2.00 |",
        f"(10, 0) | {(2 * 10 / sqrt(101) + 99 / 101) / 3:.2f} | 1.00 |",
        f"(-2, -2) | {(2 - 4) / 6:.2f} | 1.00 |",
    ],
}


def test_every_topic_has_values_worked_by_hand() -> None:
    assert EXPECTED.keys() == TOPICS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_numbers_of_the_example_are_those_worked_by_hand(name: str) -> None:
    text = " ".join(TOPICS[name].example().split(" "))
    missing = [one for one in EXPECTED[name] if one not in text and one not in text.replace("\n", " ")]
    assert not missing, text


def test_the_interval_of_the_example_is_as_wide_as_the_formula_says() -> None:
    lines = [line.split(" | ") for line in TOPICS["seeds"].example().splitlines() if line.startswith("| 1")]
    assert len(lines) == 3
    for _, _, low, high, width in lines:
        assert (float(high) - float(low)) / 2 == pytest.approx(float(width.rstrip(" |")), rel=0.1, abs=0.001)
