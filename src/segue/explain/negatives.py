"""Topics on what a target is compared with in training: session-parallel batches, negative sampling."""

from collections.abc import Iterator
from math import exp, lgamma, log

from segue.explain.topic import Topic, decimals
from segue.explain.toy_log import toy_sessions
from segue.markdown import table


def _lanes() -> str:
    import numpy as np

    from segue.data.batches.session_parallel import SessionParallel
    from segue.nn.sampling import SessionParallelNegatives

    log = toy_sessions("ABC", "DE", "FG", "HCA", "IJ")
    names, lanes = log.vocabulary.raw_ids, SessionParallel(log, 3)
    negatives = SessionParallelNegatives(None, log.vocabulary.support, reject_hits=True)
    rows, active = [], np.arange(3)
    for number in range(lanes.n_steps):
        batch = lanes.batch(number)
        active = active if batch.kept is None else active[batch.kept]
        drawn = negatives.draw(batch.targets, 0, number)
        compared = np.ones((len(active), len(drawn.ids)), dtype=bool) & ~np.eye(len(active), dtype=bool)
        compared[drawn.excluded.rows, drawn.excluded.columns] = False
        cells = ["-", "-", "-"]
        for row, lane in enumerate(active):
            others = ", ".join(str(names[item]) for item in drawn.ids[compared[row]]) or "nothing"
            arrow = f"{names[batch.inputs[row]]} → {names[batch.targets[row]]}"
            cells[lane] = f"{arrow}{' (reset)' if batch.starts[row] else ''}, against {others}"
        rows.append([str(number + 1), *cells])
    return f"""Five sessions, ABC, DE, FG, HCA and IJ, in three lanes. Each cell is an input, its target and the
negatives of the target, without sampled items (`n_samples=0`):

{table(["step", "lane 1", "lane 2", "lane 3"], rows, numbers=False)}

DE and FG end after step 1, so in step 2 their lanes start HCA and IJ with fresh states, while lane 1 carries its state
on. In step 2, lanes 1 and 2 have the same target C: it would be its own negative, an accidental hit, and is left out of
both rows. In step 3, no session is left for lanes 1 and 3, and the batch shrinks to one row without a negative; with
`n_samples=0` segue would end the epoch before it, with sampled items it trains the row on those.

{_one_lane()}"""


def _one_lane() -> str:
    import numpy as np
    import torch

    from segue.nn.losses.sampled import sampled_cross_entropy
    from segue.nn.sampling import PopularitySampler, SessionParallelNegatives

    vocabulary = toy_sessions("ABC", "DE", "FG", "HCA", "IJ").vocabulary
    support, names, score = vocabulary.support, vocabulary.raw_ids, {"A": 2.0, "C": 1.0, "J": 0.0}
    sampler = PopularitySampler(support, 0.5, 1, seed=1)  # It draws A.
    drawn = SessionParallelNegatives(sampler, support).draw(np.array([3, 3, 10]), 0, 1)  # C, C, J.
    assert drawn.log_counts is not None
    letters = [str(names[item]) for item in drawn.ids]
    table_of_items = torch.tensor([[score[one], 0.0] for one in letters])
    losses = [
        sampled_cross_entropy(torch.ones(3, 1), table_of_items, logq * drawn.log_counts, drawn.excluded)[0].item()
        for logq in (0.0, 1.0)
    ]
    roles = ("target of lane 1", "", "target of lane 3", "sampled")
    rows = []
    for one, item, role, log_w in zip(letters, drawn.ids, roles, drawn.log_counts.tolist(), strict=True):
        if role:
            rows.append([one, role, str(support[item]), f"{score[one]:g}", *decimals([exp(log_w), score[one] - log_w])])
    return f"""The loss of lane 1 in step 2, with cross-entropy, one sampled item (`alpha=0.5`) and these scores:

{table(["item j", "why", "support_j", "score r_j", "w_j", "r_j - log w_j"], rows)}

Without correction (`logq=0`) the loss is -log softmax of the scores at C, {losses[0]:.4f}; with `logq=1` that of the
last column, {losses[1]:.4f}. A and C have equally many events, but A was sampled, so less is subtracted from it."""


