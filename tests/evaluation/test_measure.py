"""Evaluation by hand, against one big matrix, and for scorers that know nothing."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.candidate_sampling import CandidateSampler
from segue.evaluation.measure import cases_at_once, measure
from segue.evaluation.ranking import TIES, top_k
from segue.metrics import DEFAULT_METRICS, MetricName
from segue.metrics.beyond_accuracy import gini_index, in_tail, shannon_entropy
from segue.metrics.rank_metrics import RANK_METRICS
from segue.metrics.values import auc
from segue.progress import Progress
from segue.protocols.ranking import Ranking
from segue.rng import generator


class Table:
    """A scorer that looks the last item of the prefix up in a table [N+1, N+1]."""

    def __init__(self, table, support=None):
        n = len(table) - 1
        support = np.ones(n, dtype=np.int64) if support is None else support
        self.vocabulary = Vocabulary(pl.DataFrame({"item": np.arange(n), "support": support}))
        self.table = torch.as_tensor(table, dtype=torch.float32)
        self.largest = 0

    def score(self, prefixes):
        self.largest = max(self.largest, len(prefixes))
        last = prefixes.items[prefixes.ends - 1].astype(np.int64)
        return self.table[torch.from_numpy(last)]


def cases_of(lists, targets, groups=None, exclude_seen=False):
    groups = np.arange(len(targets)) if groups is None else np.array(groups)
    prefixes = Prefixes.from_lists([np.array(one) for one in lists])
    return Cases(prefixes, np.array(targets, dtype=np.int32), groups, exclude_seen)


def random_scorer(items, seed=0):
    rng = generator(seed, "scorer")
    return Table(rng.standard_normal((items + 1, items + 1)), rng.integers(1, 100, items))


def random_cases(count, items, *, exclude_seen=False):
    rng = generator(1, "cases")
    lists = [rng.integers(1, items + 1, rng.integers(1, 6)) for _ in range(count)]
    return cases_of(lists, rng.integers(1, items + 1, count), np.arange(count) // 3, exclude_seen)


# After item 1 the order is 3, 2, 1, 4; after any other item it is 4, 1, 2, 3.
BY_HAND = np.array([[0, 0, 0, 0, 0], [9, 2, 3, 4, 1], [9, 3, 2, 1, 4], [9, 3, 2, 1, 4], [9, 3, 2, 1, 4]])


def test_two_cases_by_hand():
    scorer = Table(BY_HAND, support=np.array([40, 30, 20, 10]))
    names = ("recall@1", "recall@2", "mrr", "ndcg@3", "coverage@1", "coverage@2", "popularity@1", "popularity@2")
    evaluation = measure(scorer, cases_of([[2, 1], [3]], [2, 4]), {"metrics": names})
    assert evaluation.ranks.tolist() == [2, 1]
    assert evaluation.metrics == pytest.approx(
        {
            "recall@1": 1 / 2,
            "recall@2": 1,
            "mrr": (1 / 2 + 1) / 2,
            "ndcg@3": (1 / np.log2(3) + 1) / 2,
            "coverage@1": 2 / 4,  # items 3 and 4
            "coverage@2": 4 / 4,  # items 3, 2 and 4, 1
            "popularity@1": (20 + 10) / 2,
            "popularity@2": (25 + 25) / 2,
        }
    )
    assert tuple(evaluation.metrics) == names
    assert evaluation.values["mrr"].tolist() == [1 / 2, 1]


def test_items_of_the_prefix_are_left_out_if_the_cases_say_so():
    lists, targets = [[3, 1], [4, 1]], [2, 4]
    names = ["mrr", "coverage@2"]
    kept = measure(Table(BY_HAND), cases_of(lists, targets), {"metrics": names})
    assert kept.ranks.tolist() == [2, 4]
    without = measure(Table(BY_HAND), cases_of(lists, targets, exclude_seen=True), {"metrics": names})
    assert without.ranks.tolist() == [1, np.inf]
    assert without.metrics == {"mrr": 1 / 2, "coverage@2": 3 / 4}


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_chunks_change_nothing(chunk, exclude_seen):
    scorer, cases = random_scorer(60), random_cases(100, 60, exclude_seen=exclude_seen)
    whole, parts = measure(scorer, cases, chunk=100), measure(scorer, cases, chunk=chunk)
    assert parts.metrics == whole.metrics
    assert parts.confidence == whole.confidence
    np.testing.assert_array_equal(parts.ranks, whole.ranks)


def test_it_never_scores_more_cases_than_a_chunk():
    scorer = random_scorer(60)
    measure(scorer, random_cases(100, 60), chunk=9)
    assert scorer.largest == 9


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 10_000))
def test_equals_a_loop_over_sorted_lists(count, items, seed):
    scorer, cases = random_scorer(items, seed), random_cases(count, items)
    evaluation = measure(scorer, cases, {"metrics": DEFAULT_METRICS})
    scores = scorer.score(cases.prefixes).numpy()
    lists = np.argsort(-scores[:, 1:], axis=1) + 1
    ranks = np.array([[shown.tolist().index(target) + 1.0] for shown, target in zip(lists, cases.targets, strict=True)])
    for text in DEFAULT_METRICS:
        name = MetricName.parse(text)
        if name.name in RANK_METRICS:
            expected = RANK_METRICS[name.name](ranks, np.ones(count, dtype=int), name.k).mean()
        elif name.name == "coverage":
            expected = len(np.unique(lists[:, :20])) / items
        else:
            expected = scorer.vocabulary.support[lists[:, :20]].mean()
        assert evaluation.metrics[text] == pytest.approx(expected), text


def test_a_constant_scorer_does_not_look_good():
    cases = random_cases(300, 200)
    constant = Table(np.zeros((201, 201)))
    names = ["recall@20", "mrr@20"]
    assert measure(constant, cases, {"metrics": names, "ties": "pessimistic"}).metrics == {"recall@20": 0, "mrr@20": 0}
    assert measure(constant, cases, {"metrics": names, "ties": "average"}).metrics == {"recall@20": 0, "mrr@20": 0}
    assert measure(constant, cases, {"metrics": names, "ties": "optimistic"}).metrics == {"recall@20": 1, "mrr@20": 1}


def test_a_scorer_of_nan_does_not_look_good():
    evaluation = measure(Table(np.full((31, 31), np.nan)), random_cases(20, 30), {"ties": "optimistic"})
    assert set(evaluation.metrics.values()) == {0.0}


def test_equal_scores_are_listed_by_support():
    scorer = Table(np.zeros((5, 5)), support=np.array([1, 5, 9, 3]))
    evaluation = measure(scorer, cases_of([[1]], [1]), {"metrics": ["popularity@2"]})
    assert evaluation.metrics == {"popularity@2": 7}


def test_a_catalogue_smaller_than_the_cutoff():
    evaluation = measure(
        Table(BY_HAND), cases_of([[1]], [4]), {"metrics": ["recall@20", "precision@20", "coverage@20"]}
    )
    assert evaluation.metrics == {"recall@20": 1, "precision@20": 1 / 20, "coverage@20": 1}


def test_intervals_hold_their_metric_and_resample_sessions():
    scorer, cases = random_scorer(60), random_cases(300, 60)
    evaluation = measure(scorer, cases)
    assert evaluation.confidence.keys() == evaluation.metrics.keys() - {"coverage@20"}
    for name, (low, high) in evaluation.confidence.items():
        assert low < evaluation.metrics[name] < high
    assert measure(scorer, cases, seed=1).confidence != evaluation.confidence
    regrouped = Cases(cases.prefixes, cases.targets, np.arange(300) // 100)
    assert measure(scorer, regrouped).confidence != evaluation.confidence


def test_one_session_alone_gives_no_interval():
    assert measure(Table(BY_HAND), cases_of([[1], [2]], [2, 3], groups=[0, 0])).confidence == {}


def test_cases_of_a_session_share_its_events():
    items, ends = np.array([1, 3, 2, 4, 4], dtype=np.int32), np.array([1, 2, 4])
    cases = Cases(Prefixes(items, np.array([0, 0, 3]), ends), items[ends], np.array([0, 0, 1]))
    evaluation = measure(Table(BY_HAND), cases, {"metrics": ["recall@1"]})
    # 1 -> 3 and 4 -> 4 are the first of their lists, (1, 3) -> 2 is the third of its own.
    assert evaluation.ranks.tolist() == [1, 3, 1]
    assert evaluation.groups.tolist() == [0, 0, 1]


def several(count, items, seed=2):
    """Cases with one to four targets each, none of which the prefix holds twice."""
    rng = generator(seed, "several")
    wanted = [rng.permutation(items)[: rng.integers(1, 5)] + 1 for _ in range(count)]
    lists = [rng.integers(1, items + 1, 3) for _ in range(count)]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in wanted])])
    targets = np.concatenate(wanted).astype(np.int32)
    return Cases(Prefixes.from_lists(lists), targets, np.arange(count), True, offsets=offsets), wanted


@pytest.mark.parametrize("chunk", [None, 7])
def test_several_relevant_items_equal_a_loop_over_sorted_lists(chunk):
    scorer, (cases, wanted) = random_scorer(50), several(80, 50)
    names = ("recall@10", "hit@10", "precision@10", "mrr@10", "ndcg@10", "map@10", "mrr")
    evaluation = measure(scorer, cases, {"metrics": names}, chunk=chunk)
    scores = scorer.score(cases.prefixes).numpy()
    expected, all_ranks = {name: [] for name in names}, []
    for row, start, end, items in zip(scores, cases.prefixes.starts, cases.prefixes.ends, wanted, strict=True):
        seen = set(cases.prefixes.items[start:end].tolist())
        shown = [item for item in (np.argsort(-row[1:]) + 1).tolist() if item not in seen]
        ranks = sorted(shown.index(item) + 1.0 if item in shown else np.inf for item in items.tolist())
        all_ranks += ranks
        for text in names:
            name = MetricName.parse(text)
            value = RANK_METRICS[name.name](np.array([ranks]), np.array([len(items)]), name.k)[0]
            expected[text].append(value)
    assert evaluation.ranks.tolist() == all_ranks
    for text in names:
        np.testing.assert_allclose(evaluation.values[text], expected[text])


def test_liked_three_shown_five_by_hand():
    # The list is 4, 1, 5, 2, 6 and items 1, 2, 3 were liked (item 3 stands behind all of them).
    table = np.zeros((7, 7))
    table[6, [4, 1, 5, 2, 6, 3]] = [6, 5, 4, 3, 2, 1]
    cases = Cases(
        Prefixes.from_lists([np.array([6])]), np.array([1, 2, 3], np.int32), np.zeros(1, int), offsets=np.array([0, 3])
    )
    evaluation = measure(Table(table), cases, {"metrics": ["recall@5", "precision@5", "mrr@5", "map@5"]})
    expected = {"recall@5": 2 / 3, "precision@5": 2 / 5, "mrr@5": 1 / 2, "map@5": (1 / 2 + 2 / 4) / 3}
    assert evaluation.metrics == pytest.approx(expected)


@pytest.mark.parametrize("candidates", ["uni9", "pop9"])
def test_drawn_candidates_equal_a_rank_among_them(candidates):
    scorer, cases = random_scorer(60), random_cases(100, 60)
    evaluation = measure(
        scorer, cases, {"metrics": ["mrr", "coverage@5"], "candidates": candidates, "seed": 5}, chunk=9
    )
    assert evaluation.sampled
    ranking = Ranking(candidates=candidates, seed=5)
    drawn = CandidateSampler.from_ranking(ranking, scorer.vocabulary.support).draw(cases, 0)
    scores = scorer.score(cases.prefixes).numpy()
    own = np.take_along_axis(scores, cases.targets[:, None].astype(int), axis=1)
    among = np.take_along_axis(scores, drawn.astype(int), axis=1)
    assert evaluation.ranks.tolist() == (1 + (among >= own).sum(1)).tolist()
    assert not measure(scorer, cases).sampled
    assert (evaluation.ranks <= measure(scorer, cases).ranks).all()


def test_with_all_items_drawn_the_ranks_are_those_of_the_catalogue():
    scorer, cases = random_scorer(30), random_cases(50, 30, exclude_seen=True)
    scorer.table = (scorer.table * 2).round()  # many ties
    for ties in TIES:
        drawn, full = (
            measure(scorer, cases, {"candidates": "uni30", "ties": ties}),
            measure(scorer, cases, {"ties": ties}),
        )
        assert drawn.metrics == full.metrics
        assert (drawn.tied, drawn.tie_bounds) == (full.tied, full.tie_bounds)


def test_a_target_is_ranked_where_it_is_listed():
    scorer, cases = random_scorer(30), random_cases(80, 30)
    scorer.table = scorer.table.round()  # many ties
    evaluation = measure(scorer, cases, {"metrics": ["mrr", "recall@5"]})
    lists, _ = top_k(scorer.score(cases.prefixes), 30, order=scorer.vocabulary.order)
    places = [1 + row.index(target) for row, target in zip(lists.tolist(), cases.targets.tolist(), strict=True)]
    assert evaluation.ranks.tolist() == places
    others = {ties: measure(scorer, cases, {"metrics": ["mrr", "recall@5"], "ties": ties}) for ties in TIES}
    assert others["pessimistic"].metrics["mrr"] < evaluation.metrics["mrr"] < others["optimistic"].metrics["mrr"]
    for name in ("mrr", "recall@5"):
        bounds = (others["pessimistic"].metrics[name], others["optimistic"].metrics[name])
        for one in others.values():
            assert one.tie_bounds[name] == pytest.approx(bounds)
    rows = scorer.score(cases.prefixes).numpy()
    equal = rows[:, 1:] == np.take_along_axis(rows, cases.targets[:, None].astype(int), axis=1)
    assert evaluation.tied == np.mean(equal.sum(axis=1) > 1) > 0.5


def test_many_ties_are_noted_with_the_range_of_the_figures():
    scorer, cases = random_scorer(30), random_cases(80, 30)
    assert measure(scorer, cases).tie_note(["mrr@10"]) == ""
    scorer.table = scorer.table.round()
    evaluation = measure(scorer, cases, {"metrics": ["mrr@10", "coverage@5"]})
    worst, best = evaluation.tie_bounds["mrr@10"]
    assert worst < evaluation.metrics["mrr@10"] < best
    assert evaluation.tie_note(["mrr@10", "coverage@5"]) == (
        f"{evaluation.tied:.1%} of the targets share their score with another item: "
        f"mrr@10 {worst:.4f} to {best:.4f}, from every tie lost to every tie won"
    )
    assert evaluation.tie_note(["coverage@5"]) == ""


def test_a_constant_scorer_equals_popularity():
    support = np.arange(30, 0, -1)
    constant, popularity = Table(np.zeros((31, 31)), support), Table(np.tile(np.append(0, support), (31, 1)), support)
    cases = random_cases(50, 30)
    assert measure(constant, cases).metrics == measure(popularity, cases).metrics
    assert measure(constant, cases).tied == 1
    assert measure(popularity, cases).tied == 0


def test_scores_of_another_catalogue_are_refused():
    scorer, cases = random_scorer(30), random_cases(5, 30)
    scorer.table = torch.zeros(31, 40)
    with pytest.raises(ParameterError, match=r"scorer: must score 5 prefixes x 31 columns, .* got 5 x 40"):
        measure(scorer, cases)
    other = Vocabulary(pl.DataFrame({"item": np.arange(100, 130), "support": np.ones(30, dtype=np.int64)}))
    foreign = replace(cases, prefixes=replace(cases.prefixes, vocabulary=other))
    with pytest.raises(ParameterError, match=r"cases: must be .* segue.prepare\(log, vocabulary=model.vocabulary\)"):
        measure(random_scorer(30), foreign)


EVERYTHING = (
    *("recall@5", "hit@5", "precision@5", "mrr@5", "ndcg@5", "map@5", "mrr", "gauc", "user_auc"),
    *("coverage@5", "gini@5", "shannon_entropy@5", "popularity@5", "tail_percentage@5"),
)


@pytest.mark.parametrize("ties", ["pessimistic", "optimistic", "average"])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_pairs_ranked_right_equal_a_loop_over_pairs(ties, exclude_seen):
    scorer, (cases, wanted) = random_scorer(30), several(60, 30)
    scorer.table = (scorer.table * 2).round()  # many ties
    cases = replace(cases, exclude_seen=exclude_seen)
    evaluation = measure(scorer, cases, {"metrics": EVERYTHING, "ties": ties}, chunk=7)
    scores, half = scorer.score(cases.prefixes).numpy(), {"pessimistic": 0.0, "optimistic": 1.0, "average": 0.5}[ties]
    values = []
    for row, start, end, items in zip(scores, cases.prefixes.starts, cases.prefixes.ends, wanted, strict=True):
        seen = set(cases.prefixes.items[start:end].tolist()) if exclude_seen else set()
        right = []
        for liked in items.tolist():
            others = [item for item in range(1, 31) if item not in seen and item not in items]
            right += [
                0.0 if liked in seen else float(row[liked] > row[item]) + half * (row[liked] == row[item])
                for item in others
            ]
        values.append(np.mean(right))
    np.testing.assert_allclose(evaluation.values["gauc"], values)
    assert evaluation.metrics["user_auc"] == pytest.approx(np.mean(values))
    assert evaluation.metrics["gauc"] == pytest.approx(np.average(values, weights=cases.counts))
    assert evaluation.confidence.keys() == set(EVERYTHING) - {"coverage@5", "gini@5", "shannon_entropy@5"}
    low, high = evaluation.confidence["gauc"]
    assert low < evaluation.metrics["gauc"] < high
    rates = np.array(evaluation.roc)
    assert (np.diff(rates, axis=0) >= 0).all()
    assert rates[[0, -1]].tolist() == [[0, 0], [1, 1]]
    # Each case has some thirty others, so that the steps of the curve are about its grid.
    assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(evaluation.metrics["gauc"], abs=0.02)


def test_lists_equal_a_count_over_whole_lists():
    scorer, cases = random_scorer(40), random_cases(90, 40)
    evaluation = measure(scorer, cases, {"metrics": EVERYTHING}, chunk=11)
    lists = np.argsort(-scorer.score(cases.prefixes).numpy()[:, 1:], axis=1)[:, :5] + 1
    counts = np.bincount(lists.ravel(), minlength=41)
    assert evaluation.metrics["gini@5"] == gini_index(counts)
    assert evaluation.metrics["shannon_entropy@5"] == shannon_entropy(counts)
    tail = in_tail(scorer.vocabulary.support)
    np.testing.assert_allclose(evaluation.values["tail_percentage@5"], tail[lists].mean(axis=1))


def test_a_cutoff_beyond_the_catalogue_costs_no_memory():
    scorer, cases = random_scorer(10), random_cases(20, 10)
    names = ("coverage@1000000000", "popularity@1000000000")
    assert measure(scorer, cases, {"metrics": names}).metrics["coverage@1000000000"] == 1


def test_a_pair_metric_that_one_session_decides_has_no_interval():
    cases = Cases(
        Prefixes.from_lists([np.array([1])] * 3),
        np.array([2, 1, 2], np.int32),
        np.arange(3),
        offsets=np.array([0, 1, 3, 3]),
    )
    evaluation = measure(Table(np.array([[0, 0, 0], [0, 2, 1], [0, 1, 2]])), cases, {"metrics": ["gauc", "hit@1"]})
    assert evaluation.metrics["gauc"] == 0
    assert evaluation.confidence.keys() == {"hit@1"}


def labelled(count, items, levels):
    cases = random_cases(count, items)
    return replace(cases, labels=generator(3, "labels").integers(0, levels, count).astype(float))


def test_values_against_labels():
    scorer, cases = random_scorer(20), labelled(80, 20, 2)
    scores = scorer.score(cases.prefixes).numpy()[np.arange(80), cases.targets].astype(float)
    names = ["auc", "mae", "rmse", "logloss"]
    evaluation = measure(scorer, cases, {"metrics": names}, chunk=7)
    assert evaluation.metrics["auc"] == pytest.approx(auc(scores, cases.labels)(np.ones(80, dtype=np.int64)))
    assert evaluation.metrics["mae"] == pytest.approx(np.abs(scores - cases.labels).mean())
    assert evaluation.metrics["rmse"] == pytest.approx(np.sqrt(((scores - cases.labels) ** 2).mean()))
    for name in names:
        low, high = evaluation.confidence[name]
        assert low < evaluation.metrics[name] < high
    scorer.scores_are_logits = True
    probabilities = 1 / (1 + np.exp(-scores))
    as_logits = measure(scorer, cases, {"metrics": names})
    assert as_logits.metrics["auc"] == pytest.approx(evaluation.metrics["auc"])
    assert as_logits.metrics["mae"] == pytest.approx(np.abs(probabilities - cases.labels).mean())
    rates = np.array(evaluation.roc)
    assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(evaluation.metrics["auc"], abs=0.02)


def test_values_that_are_no_probabilities_are_taken_as_they_are():
    scorer, cases = random_scorer(20), labelled(50, 20, 6)
    scorer.scores_are_logits = True
    scores = scorer.score(cases.prefixes).numpy()[np.arange(50), cases.targets].astype(float)
    assert measure(scorer, cases, {"metrics": ["mae"]}).metrics["mae"] == pytest.approx(
        np.abs(scores - cases.labels).mean()
    )


def test_rankings_of_labelled_cases_are_those_of_what_was_liked():
    scorer, cases = random_scorer(20), labelled(80, 20, 2)
    liked = cases[np.flatnonzero(cases.labels == 1)]
    assert measure(scorer, cases, {"metrics": ["mrr"]}).metrics == measure(scorer, liked, {"metrics": ["mrr"]}).metrics


def test_mistakes_about_labels_and_pairs_are_explained():
    scorer, cases = random_scorer(10), random_cases(5, 10)
    with pytest.raises(ParameterError, match=r"these cases have none; set protocol\.ranking\.candidates=labeled"):
        measure(scorer, cases, {"metrics": ["auc"]})
    with pytest.raises(ParameterError, match="needs both liked and other cases, and every label is 1"):
        measure(scorer, replace(cases, labels=np.ones(5)), {"metrics": ["auc"]})
    alone = Table(np.zeros((2, 2)))
    with pytest.raises(ParameterError, match="metric 'gauc': no case has both a relevant and another candidate"):
        measure(alone, cases_of([[1]], [1]), {"metrics": ["gauc"]})


class _Recorder(Progress):
    def __init__(self):
        self.steps = []

    def advance(self, steps=1, note=""):
        self.steps.append(steps)

    def task(self, name, total):
        from contextlib import nullcontext

        self.total = total
        return nullcontext(self)


def test_progress_counts_cases():
    recorder = _Recorder()
    measure(random_scorer(10), random_cases(25, 10), chunk=10, progress=recorder)
    assert (recorder.total, recorder.steps) == (25, [10, 10, 5])


def test_mistakes_are_explained():
    scorer, cases = random_scorer(10), random_cases(5, 10)
    with pytest.raises(EmptyDataError, match="there are no test cases"):
        measure(scorer, cases[:0])
    with pytest.raises(ParameterError, match=r"^ranking\.metrics: unknown metric 'accuracy@3': choose one of "):
        measure(scorer, cases, {"metrics": ["accuracy@3"]})
    with pytest.raises(ParameterError, match=r"^ranking\.ties: must be 'served', .* got 'worst'"):
        measure(scorer, cases, {"ties": "worst"})
    with pytest.raises(ParameterError, match=r"^ranking\.seed: has no effect with candidates 'full', .* got 3"):
        measure(scorer, cases, {"seed": 3})
    with pytest.raises(ParameterError, match="unknown parameter of ranking 'metric': did you mean 'metrics'"):
        measure(scorer, cases, {"metric": ["mrr"]})
    with pytest.raises(ParameterError, match="chunk: must be at least 1, got 0"):
        measure(scorer, cases, chunk=0)
    with pytest.raises(ParameterError, match="cases: targets must be item indices from 1 to 4"):
        measure(Table(BY_HAND), cases_of([[1]], [7]))


@pytest.mark.parametrize(("free", "cases"), [(800_000_000_000, 16_384), (7_808_000_000, 1_000), (100_000, 1)])
def test_chunks_on_a_gpu_follow_its_free_memory(free, cases, monkeypatch):
    """They take 64 bytes per score, of half of what is free; 61,000 columns."""
    scorer = Catalogue(60_999)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (free, free))
    assert cases_at_once(scorer) == 6_000_000 // 61_000
    scorer.device = torch.device("cuda", 0)
    assert cases_at_once(scorer) == cases


class Catalogue:
    """Something with many items."""

    def __init__(self, items):
        self.vocabulary = Vocabulary(
            pl.DataFrame({"item": np.arange(items), "support": np.ones(items, dtype=np.int64)})
        )

    def score(self, prefixes):
        return torch.zeros(len(prefixes), len(self.vocabulary) + 1)
