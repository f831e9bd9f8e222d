"""Topics on training: session-parallel batches, Tan's recipes, negative sampling, distillation, learning curves."""

from segue.explain.topic import Chapter, Topic, decimals
from segue.explain.toy_log import toy_sessions
from segue.markdown import table


def _lanes() -> str:
    import numpy as np

    from segue.data.batches.session_parallel import SessionParallel

    log = toy_sessions("ABC", "DE", "FGH")
    names, lanes = log.vocabulary.raw_ids, SessionParallel(log, 2)
    rows, active = [], np.arange(2)
    for number in range(lanes.n_steps):
        batch = lanes.batch(number)
        active = active if batch.kept is None else active[batch.kept]
        cells = ["-", "-"]
        for lane, item, target, start in zip(active, batch.inputs, batch.targets, batch.starts, strict=True):
            cells[lane] = f"{names[item]} → {names[target]}{' (reset)' if start else ''}"
        rows.append([str(number + 1), *cells])
    return f"""Three sessions, ABC, DE and FGH, in two lanes. Each cell is an input and its target:

{table(["step", "one lane", "the other lane"], rows, numbers=False)}

DE ends after step 1, so in step 2 its lane starts FGH with a fresh state, while the lane of ABC carries its state on.
In step 3, no session is left for the lane of ABC, and the batch shrinks to one row."""


def _recipes() -> str:
    import torch

    from segue.data.batches.windows import window_of
    from segue.nn.losses.functions import cosine
    from segue.training.config import FineTuning, fine_tuning_sessions

    log = toy_sessions("ABCD")
    names = log.vocabulary.raw_ids

    def spelt(row: list[int]) -> str:
        return "".join(str(names[item]) for item in row if item)

    targets, starts = log.targets()
    window = window_of(log.prefixes(starts, targets), 20)
    clicks = window.drop(torch.tensor([[False, False, False], [False, False, False], [False, True, False]]))
    backwards = log.reverse()
    future, begin = backwards.targets()
    teacher = window_of(backwards.prefixes(begin, future), 20).items.flip(0).tolist()
    rows = [
        [spelt(prefix), spelt(dropped), str(names[log.items[target]]), spelt(after) or "nothing"]
        for prefix, dropped, target, after in zip(
            window.items.tolist(), clicks.items.tolist(), targets, [*teacher[1:], []], strict=True
        )
    ]
    recent = fine_tuning_sessions(toy_sessions("AB", "BC", "CD", "DA"), FineTuning(recent_share=0.25))
    distance = cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])).item()
    return f"""The session ABCD becomes three examples. In the third, click dropout happened to remove B; the teacher of
the privileged information reads what follows the target, the latest first:

{table(["prefix", "after click dropout", "target", "the teacher reads"], rows, numbers=False)}

Fine-tuning with `recent_share=0.25` continues on session number {", ".join(str(one + 1) for one in recent)} of 4.
Output embedding: for the state (3, 4) and a target with the embedding (4, 3), the loss is 1 - 24/25 =
{distance:.4f}."""


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
    return f"""Three items with 100, 10 and 1 training events: the probability of each in one draw, and the logQ
correction for {size} negatives, log({size} q):

{table(head, rows)}

With alpha = 1, the rare item is a negative in one draw of 111 and learns little from being one. With alpha = 0.5, A is
expected {np.exp(corrections[0]):.1f} times among the {size}; the correction takes log of that from its score, so that
it is not pushed down only because it was sampled often."""


def _soft_labels() -> str:
    import torch

    from segue.nn.losses.softmax import soft_cross_entropy

    rows = []
    for temperature in (1.0, 2.0, 5.0):
        shares = (torch.tensor([[2.0, 1.0, 0.0]]) / temperature).softmax(1)
        loss = soft_cross_entropy(
            torch.ones(1, 1),
            torch.zeros(4, 1),
            torch.tensor([[1, 2, 3]]),
            shares,
            torch.ones(1),
            temperature=temperature,
        ).item()
        rows.append([f"{temperature:g}", *decimals(shares[0].tolist()), *decimals([loss, loss / temperature**2])])
    head = ["temperature T", "A", "B", "C", "T² H", "H"]
    return f"""A teacher scores three items A, B, C with 2, 1, 0. Its soft labels, and the loss of a student that has
not learnt anything and scores all items alike:

{table(head, rows)}

H is log 3 = 1.0986 at any temperature, since the student's softmax is uniform. A higher temperature says more about B
and C relative to A. The factor T² keeps the gradient of the soft labels as large as at T = 1."""