def _draws() -> str:
    import numpy as np

    from segue.nn.sampling import PopularitySampler, SharedNegatives, log_probabilities

    support, size = np.array([0, 100, 10, 1]), 100
    shares = []
    for alpha in (0.0, 0.5, 1.0):
        sampler = PopularitySampler(support, alpha, size, seed=0)
        shares.append(np.exp(log_probabilities(sampler.log_weights, support))[1:])
    sampler = PopularitySampler(support, 0.5, size, seed=0)
    drawn = SharedNegatives(sampler, support, in_batch=False).draw(np.array([1, 2, 3]), 0, 0)
    assert drawn.log_counts is not None
    corrections = drawn.log_counts[:3].tolist()
    rows = [
        [name, str(events), *decimals([share[row] for share in shares]), decimals([corrections[row]])[0]]
        for row, (name, events) in enumerate(zip("ABC", support[1:], strict=True))
    ]
    head = ["item", "events", "alpha 0", "alpha 0.5", "alpha 1", "logQ, alpha 0.5"]
    return f"""Three items with 100, 10 and 1 training events: the probability q of each in one draw, and the logQ
correction for S = {size} negatives, log({size} q):

{table(head, rows)}

With alpha = 1, the rare item is a negative in one draw of 111 and learns little from being one. With alpha = 0.5, A is
expected {np.exp(corrections[0]):.1f} times among the {size}; the correction takes log of that from its score.

{_pushes()}"""


def _pushes() -> str:
    import numpy as np
    import torch

    from segue.nn.losses.sampled import shared_cross_entropy
    from segue.nn.losses.softmax import full_cross_entropy
    from segue.nn.negatives import Pairs
    from segue.nn.sampling import PopularitySampler, log_probabilities

    support, target = np.array([0, 100, 10, 1]), np.array([2])
    state, scores = torch.ones(1, 1), torch.zeros(4, 1, requires_grad=True)
    (full,) = torch.autograd.grad(full_cross_entropy(state, scores, torch.from_numpy(target)), scores)
    rows = [["all items", "", *decimals(full[1:, 0].tolist())]]
    log_q = log_probabilities(PopularitySampler(support, 1.0, 1, seed=0).log_weights, support)
    for size, logq in ((10, 1.0), (100, 1.0), (400, 1.0), (400, 0.0)):
        mean, mass = torch.zeros(4, 1), 0.0
        for counts, chance in _samples(size, np.exp(log_q[1:]).tolist()):
            drawn = np.repeat([1, 2, 3], counts)
            hits = torch.from_numpy(np.flatnonzero(drawn == target))
            log_counts = logq * torch.from_numpy(np.log(size) + log_q[drawn])
            ids = np.concatenate((target, drawn))
            loss = shared_cross_entropy(state, scores[ids], torch.ones(1), log_counts, Pairs(0 * hits, hits))
            mean, mass = mean + chance * torch.autograd.grad(loss, scores)[0], mass + chance
        rows.append([str(size), f"{logq:g}", *decimals((mean[1:, 0] / mass).tolist(), 3)])
    head = ["negatives S", "logq", "dL/dA", "dL/dB, the target", "dL/dC"]
    return f"""What the correction does: B is the target, all scores are equal, negatives are drawn with alpha = 1. The
gradient of the softmax by the three scores, for the sampled ones its expected value over all samples:

{table(head, rows)}

With the correction, the gradient approaches that of all items as S grows. With few negatives it does not: a step that
misses C leaves its share to A. Without the correction, more negatives do not help: nearly all of the push goes to the
popular item A."""


