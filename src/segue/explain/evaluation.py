"""Topics on evaluation: metrics, sampled candidates, ties."""

from segue.explain.topic import Chapter, Topic, decimals
from segue.explain.toy_scorer import cases_of, catalogue, fixed_scorer
from segue.markdown import table


def _by_hand() -> str:
    from segue.evaluation.measure import measure

    vocabulary = catalogue(6)
    listed = fixed_scorer(vocabulary, [0.9, 0.6, 0.1, 1.0, 0.8, 0.4])
    names = ["recall@5", "precision@5", "hit@5", "mrr@5", "ndcg@5", "map@5"]
    found = measure(listed, cases_of(vocabulary, [1, 2, 3]), {"metrics": names}).metrics
    small = catalogue(5)
    auc = measure(
        fixed_scorer(small, [0.9, 0.7, 0.6, 0.4, 0.8]), cases_of(small, [1, 2]), {"metrics": ["gauc"]}
    ).metrics["gauc"]
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

AUC, here `gauc`: the relevant items A and B have the scores .9 and .7, the others X, Y, Z have .6, .4, .8. Of the six
pairs only B against Z is in the wrong order, so the AUC is 5/6 = {auc:.4f}.

{_more_relevant_than_places()}

{_one_target()}"""


def _more_relevant_than_places() -> str:
    from segue.evaluation.measure import measure

    vocabulary, names = catalogue(6), ["recall", "map", "ndcg", "precision"]
    cases = cases_of(vocabulary, [1, 2, 3])
    best = fixed_scorer(vocabulary, range(6, 0, -1))  # Item j is at rank j.
    rows = []
    for k in (2, 3, 5):
        found = measure(best, cases, {"metrics": [f"{name}@{k}" for name in names]}).metrics
        rows.append([str(k), *decimals(found.values())])
    return f"""The best possible list, 1, 2, 3, 4, 5, cut at different k: recall and MAP are below 1 if k < R, precision
if k > R, NDCG never:

{table(["k", *names], rows)}"""


def _one_target() -> str:
    from segue.evaluation.measure import measure

    vocabulary, ranks = catalogue(101), (1, 2, 10, 21)
    scorer = fixed_scorer(vocabulary, range(101, 0, -1))  # Item j is at rank j.
    names = ["recall@20", "mrr@20", "ndcg@20", "gauc"]
    cases = {str(rank): [[rank]] for rank in ranks} | {"mean of the four cases": [[rank] for rank in ranks]}
    rows = []
    for name, targets in cases.items():
        found = measure(scorer, cases_of(vocabulary, *targets), {"metrics": names}).metrics
        rows.append([name, *decimals(found[metric] for metric in names)])
    return f"""One relevant item per case, the next click, in a catalogue of 101 items; each row is a test case, and a
model's metric is the mean of its cases:

{table(["rank of the target", *names], rows)}

Recall@20 is 1 or 0, MRR@20 is 1 / rank, NDCG@20 is 1 / log2(1 + rank), and all are 0 behind rank 20. From rank 1 to
rank 10, MRR falls to a tenth and NDCG to less than a third; AUC falls by 0.09 and rates a target that is not in the
list at 0.8."""


def _ninety_nine() -> str:
    from segue.evaluation.measure import measure

    vocabulary = catalogue(1000)
    scorer = fixed_scorer(vocabulary, range(1000, 0, -1))  # Item j is at rank j.
    models = {"A: every target at rank 30": [30] * 1000, "B: half at rank 2, half at 900": [2, 900] * 500}
    rows = []
    for name, ranks in models.items():
        cases = cases_of(vocabulary, *([rank] for rank in ranks))
        values = [
            measure(scorer, cases, {"candidates": candidates, "metrics": ["hit@10"]}).metrics["hit@10"]
            for candidates in ("full", "uni99")
        ]
        rows.append([name, *decimals(values, 2)])
    return f"""A catalogue of 1,000 items and 1,000 test cases per model:

{table(["model", "hit@10, all items", "hit@10 among 99 negatives"], rows)}

In a list of ten, A never shows a target and B does in half of the cases. Among 99 random negatives, rank 30 becomes
1 + 99 x 29/999 = {1 + 99 * 29 / 999:.1f} on average, and A looks perfect.

{_by_rank()}"""


def _by_rank() -> str:
    from segue.evaluation.measure import measure

    vocabulary, n_cases = catalogue(1000), 2_000
    scorer, metrics = fixed_scorer(vocabulary, range(1000, 0, -1)), ["hit@10", "user_auc"]
    rows = []
    for rank in (2, 30, 100, 200):
        (full, full_auc), (sampled, sampled_auc) = (
            measure(
                scorer, cases_of(vocabulary, *[[rank]] * n), {"candidates": candidates, "metrics": metrics}
            ).metrics.values()
            for candidates, n in (("full", 1), ("uni99", n_cases))
        )
        expected = 1 + 99 * (rank - 1) / 999
        rows.append([str(rank), f"{expected:.1f}", *decimals([full, sampled, full_auc, sampled_auc], 2)])
    head = ["true rank", "expected sampled rank", "hit@10, all", "hit@10 among 99", "AUC, all", "AUC among 99"]
    return f"""The same catalogue, {n_cases:,} cases for each true rank, so the share of hits is their probability:

{table(head, rows)}

