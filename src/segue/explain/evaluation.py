"""Topics on evaluation: metrics, sampled candidates, ties."""

from typing import TYPE_CHECKING

from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segue.data.cases import Cases
    from segue.data.sessions import Prefixes
    from segue.data.vocabulary import Vocabulary
    from segue.evaluation.scorer import Scorer


def _catalogue(size: int) -> "Vocabulary":
    """Return a vocabulary of items that have one event each."""
    import polars as pl

    from segue.data.vocabulary import Vocabulary

    return Vocabulary.from_items(pl.Series("item", range(1, size + 1)))


def _scorer(vocabulary: "Vocabulary", scores: "Sequence[float]") -> "Scorer":
    """Return a scorer that gives every session the same scores of the items 1, 2, ..."""
    import torch

    class Fixed:
        def __init__(self) -> None:
            self.vocabulary = vocabulary

        def score(self, prefixes: "Prefixes") -> torch.Tensor:
            return torch.tensor([0.0, *scores]).expand(len(prefixes), -1)

    return Fixed()


def _cases(vocabulary: "Vocabulary", *targets: "Sequence[int]") -> "Cases":
    """Return cases of empty sessions with these targets."""
    import numpy as np

    from segue.data.cases import Cases
    from segue.data.sessions import Prefixes

    prefixes = Prefixes.from_lists([[] for _ in targets], vocabulary)
    return Cases(
        prefixes=prefixes,
        targets=np.concatenate(targets).astype(np.int32),
        groups=np.arange(len(targets)),
        offsets=np.concatenate([[0], np.cumsum([len(one) for one in targets])]),
    )


def _by_hand() -> str:
    from segue.evaluation.measure import measure

    vocabulary = _catalogue(6)
    listed = _scorer(vocabulary, [0.9, 0.6, 0.1, 1.0, 0.8, 0.4])
    names = ["recall@5", "precision@5", "hit@5", "mrr@5", "ndcg@5", "map@5"]
    found = measure(listed, _cases(vocabulary, [1, 2, 3]), {"metrics": names}).metrics
    small = _catalogue(5)
    auc = measure(_scorer(small, [0.9, 0.7, 0.6, 0.4, 0.8]), _cases(small, [1, 2]), {"metrics": ["gauc"]}).metrics[
        "gauc"
    ]
    how = (
        "2/3",
        "2/5",
        "1, since at least one is listed",
        "1/2",
        "(1/log2 3 + 1/log2 5) / (1 + 1/log2 3 + 1/2)",
        "(1/2 + 2/4) / 3",
    )
    rows = [[name, by_hand, decimals([found[name]])[0]] for name, by_hand in zip(names, how, strict=True)]
    return f"""A visitor liked the items 1, 2 and 3; the list is 4, 1, 5, 2, 6. Two of the three are listed, at the
ranks 2 and 4:

{table(["metric", "by hand", "value"], rows)}

AUC: the relevant items A and B have the scores .9 and .7, the others X, Y, Z have .6, .4, .8. Of the six pairs only B
against Z is in the wrong order, so the AUC is 5/6 = {auc:.4f}."""


def _ninety_nine() -> str:
    from segue.evaluation.measure import measure

    vocabulary = _catalogue(1000)
    scorer = _scorer(vocabulary, range(1000, 0, -1))  # Item j is at rank j.
    models = {"A: every target at rank 30": [30] * 1000, "B: half at rank 2, half at 900": [2, 900] * 500}
    rows = []
    for name, ranks in models.items():
        cases = _cases(vocabulary, *([rank] for rank in ranks))
        values = [
            measure(scorer, cases, {"candidates": candidates, "metrics": ["hit@10"]}).metrics["hit@10"]
            for candidates in ("full", "uni99")
        ]
        rows.append([name, *decimals(values, 2)])
    return f"""A catalogue of 1,000 items and 1,000 test cases per model:

{table(["model", "hit@10, all items", "hit@10 among 99 negatives"], rows)}

In a list of ten, A never shows a target and B does in half of the cases. Among 99 random negatives, rank 30 becomes
about 1 + 99 x 29/999 = 3.9, and A looks perfect. The sample has turned "the first 10" into "roughly the first 100"."""


def _tie_rules() -> str:
    from segue.evaluation.measure import measure

    vocabulary = _catalogue(100)
    constant = _scorer(vocabulary, [0.0] * 100)
    cases = _cases(vocabulary, *([item] for item in range(1, 101)))
    rows = []
    for ties in ("served", "pessimistic", "optimistic", "average"):
        found = measure(constant, cases, {"ties": ties, "metrics": ["recall@20", "mrr"]}).metrics
        rows.append([f"`{ties}`", *decimals([found["recall@20"], found["mrr"]])])
    return f"""A model that gives all 100 items the same score, tested with each item as the target once:

{table(["rule", "recall@20", "mrr"], rows)}

`served` ranks by the order of the list that would be shown: 20 of the 100 targets are among its first 20. `optimistic`
puts each target before all its equals and calls the constant model perfect; `average` gives each the rank 50.5."""