def _samples(size: int, shares: list[float]) -> Iterator[tuple[list[int], float]]:
    """Yield how often each of three items is in a sample, with its multinomial probability, if it is at least 1e-5."""
    for first in range(size + 1):
        for third in range(size - first + 1):
            counts = [first, size - first - third, third]
            logs = sum(n * log(share) - lgamma(n + 1) for n, share in zip(counts, shares, strict=True))
            chance = exp(lgamma(size + 1) + logs)
            if chance >= 1e-5:
                yield counts, chance


SESSION_PARALLEL = Topic(
    name="session-parallel-batches",
    title="Session-parallel batches",
    idea="""
    GRU4Rec reads a session one event at a time and carries a hidden state, a vector that sums up the events so far: at
    each event, gates decide how much of each of its numbers is kept and how much is replaced. Padding all sessions to
    equal length would waste most of a batch where a few are long and most are short. Instead, B lanes walk through B
    sessions side by side: each step feeds one event per lane and predicts the next. A lane whose session has ended
    takes the next one, in the order of the training sessions, and resets its own state; the others keep theirs.
    Sessions of one event have no target and are skipped. The targets of the other lanes serve as negatives: their
    embeddings are in use anyway, and items occur among them as often as in the log. Sampled items (`n_samples`), the
    same for all lanes, are added to them.
    """,
    formula="""
    h_t[b] = GRU(x_t[b], 0 if lane b starts a session at step t, else h_(t-1)[b])
    h_t[b]: hidden state of lane b after step t;  x_t[b]: embedding of the item that lane b reads at step t
    loss_t = 1/B sum over lanes b of loss(r[b, y_b] against r[b, j] for the negatives j of lane b)
    y_b: target of lane b;  r[b, j]: score of item j after h_t[b];  loss: one of GRU4Rec's (topic `losses`)
    negatives of lane b: y_c of the other lanes c, and the sampled items
    accidental_hits=reject drops each negative with j = y_b;  keep leaves them in, also y_c = y_b
    loss=cross-entropy:  r[b, j] - logq * log(w_j) for all j, y_b included.  The other losses have no correction.
    w_j = support_j for the target of a lane, support_j^alpha for a sampled item
    support_j: training events on item j;  alpha: sampled items are drawn in proportion to support_j^alpha
    """,
    example=_lanes,
    options=(
        "gru4rec.training.batch_size",
        "gru4rec.training.loss",
        "gru4rec.training.loss.n_samples",
        "gru4rec.training.loss.alpha",
        "gru4rec.training.loss.accidental_hits",
        "gru4rec.training.loss.logq",
        "gru4rec.hidden_size",
    ),
    pitfall="""
    Two bugs are common in reimplementations: resetting the state of all lanes when one session ends, and never
    resetting it. Both still learn something, so only the metrics show that something is wrong. Backpropagation runs
    through one step only; the state of the step before is an input, not a variable. A large batch means more negatives
    but fewer, later updates; search `batch_size` and `learning_rate` together. The preset `authors` keeps accidental
    hits, as the authors' code does. The weights w_j are that code's, too. They are not the expected counts of topic
    `negative-sampling`: nothing puts the targets of the lanes and the sampled items on one scale, so `logq=1` does not
    make the loss an estimate of that over all items; search `logq` between 0 and 1.
    """,
    sources=(
        "Hidasi et al. 2016, Session-based recommendations with recurrent neural networks, arXiv 1511.06939",
        "Hidasi and Karatzoglou 2018, Recurrent neural networks with top-k gains, arXiv 1706.03847 (sampled items)",
        "Hidasi and Czapp 2023, The effect of third party implementations on reproducibility, RecSys",
    ),
    pages=("models/gru4rec.md",),
    also=("session-parallel", "gru4rec", "lanes", "mini-batches"),
)

