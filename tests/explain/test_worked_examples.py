"""The numbers of the worked examples, worked by hand."""

from collections.abc import Sequence
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


R2 = sqrt(2)
LOOK = softmax(2 / R2, 4 / R2, 0)
"""Weights of the keys (2, 1), (0, 2), (2, 0) for the query (0, 2)."""


def pair(x: float, y: float) -> str:
    return f"({x + 0.0:.4f}, {y + 0.0:.4f})"


def mix(weights: Sequence[float]) -> str:
    """Return the mean of the values (2, -1), (0, -2), (2, 0)."""
    first, second, third = weights
    return pair(2 * first + 2 * third, -first - 2 * second)


def placed(first: tuple[float, float], second: tuple[float, float]) -> str:
    """Return the output at the event (2, 0) behind two others, with (1, 0) and (0, 1) added to these."""
    keys = [(first[0] + 1, first[1]), (second[0], second[1] + 1), (2.0, 0.0)]
    weights = softmax(*(2 * y / R2 for _, y in keys))
    return pair(*(sum(w * one[axis] * (1, -1)[axis] for w, one in zip(weights, keys, strict=True)) for axis in (0, 1)))


LAYER = [
    f"({-2 / sqrt(14 / 3):.2f}, {-1 / sqrt(14 / 3):.2f}, {3 / sqrt(14 / 3):.2f})",
    f"({2 / sqrt(8 / 3):.2f}, {-2 / sqrt(8 / 3):.2f}, 0.00)",
]


def tempered(t: float, scores: Sequence[float]) -> list[float]:
    return softmax(*(score / t for score in scores))


TEACHER = {t: tempered(t, (2, 1, 0)) for t in (1, 2, 5)}


def crossed(t: int, scores: Sequence[float]) -> float:
    """Return the cross-entropy of a student against the teacher."""
    return -sum(p * log(q) for p, q in zip(TEACHER[t], tempered(t, scores), strict=True))


def smoothed(e: float, lead: float) -> tuple[float, float, float]:
    """Return loss and gradients at the scores (lead, 0, 0): the target's label is 1 - e + e / 3."""
    first, other, _ = softmax(lead, 0, 0)
    return -(1 - 2 * e / 3) * log(first) - 2 * e / 3 * log(other), first - 1 + 2 * e / 3, other - e / 3


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
        "| 2 | (0, 2) | (2, 0) | (0, 2) | (0, -2) |",
        "| 3 | (2, 0) | (0, 2) | (2, 0) | (2, 0) |",
        row("1", sqrt(2), LOOK[0]),
        row("2", 2 * sqrt(2), LOOK[1]),
        row("3", 0.0, LOOK[2]),
        f"weights, {mix(LOOK)}.",
        row("causal", "(2.0000, -1.0000)", mix([*softmax(4 / R2, 0), 0.0]), mix(LOOK)),
        row("not causal", mix(softmax(4 / R2, 4 / R2, 2 / R2)), mix(softmax(4 / R2, 0, 4 / R2)), mix(LOOK)),
        row("1, 2, 3", mix(LOOK), placed((2, 1), (0, 2))),
        row("2, 1, 3", mix(LOOK), placed((0, 2), (2, 1))),
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
        # (1, 2, 6): mean 3, variance 14/3; (4, 0, 2): mean 2, variance 8/3.
        # 1, 10, 4: mean 5, variance 14; with the padding 0: 15/4 and 117/4 - 225/16.
        f"| (1.00, 2.00, 6.00) | {LAYER[0]} | {LAYER[0]} | ({-4 / sqrt(14):.2f}, -0.59, -0.63) "
        f"| ({(1 - 15 / 4) / sqrt(117 / 4 - 225 / 16):.2f}, -0.42, -0.44) |",
        f"| (10.00, 20.00, 60.00) | {LAYER[0]} | {LAYER[0]} |",
        f"| (4.00, 0.00, 2.00) | {LAYER[1]} | {LAYER[1]} | ({-1 / sqrt(14):.2f}, ",
        *(
            f"| {text} | ({0.02 / sqrt(0.0008 / 3 + epsilon):.4f}, {-0.02 / sqrt(0.0008 / 3 + epsilon):.4f}, 0.0000) |"
            for text, epsilon in (("1e-5", 1e-5), ("1e-8", 1e-8), ("1e-12", 1e-12))
        ),
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
    "label-smoothing": [
        row(f"{e:g}", f"{lead}, 0, 0", *smoothed(e, lead)) for e in (0, 0.1, 0.3) for lead in (1, 3, 6)
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
        "| 1 | A → B (reset), against E, G | D → E (reset), against B, G | F → G (reset), against B, E |",
        # The lanes of B → C and H → C have the same target.
        "| 2 | B → C, against J | H → C (reset), against J | I → J (reset), against C, C |",
        "| 3 | - | C → A, against nothing | - |",
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
    ]
    + [row("all items", "", 1 / 3, -2 / 3, 1 / 3)],
    "distillation": [
        *(row(f"{t}", *TEACHER[t], t * t * crossed(t, (2, 1, 0))) for t in (1, 2, 5)),
        *(
            row(
                f"{t}",
                name,
                t * t * crossed(t, scores),
                *(t * (own - wanted) for own, wanted in zip(tempered(t, scores), TEACHER[t], strict=True)),
            )
            for t in (1, 2, 5)
            for name, scores in (("knows only the label", (4, 0, 0)), ("ranks like the teacher", (4, 2, 0)))
        ),
    ],
    "ranking-metrics": [
        row("recall@5", "2/3", 2 / 3),
        row("precision@5", "2/5", 2 / 5),
        row("hit@5", "1, since at least one is listed", 1.0),
        row("mrr@5", "1/2", 1 / 2),
        row("ndcg@5", "(1/log2 3 + 1/log2 5) / (1 + 1/log2 3 + 1/2)", (1 / log2(3) + 1 / log2(5)) / IDEAL),
        row("map@5", "(1/2 + 2/4) / 3", (1 / 2 + 2 / 4) / 3),
        f"5/6 = {5 / 6:.4f}",
        *(row(str(rank), 1.0, 1 / rank, 1 / log2(1 + rank), 1 - (rank - 1) / 100) for rank in (1, 2, 10)),
        row("21", 0.0, 0.0, 0.0, 1 - 20 / 100),
        row("mean of the four cases", 3 / 4, 1.6 / 4, (1 + 1 / log2(3) + 1 / log2(11)) / 4, 3.7 / 4),
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
        "| 2 | 1.1 | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| 30 | 3.9 | 0.00 | 1.00 | 0.97 | 0.97 |",
        "| 100 | 10.8 | 0.00 | ",
        "| 200 | 20.7 | 0.00 | 0.00 | 0.80 | 0.80 |",
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
        f"{2 * (1 + sqrt(64 / 9999)) ** 2 / 64:.1%} for 10,000",
        f"{2 * (1 + sqrt(64 / 199)) ** 2 / 64:.1%} for 200",
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