CHAPTER = Chapter(
    "evaluation",
    "Evaluation",
    (
        Topic(
            name="ranking-metrics",
            title="Recall@k, NDCG and AUC by hand",
            idea="""
            All ranking metrics are functions of the ranks of the relevant items. Recall@k asks how many of them are
            among the first k; hit@k whether any is; precision@k which share of the list they are. MRR and NDCG also
            ask where: rank 1 counts more than rank 10. AUC looks at the whole ranking and gives the share of pairs
            of a relevant and another item in the right order. With one relevant item per case, as in
            next-item prediction, recall@k equals hit@k, and precision@k is recall@k / k and says nothing new.
            """,
            formula="""
            recall@k = listed relevant / R       precision@k = listed relevant / k       MRR = 1 / first rank
            NDCG@k   = sum over listed relevant of 1 / log2(1 + rank), divided by the same sum for ranks 1 ... min(k, R)
            MAP@k    = sum over the i-th listed relevant of i / rank, divided by R
            AUC      = pairs (relevant, other) in the right order / all such pairs
            """,
            example=_by_hand,
            options=("protocol.ranking.metrics", "protocol.cases.targets", "protocol.decimals"),
            pitfall="""
            Choose k by what is shown: a page with 5 slots is measured at 5. If k is close to the size of the
            catalogue, every model has recall 1; with k = 20 of 100 items, random lists have 0.2. AUC of .95 sounds
            excellent and means that a target is behind 5% of the catalogue on average, at rank 1,500 of 30,000. With
            several relevant items, dividing by min(k, R) or by R gives different values, and toolkits differ in this.
            """,
            sources=(
                "Jarvelin and Kekalainen 2002, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20",
                "Fawcett 2006, An introduction to ROC analysis, Pattern Recognition Letters 27",
            ),
            also=("recall", "recall@k", "ndcg", "mrr", "map", "auc", "gauc", "precision", "hit", "metrics", "cutoff"),
        ),
        Topic(
            name="sampled-metrics",
            title="Sampled metrics and the 99 negatives",
            idea="""
            To save time, many papers rank each target among 99 or 100 random items instead of all. The value that
            results is not an estimate of the metric on all items: hit@10 among 100 asks whether the target is in the
            first tenth of the catalogue, not whether it is among the first ten. A model that is never good enough for
            a list can win over one that often is, even with unlimited test cases, so models change places. Ranking
            everything is affordable: segue ranks 43,000 items for 60,000 cases in seconds.
            """,
            formula="""
            expected sampled rank = 1 + m (rank - 1) / (N - 1)       m sampled negatives of N - 1 other items
            hit@10 among m = 99 is roughly hit@(N / 10) among all
            """,
            example=_ninety_nine,
            options=("protocol.ranking.candidates", "protocol.ranking.seed"),
            pitfall="""
            Results with different candidates are different metrics with the same name: hit@10 = 0.8 in one paper and
            0.3 in another may be the same model. Popular negatives instead of uniform ones change the values again.
            Use `uni99` only to compare with published tables; segue marks such results as sampled and freezes
            the negatives, so that all models see the same ones.
            """,
            sources=(
                "Krichene and Rendle 2020, On sampled metrics for item recommendation, KDD",
                "Canamares and Castells 2020, On target item sampling in offline recommender system evaluation, RecSys",
            ),
            also=("99-negatives", "uni99", "sampled", "hr@10", "sampled-evaluation"),
        ),
        Topic(
            name="ties",
            title="Tied scores",
            idea="""
            If several items have the score of the target, its rank depends on a rule. Scores of networks rarely tie,
            those of counting models often do: on Diginetica, 36% of V-SKNN's targets are tied. Putting the target
            first rewards a model for not deciding. The default, `served`, uses the order of the list that a visitor
            would see, so the metric describes what is shown. Many ties in a network are a symptom: scores that are
            clipped, rounded, or constant.
            """,
            formula="""
            g: items with a higher score,  t: other items with the same score
            optimistic g + 1      pessimistic g + t + 1      average g + t / 2 + 1      served: place in the list
            """,
            example=_tie_rules,
            options=("protocol.ranking.ties", "v-sknn.tie_order"),
            pitfall="""
            Counting the items that score strictly higher, the shortest code for a rank, is the rule `optimistic`, and a
            model that outputs zeros has a perfect recall under it. Published comparisons of neighbours with networks
            sometimes mix the rules without saying so, which moves recall by a point or two.
            """,
            sources=(
                "McSherry and Najork 2008, Computing information retrieval performance measures efficiently in the "
                "presence of tied scores, ECIR",
            ),
            also=("tied-scores", "tie-rules"),
        ),
    ),
)