NEGATIVE_SAMPLING = Topic(
    name="negative-sampling",
    title="Negative sampling in training",
    idea="""
    The softmax over all N items is the expensive part of a step. Negative sampling compares the target with a few
    sampled items instead, uniform or by popularity to the power alpha. Popular negatives are harder and teach more, but
    being sampled more often pushes their scores down; the logQ correction takes that back. The sum over the negatives
    then has the sum over all other items as its mean; the loss takes the logarithm of it, so it and its gradient are
    biased for few samples and approach those of the full softmax as S grows. A sampled item that is the target itself
    is an accidental hit and is left out. All rows of a step share their negatives, so hundreds of them cost one matrix
    product.
    """,
    formula="""
    i: the target;  j: a negative;  r: scores;  S: number of sampled negatives (n_samples)
    support_j: training events on item j
    q_j = support_j^alpha / sum over items of support^alpha        probability of j in one draw
    c_j = S q_j        how often j is expected;  with in_batch: S q_j + (T - 1) p_j for T rows,  p: q at alpha = 1
    sampled softmax:   -log( exp(r_i) / (exp(r_i) + sum over negatives j != i of exp(r_j - logq * log c_j)) )
    nce:               subtracts log c from all scores, the target's too, by its definition
    bce, gbce, bpr, bpr-max, top1, top1-max:  no correction
    The formula of each loss is in topic `losses`.
    """,
    guide="""
    | case | setting |
    |---|---|
    | all scores of a step are affordable | `loss=cross-entropy`: no sampling, no bias |
    | a larger catalogue | `sampled-softmax` with as many `n_samples` as the time allows, `logq=1` |
    | more negatives without more embeddings | `in_batch=true`: the other targets of the step, drawn by popularity |
    | `bce`, `gbce` | few rows per draw: `targets_per_draw=20`, as in gSASRec, or 1, as in SASRec's code |
    | a pairwise loss that has stopped learning | harder negatives: `alpha` near 1, `candidate_num` above 1 |

    With `candidate_num=c`, c items are sampled per negative, and each row uses the one that it scores highest.

    The usual logQ correction also subtracts log q from the score of the target. Khrylchenko et al. (2025) show that
    this keeps a bias: the target was not drawn, it is in the sum with probability 1. segue's `sampled-softmax` takes
    this first part of their correction and corrects the negatives only; their loss also weights each example by the
    probability that the model gives to other items than the target, which segue does not do. GRU4Rec's
    `cross-entropy` corrects both, as in its authors' code. `logq` between 0 and 1 takes a part of the correction and
    leaves popular items somewhat lower.
    """,
    example=_draws,
    options=(
        "sasrec.training.loss.n_samples",
        "sasrec.training.loss.alpha",
        "sasrec.training.loss.logq",
        "sasrec.training.loss.in_batch",
        "sasrec.training.loss.accidental_hits",
        "sasrec.training.loss.targets_per_draw",
        "gru4rec.training.loss.n_samples",
    ),
    pitfall="""
    This is not the sampling of the test (topic `sampled-metrics`): negatives in training are an approximation that can
    be corrected, sampled candidates in a test change the metric. Sampling negatives raises the share of positives,
    which makes BCE overconfident; gBCE corrects for it. If thousands of rows share their negatives, one step pushes
    these few items down with all its weight, and `bce` and `gbce`, which judge each item by itself, hardly learn:
    `targets_per_draw` draws for every few rows. In-batch negatives are drawn by popularity by construction, so they
    need the correction most. SASRec's default loss has no negatives and refuses their parameters: choose a sampled
    loss first, as the lines of the options do.
    """,
    sources=(
        "Bengio and Senecal 2008, Adaptive importance sampling to accelerate training of a neural "
        "probabilistic language model, IEEE Transactions on Neural Networks 19",
        "Khrylchenko et al. 2025, Correcting the LogQ correction: revisiting sampled softmax for large-scale "
        "retrieval, arXiv 2507.09331",
        "Hidasi and Karatzoglou 2018, arXiv 1706.03847",
        "Petrov and Macdonald 2023, gSASRec, arXiv 2308.07192",
    ),
    pages=("models/sasrec.md", "models/gsasrec.md", "sampled-metrics.md"),
    also=("negatives", "logq", "in-batch", "accidental-hits", "popularity-sampling", "gsasrec"),
)