The cut at rank 10 has become a slope around rank 100: a target at rank 100 is a hit in about half of the samples, one
at rank 200 almost never. Only AUC (`user_auc`) has the same mean among 99 as among all items."""


def _tie_rules() -> str:
    from segue.evaluation.measure import measure

    vocabulary = catalogue(100)
    constant = fixed_scorer(vocabulary, [0.0] * 100)
    cases = cases_of(vocabulary, *([item] for item in range(1, 101)))
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
            of a relevant and another item in the right order. With one relevant item per case, as in next-item
            prediction, recall@k equals hit@k, precision@k is recall@k / k, and MAP@k equals MRR@k.
            """,
            formula="""
            R: number of relevant items;  listed: at rank k or better
            recall@k = listed relevant / R       precision@k = listed relevant / k       hit@k = 1 if any is listed
            MRR@k    = 1 / rank of the first listed relevant item, 0 if none is listed
            DCG@k    = sum over listed relevant items of 1 / log2(1 + rank)          discounted cumulative gain
            IDCG@k   = sum over ranks 1 ... min(k, R) of 1 / log2(1 + rank)          DCG of the ideal list
            NDCG@k   = DCG@k / IDCG@k;  with R = 1: 1 / log2(1 + rank) if listed, else 0
            MAP@k    = sum over the i-th listed relevant item of i / rank, divided by R
            AUC      = pairs (relevant, other) in the right order / all such pairs
            An item is relevant or not: segue has no grades, so each listed relevant item has the gain 1 in DCG.
            best value: recall and MAP min(k, R) / R, precision min(k, R) / k, hit, MRR, NDCG and AUC 1
            """,
            guide="""
            | question | metric |
            |---|---|
            | Is the next item in the list at all? A page shows all k items at once. | `recall@k` |
            | How far down is it? The list is read from the top. | `mrr@k` or `ndcg@k` |
            | Which share of several liked items is found, in which order? | `recall@k`, `ndcg@k`, `map@k` |
            | How good is the whole ranking, not only its top? | `gauc`, `user_auc` |
            | How well do predicted labels separate liked from other events? | `auc` |

            Three metrics are called AUC. `gauc` and `user_auc` take one AUC per test case, over its relevant and all
            other items, and average them: `gauc` weighted by the number of relevant items, `user_auc` unweighted, so
            with one relevant item they are equal. Zhu et al. (2017) weight a user's AUC by impressions instead, which
            a log of clicks does not have. `auc` ranks nothing within a case: it pools all labelled events
            (candidates `labeled`) and compares each liked one with each other one, also of other sessions.
            A tie counts half in `auc`. In the other two the tie rule decides: half with `average`, by the order of the
            list with the default `served` (topic `ties`).
            """,
            example=_by_hand,
            options=("protocol.ranking.metrics", "protocol.cases.targets", "protocol.decimals"),
            pitfall="""
            Choose k by what is shown: a page with 5 slots is measured at 5. If k is close to the size of the
            catalogue, every model has recall 1; with k = 20 of 100 items, random lists have 0.2. AUC of .95 sounds
            excellent and means that a target is behind 5% of the catalogue on average, at rank 1,500 of 30,000. With
            several relevant items, dividing by min(k, R) or by R gives different values, and toolkits differ in this:
            segue's recall and MAP divide by R, as trec_eval does, its NDCG by the ideal list of min(k, R) items.
            """,
            sources=(
                "Jarvelin and Kekalainen 2002, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20",
                "Zhu et al. 2017, Deep interest network for click-through rate prediction, arXiv 1706.06978 (GAUC)",
                "Fawcett 2006, An introduction to ROC analysis, Pattern Recognition Letters 27",
            ),
            pages=("metrics.md", "protocols.md", "comparing.md"),
            also=(
                "recall",
                "recall@k",
                "ndcg",
                "mrr",
                "map",
                "auc",
                "gauc",
                "user-auc",
                "precision",
                "hit",
                "dcg",
                "metrics",
                "cutoff",
            ),
        ),
        Topic(
            name="sampled-metrics",
            title="Sampled metrics and the 99 negatives",
            idea="""
            To save time, many papers rank each target among 99 or 100 random items instead of all. The value that
            results is not an estimate of the metric on all items: hit@10 among 100 asks roughly whether the target is
            in the first tenth of the catalogue, not whether it is among the first ten. A model that is never good
            enough for a list can win over one that often is, even with unlimited test cases, so models change places.
            AUC is the exception: its mean over the samples is its value on all items. Ranking everything is
            affordable: segue evaluates 60,000 cases over 43,000 items in 11 seconds (see `docs/speed.md`).
            """,
            formula="""
            sampled rank = 1 + B       B: sampled items that rank before the target;  m sampled of the N - 1 other items
            B is Binomial(m, (rank - 1) / (N - 1)), or hypergeometric if no item is sampled twice, as in segue
            mean of the sampled rank = 1 + m (rank - 1) / (N - 1)
            hit@10 among m   = P(B <= 9), no sharp threshold: near 1 well before rank 10 N / m, near 0 well behind it
            mean sampled AUC = 1 - mean of B / m = 1 - (rank - 1) / (N - 1), the AUC on all items
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
            pages=("sampled-metrics.md", "protocols.md", "linter.md"),
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
            sometimes mix the rules without saying so. For V-SKNN on Diginetica, recall@20 is between .5135 and .5306,
            depending on the rule.
            """,
            sources=(
                "McSherry and Najork 2008, Computing information retrieval performance measures efficiently in the "
                "presence of tied scores, ECIR",
            ),
            pages=("metrics.md#ties", "models/v-sknn.md"),
            also=("tied-scores", "tie-rules"),
        ),
    ),
)
