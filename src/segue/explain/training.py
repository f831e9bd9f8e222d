"""Topics on training: Tan's recipes and distillation; those on negatives are in ``negatives``."""

from segue.explain import negatives
from segue.explain.topic import Chapter, Topic, decimals
from segue.explain.toy_log import toy_sessions
from segue.markdown import table


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


def _soft_labels() -> str:
    import torch

    from segue.nn.losses.softmax import soft_cross_entropy

    teacher, temperatures = torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0]), (1.0, 2.0, 5.0)
    students = {"knows only the label": [4.0, 0.0, 0.0], "ranks like the teacher": [4.0, 2.0, 0.0]}

    def learn(scores: list[float], temperature: float, top: int = 3) -> tuple[float, list[float]]:
        """Return the loss of a student, and its gradient by the student's scores."""
        table_of_scores = torch.tensor([[0.0], *([one] for one in scores)], requires_grad=True)
        shares, row = (teacher[:top] / temperature).softmax(0)[None], torch.ones(1)
        labels = torch.arange(1, top + 1)[None]
        loss = soft_cross_entropy(row[None], table_of_scores, labels, shares, row, temperature=temperature)
        (gradient,) = torch.autograd.grad(loss, table_of_scores)
        return loss.item(), gradient[1:, 0].tolist()

    softened = [
        [f"{one:g}", *decimals([*(teacher[:3] / one).softmax(0).tolist(), learn(teacher[:3].tolist(), one)[0]])]
        for one in temperatures
    ]
    rows = []
    for one in temperatures:
        for name, scores in students.items():
            loss, gradient = learn(scores, one)
            rows.append([f"{one:g}", name, *decimals([loss, *gradient])])
    gradients = [f"dL/d{item}" for item in "ABCDE"]
    head = ["T", "student", "T² H", *gradients[:3]]
    cut = [
        [f"{one:g}", str(top), *decimals(learn(teacher.tolist(), one, top)[1])] for one in (1.0, 5.0) for top in (5, 2)
    ]
    return f"""A teacher scores three items A, B, C with 2, 1, 0. Its soft labels at three temperatures, and the loss of
a student with the same scores, the least that any student can reach:

{table(["T", "A", "B", "C", "least T² H"], softened)}

Two students put A first. One learnt only the label A and scores 4, 0, 0; the other ranks like the teacher, too sure of
it, and scores 4, 2, 0. Their losses and the gradients by their scores; a positive gradient pushes a score down:

{table(head, rows)}

The student that knows only the label is told to raise B above C, which no label says; the one that ranks like the
teacher has the smaller loss at every temperature and is only told to be less sure. Without the factor T², the gradient
would shrink by about 1 / T² as T grows; with it, gradients stay of roughly the same size, and `weight` can
stay roughly as it is, as long as the teacher keeps most of its softmax within `top`. Otherwise gradients grow with T,
as in the next table: lower `weight`, or raise `top`.

Here the teacher kept all three items. With `top` below the number of items, the rest has the target 0. Five items, of
which the teacher scores D and E with 0 as well, and a student with the very scores of the teacher:

{table(["T", "top", *gradients], cut)}

With all five items, there is nothing left to learn. With the best two, the student must lower C, D and E below what the
teacher thinks of them, and at T = 5 the push is more than ten times as hard as at T = 1."""


CHAPTER = Chapter(
    "training",
    "Training",
    (
        negatives.SESSION_PARALLEL,
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
            pages=("models/improved-gru4rec.md", "results.md#the-recipes-of-improved-gru4rec"),
            also=(
                "improved-gru4rec",
                "prefix-augmentation",
                "click-dropout",
                "fine-tuning",
                "privileged-information",
                "output-embedding",
            ),
        ),
        negatives.NEGATIVE_SAMPLING,
        Topic(
            name="distillation",
            title="Distillation",
            idea="""
            A large or slow teacher trains a small student. The log names one next item per event; the teacher adds
            which other items would have been plausible, and the student learns from both. These soft labels carry
            more information than one label: on Diginetica, a student of width 64 has a recall@20 of .522 with a
            teacher and .497 without. A temperature above 1 flattens both distributions and shows more of what the
            teacher thinks of the items that it ranks second and third. Of each event, only the best `top` items of the
            teacher are kept; for the student, all other items are wrong. The teacher can be of any kind, also a
            neighbourhood model that no network could be initialised from.
            """,
            formula="""
            loss = (1 - weight) * loss(label) + weight * T^2 * H(teacher, student)
            H = - sum over top items j of p_j * log softmax(student / T)_j        teacher, student: their scores
            p = softmax(teacher / T) over the teacher's top items, 0 for all others;  the student's is over all items
            d(T^2 H) / d student_j = T * (softmax(student / T)_j - p_j)        > 0 for every item outside the top
            """,
            example=_soft_labels,
            options=("distillation.weight", "distillation.temperature", "distillation.top"),
            pitfall="""
            A teacher that is worse than the student without a teacher can harm it: `segue distill` trains the student
            without a teacher as well, so look at that row first. Scores are not always logits: the scores of a
            neighbourhood model are taken in proportion instead of through a softmax. A high temperature
            needs a large `top`: the student otherwise gives much of its flat distribution to items whose target is 0,
            and spends its gradient on pushing them down.
            """,
            sources=(
                "Hinton, Vinyals and Dean 2015, Distilling the knowledge in a neural network, arXiv 1503.02531",
                "Tang and Wang 2018, Ranking distillation, KDD",
            ),
            pages=("distillation.md", "results.md#distillation"),
            also=("knowledge-distillation", "soft-labels", "teacher", "student", "temperature"),
        ),
    ),
)