CHAPTER = Chapter(
    "training",
    "Training",
    (
        Topic(
            name="session-parallel-batches",
            title="Session-parallel batches",
            idea="""
            GRU4Rec reads a session one event at a time and carries a hidden state. Padding sessions to equal length
            would waste most of a batch, since lengths differ by a factor of ten or more. Instead, B lanes walk
            through B sessions side by side: each step feeds one event per lane and predicts the next. A lane whose
            session has ended takes the next session and resets its own state; the others keep their states. The targets
            of the other lanes serve as negatives, which costs nothing and samples items by popularity.
            """,
            formula="""
            h_t[b] = GRU(x_t[b], 0 if lane b starts a session at step t, else h_(t-1)[b])
            loss_t = sum over b of loss(r[b, target_b] against r[b, target_c] for c != b, and sampled items)
            """,
            example=_lanes,
            options=("gru4rec.training.batch_size", "gru4rec.training.loss.n_samples", "gru4rec.hidden_size"),
            pitfall="""
            Two bugs are common in reimplementations: resetting the state of all lanes when one session ends, and
            never resetting it. Both still learn something, so only the metrics show that something is wrong.
            Backpropagation runs through one step only; the state of the step before is an input, not a variable. A
            large batch means more negatives but fewer, later updates: 32 to 512 is usual.
            """,
            sources=(
                "Hidasi et al. 2016, Session-based recommendations with recurrent neural networks, arXiv 1511.06939",
                "Hidasi and Czapp 2023, The effect of third party implementations on reproducibility, RecSys",
            ),
            also=("session-parallel", "gru4rec", "lanes", "mini-batches"),
        ),
        Topic(
            name="tan-recipes",
            title="Tan's recipes for recurrent networks",
            idea="""
            Tan, Xu and Liu improved GRU4Rec without a new network, by four recipes. Prefix augmentation trains on every
            prefix of a session, and click dropout removes some clicks of it, as if a visitor had skipped them.
            Fine-tuning continues on recent sessions, after training on all, to follow a changing taste. Privileged
            information: a teacher reads what came after the label, which is known in training only, and the student
            learns from its soft labels. Output embedding predicts the embedding of the next item with a cosine
            loss, so the cost of a step does not grow with the catalogue. Any sequence encoder can use all of them.
            """,
            formula="""
            prefixes      (e_1) -> e_2,  (e_1 e_2) -> e_3,  ...;  each click dropped with probability p
            privileged    (1 - weight) * loss(label) + weight * T^2 * H(teacher, student)
            output        1 - cos(state, embedding of the label);  D numbers instead of N scores
            """,
            example=_recipes,
            options=(
                "improved-gru4rec.training.positions",
                "improved-gru4rec.training.click_dropout",
                "improved-gru4rec.training.fine_tuning.epochs",
                "improved-gru4rec.training.fine_tuning.recent_share",
                "improved-gru4rec.training.privileged.weight",
                "improved-gru4rec.training.loss",
            ),
            pitfall="""
            A recipe is not a gain by itself. In segue's own measurements on Diginetica, none of the others improved a
            network that trains on every prefix already, and output embedding cost a third of the recall for half the
            training time: it is for catalogues that are too large for a softmax. Click dropout needs training on
            prefixes (`positions=last`): in a window that is trained at all positions, a dropped click would be missing
            as a target as well. Measure one recipe at a time, with several seeds.
            """,
            sources=(
                "Tan, Xu and Liu 2016, Improved recurrent neural networks for session-based recommendations, "
                "arXiv 1606.08117",
            ),
            also=(
                "improved-gru4rec",
                "prefix-augmentation",
                "click-dropout",
                "fine-tuning",
                "privileged-information",
                "output-embedding",
            ),
        ),
        Topic(
            name="negative-sampling",
            title="Negative sampling in training",
            idea="""
            The softmax over all N items is the expensive part of a step. Negative sampling compares the target with a
            few sampled items instead, uniform or by popularity to the power alpha. Popular negatives are harder and
            teach more, but being sampled more often pushes their scores down; the logQ correction takes that back, so
            that the sampled softmax estimates the full one. A sampled item that is the target itself is an accidental
            hit and is left out. More negatives are nearly always better; hundreds, shared by all rows of a step, cost
            one matrix product.
            """,
            formula="""
            q_j = support_j^alpha / sum of support^alpha
            sampled softmax:   r_j - log(S q_j)  for each of the S sampled negatives; the target keeps its score
            """,
            example=_draws,
            options=(
                "sasrec.training.loss.n_samples",
                "sasrec.training.loss.alpha",
                "sasrec.training.loss.logq",
                "sasrec.training.loss.in_batch",
                "sasrec.training.loss.accidental_hits",
                "gru4rec.training.loss.n_samples",
            ),
            pitfall="""
            This is not the sampling of the test (topic `sampled-metrics`): negatives in training are an approximation
            that can be corrected, sampled candidates in a test change the metric. Sampling negatives
            raises the share of positives, which makes BCE overconfident; gBCE corrects for it. In-batch negatives are
            drawn by popularity by construction, so they need the correction most.
            """,
            sources=(
                "Bengio and Senecal 2008, Adaptive importance sampling to accelerate training of a neural "
                "probabilistic language model, IEEE Transactions on Neural Networks 19",
                "Hidasi and Karatzoglou 2018, arXiv 1706.03847",
                "Petrov and Macdonald 2023, gSASRec, arXiv 2308.07192",
            ),
            also=("negatives", "logq", "in-batch", "accidental-hits", "popularity-sampling", "gsasrec"),
        ),
        Topic(
            name="distillation",
            title="Distillation",
            idea="""
            A large or slow teacher trains a small student. The log names one next item per event; the teacher adds
            which other items would have been plausible, and the student learns from both. These soft labels carry
            more information than one label, so a student that imitates a teacher often beats the same network trained
            without a teacher. A temperature above 1 flattens both distributions and shows more of what the teacher
            thinks of the items that it ranks second and third. The teacher can be of any kind, also a neighbourhood
            model that no network could be initialised from.
            """,
            formula="""
            loss = (1 - weight) * loss(label) + weight * T^2 * H(teacher, student)
            H = - sum_j softmax(teacher / T)_j * log softmax(student / T)_j
            """,
            example=_soft_labels,
            options=("distillation.weight", "distillation.temperature", "distillation.top"),
            pitfall="""
            A teacher that is worse than the student without a teacher harms it: `segue distill` trains the student
            without a teacher as well, so look at that row first. Scores are not always logits: the scores of a
            neighbourhood model are taken in proportion instead of through a softmax. Only the best `top`
            items are kept, so soft labels say nothing about the rest of the catalogue.
            """,
            sources=(
                "Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network, arXiv 1503.02531",
                "Tang and Wang 2018, Ranking distillation, KDD",
            ),
            also=("knowledge-distillation", "soft-labels", "teacher", "student", "temperature"),
        ),
    ),
)
