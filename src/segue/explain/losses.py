"""Topics on losses: each loss with its formula, losses against metrics, pointwise, pairwise and listwise."""

from collections.abc import Callable

from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table


def _all_losses() -> str:
    import torch

    from segue.nn.losses.functions import LOSSES, cosine, lambda_rank, list_net

    scores, target = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([0])
    relevance, mask = torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool)
    values = {name: loss(scores, target).item() for name, loss in LOSSES.items()}
    values["listnet"] = list_net(scores, relevance, mask).item()
    values["lambdarank"] = lambda_rank(scores, relevance, mask).item()
    values["cosine"] = cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])).item()
    rows = [[f"`{name}`", decimals([value])[0]] for name, value in values.items()]
    return f"""The target has the score 1, two negatives have 0 and -1; `sampled-softmax` with all other items as
negatives equals `cross-entropy`, and `gbce` with all of them as negatives has beta = 1. `cosine` has no scores: its
state is (3, 4) and the embedding of the target (4, 3), with a cosine of 24/25.

{table(["loss", "value"], rows)}

`cross-entropy` is log(1 + exp(-1) + exp(-2)); `bpr` is the mean of log(1 + exp(-1)) and log(1 + exp(-2))."""


def _epochs() -> str:
    import numpy as np
    import torch

    from segue.metrics.rank_metrics import mrr, recall
    from segue.nn.losses.functions import cross_entropy

    epochs = {"3": [[0.1, 0.0, 0.0], [0.1, 0.0, 0.0]], "9": [[5.0, 0.0, 0.0], [0.0, 0.1, 0.0]]}
    rows = []
    for epoch, scores in epochs.items():
        logits = torch.tensor(scores)
        loss = cross_entropy(logits, torch.zeros(2, dtype=torch.int64)).mean().item()
        ranks = 1.0 + (logits[:, 1:] > logits[:, :1]).sum(1, keepdim=True).numpy()
        one = np.ones(2, dtype=np.int64)
        rows.append([epoch, *decimals([loss, recall(ranks, one, 1).mean(), mrr(ranks, one, 3).mean()])])
    return f"""Two test cases with three items, the target first. After epoch 3 the scores are (0.1, 0, 0) in both;
after epoch 9 they are (5, 0, 0) and (0, 0.1, 0):

{table(["epoch", "cross-entropy", "recall@1", "mrr@3"], rows)}

The loss fell by almost a half: the first case is predicted with great confidence, which no metric rewards. The second
target dropped to rank 2, which hardly changes the loss but changes recall@1."""


def _gradients() -> str:
    import torch

    from segue.nn.losses.functions import bce, bpr, cross_entropy, lambda_rank

    target, relevance = torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "pointwise: `bce`": lambda scores: bce(scores, target),
        "pairwise: `bpr`": lambda scores: bpr(scores, target),
        "pairwise, weighted by NDCG: `lambdarank`": lambda scores: lambda_rank(scores, relevance, mask),
        "listwise: `cross-entropy`": lambda scores: cross_entropy(scores, target),
    }
    rows = []
    for name, loss in kinds.items():
        scores = torch.tensor([[0.0, 2.0, -2.0]], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(scores).sum(), scores)
        rows.append([name, *decimals(gradient[0].tolist())])
    head = ["loss", "target, score 0", "negative, score 2", "negative, score -2"]
    return f"""The gradient of each loss by the three scores; a step goes against it, so a positive number pushes the
score down:

{table(head, rows)}

All push the target up and the wrong negative down. They differ in what they spend on the negative that is already far
below: `bce` 1/7 (exp(-2)) of what it spends on the wrong one, `cross-entropy` 1/55 (exp(-4))."""


def _smoothed_labels() -> str:
    import torch

    from segue.nn.losses.softmax import full_cross_entropy

    row, target = torch.ones(1, 1), torch.tensor([1])
    rows = []
    for smoothing in (0.0, 0.1, 0.3):
        for lead in (1.0, 3.0, 6.0):
            scores = torch.tensor([[0.0], [lead], [0.0], [0.0]], requires_grad=True)
            loss = full_cross_entropy(row, scores, target, label_smoothing=smoothing)
            (gradient,) = torch.autograd.grad(loss, scores)
            rows.append([f"{smoothing:g}", f"{lead:g}, 0, 0", *decimals([loss.item(), *gradient[1:3, 0].tolist()])])
    return f"""Three items, the target first, and the gradient of the loss by the scores of the target and of another
item. A negative gradient pushes a score up:

{table(["label_smoothing", "scores", "loss", "dL/dr of the target", "dL/dr of another"], rows, numbers=False)}

With hard labels, the target is pushed up at any lead. With 0.3, its label is 0.8 and that of the others 0.1: the best
lead is log(0.8 / 0.1) = 2.08, and at 3 and 6 the target is pushed down."""


CHAPTER = Chapter(
    "losses",
    "Losses",
    (
        Topic(
            name="losses",
            title="Every loss with its formula",
            idea="""
            A loss turns the scores of a target and of other items into one number that training lowers. Those of segue
            differ in two things: what the target is compared with (all items, drawn negatives, the other targets of
            the batch, or nothing) and how (each item by itself, in pairs, or as a whole list). Cross-entropy over all
            items, the default of SASRec and BERT4Rec, needs no sampling and is hard to beat. Where the catalogue is too
            large for it, sampled softmax with logQ correction, the default of NARM, STAMP and SR-GNN, is the closest
            substitute. Sequence encoders, GRU4Rec and the lists of two-stage models have different sets of losses.
            """,
            formula="""
            i: the target, r_i its score;  j: a negative, r_j its score;  k: number of negatives;  N: number of items
            s_j: softmax over the k negatives alone;  sigma(x) = 1 / (1 + exp(-x));  mean_j, sum_j: over the negatives
            c_j: how often j is expected among the negatives;  t: gbce_t;  bpreg: weight of the regularisation
            cross-entropy    -log( exp(r_i) / sum over all items of exp(r) )
            sampled-softmax  -log( exp(r_i) / (exp(r_i) + sum_j exp(r_j - logq log c_j)) )
            bce              -log sigma(r_i) - mean_j log sigma(-r_j)
            gbce             -[beta log sigma(r_i) + sum_j log sigma(-r_j)] / (k + 1),   beta = 1 - t (1 - k / (N - 1))
            nce              -log sigma(r_i - log c_i) - sum_j log sigma(log c_j - r_j)
            bpr              mean_j -log sigma(r_i - r_j)
            top1             mean_j [ sigma(r_j - r_i) + sigma(r_j^2) ]
            top1-max         sum_j s_j [ sigma(r_j - r_i) + sigma(r_j^2) ]
            bpr-max          -log sum_j s_j sigma(r_i - r_j) + bpreg sum_j s_j r_j^2
            cosine           1 - cos(state, embedding of the target)
            listnet          -sum_i share of relevance_i * log softmax(r)_i        i: over the items of a list
            lambdarank       sum over pairs of |change in NDCG if swapped| * log(1 + exp(r_j - r_i)),  i more relevant
            """,
            guide="""
            | loss | kind | of | use it when |
            |---|---|---|---|
            | `cross-entropy` | listwise, all items | encoders | scores of all items are affordable: the first choice |
            | `sampled-softmax` | listwise, sampled | encoders | the catalogue makes a step with all items too slow |
            | `cross-entropy` | listwise, sampled | GRU4Rec | always first: its default, negatives from the lanes |
            | `full-cross-entropy` | listwise, all items | GRU4Rec | all items are affordable, to be rid of sampling |
            | `bce` | pointwise | encoders | results of SASRec's paper are repeated |
            | `gbce` | pointwise, calibrated | encoders | as `bce`, without its overconfidence from few negatives |
            | `nce` | pointwise, corrected | encoders | scores should be near log-probabilities without a softmax |
            | `bpr` | pairwise | both | a pairwise baseline is wanted; with hard negatives |
            | `top1` | pairwise | both | results of the first GRU4Rec paper are repeated |
            | `top1-max`, `bpr-max` | pairwise, weighted | both | GRU4Rec with thousands of negatives, as in its paper |
            | `cosine` | no negatives | encoders | a step must not cost more with more items; quality is lower |
            | `listnet` | listwise | two-stage | the ranker should learn the retriever's lists as a whole |
            | `lambdarank` | pairwise, weighted by NDCG | two-stage | the order at the top of short lists counts most |

            Encoders are all neural models except `gru4rec`, which has its own set; `fpmc` and `improved-gru4rec` are
            among them. "both" means encoders and `gru4rec`. The losses of two-stage models train the ranker a second
            time, on lists of the retriever (`two-stage.listwise.loss`). ALS and BPR have one objective each.
            """,
            example=_all_losses,
            options=(
                "sasrec.training.loss",
                "sasrec.training.loss.n_samples",
                "sasrec.training.loss.gbce_t",
                "gru4rec.training.loss",
                "gru4rec.training.loss.bpreg",
                "two-stage.listwise.loss",
            ),
            pitfall="""
            Values of different losses, and of one loss with different numbers of negatives, cannot be compared: equal
            scores have a cross-entropy of log 3 = 1.10 among 3 items and of 10.3 among 30,000. Compare models by a
            validation metric. A SASRec trained by BCE with one negative, as in its paper, is a weak baseline: with
            cross-entropy the same network is much better (Klenitskiy and Vasilev 2023). `gbce` with t = 0 is not `bce`:
            its target weighs as much as one negative, that of `bce` as much as all k; they only agree for k = 1, up to
            the factor 1/2.
            """,
            sources=(
                "Hidasi et al. 2016, arXiv 1511.06939 (BPR, TOP1); Hidasi and Karatzoglou 2018, arXiv 1706.03847 (max)",
                "Petrov and Macdonald 2023, gSASRec, arXiv 2308.07192 (gBCE)",
                "Klenitskiy and Vasilev 2023, Turning dross into gold loss, arXiv 2309.07602 (SASRec, cross-entropy)",
                "Gutmann and Hyvarinen 2010, AISTATS (NCE); Bengio and Senecal 2008 (logQ)",
                "Tan, Xu and Liu 2016, arXiv 1606.08117 (cosine)",
                "Cao et al. 2007, ICML (ListNet); Burges 2010, MSR-TR-2010-82 (LambdaRank)",
            ),
            pages=("models/sasrec.md", "models/gru4rec.md", "models/gsasrec.md", "models/two-stage.md"),
            also=(
                "loss",
                "cross-entropy",
                "bce",
                "gbce",
                "nce",
                "top1",
                "top1-max",
                "bpr-max",
                "cosine",
                "sampled-softmax",
            ),
        ),
        Topic(
            name="loss-and-metric",
            title="Loss against metric",
            idea="""
            A metric such as recall@20 depends on ranks. Moving a score a little changes no rank, so its gradient is
            zero almost everywhere and it cannot be trained on. The loss is a smooth substitute: low loss and good ranks
            go together roughly, not always. Cross-entropy bounds MRR and NDCG, which is one reason why it works. A
            loss also rewards what no metric sees, such as more confidence in a target that is at rank 1 already.
            Train on the loss, but stop, select and compare by the metric that matters.
            """,
            formula="""
            loss    smooth in the scores;  for example  -log softmax(r)_i
            metric  a function of ranks;   for example  1 if rank_i <= k, else 0
            -log softmax(r)_i >= log(rank_i)     so exp(-loss) <= 1 / rank_i, the reciprocal rank
            """,
            example=_epochs,
            options=("sasrec.training.metric", "sasrec.training.patience", "protocol.valid_metric"),
            pitfall="""
            Two models with equal recall and different NDCG or MRR find the same targets and order them differently:
            look at the loss (a pairwise loss without hard negatives orders the top badly) or re-rank the lists with a
            second model. The reverse mistake is to select the epoch by the validation loss: the metric often
            improves for epochs after the loss has begun to rise.
            """,
            sources=(
                "Bruch et al. 2019, An analysis of the softmax cross entropy loss for learning-to-rank with binary "
                "relevance, ICTIR",
                "Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback, UAI",
            ),
            pages=("metrics.md", "tuning.md", "report.md"),
            also=("surrogate", "early-stopping", "order-in-list"),
        ),
        Topic(
            name="label-smoothing",
            title="Label smoothing",
            idea="""
            With a softmax, the loss of a session falls as long as the score of its target rises: a network that ranks
            the target first becomes ever more certain of it. Label smoothing takes a share of the label from the target
            and spreads it evenly over all items that the target is compared with. The best softmax is then below 1 at
            the target, so scores stay bounded. It needs no more scores: their mean is that of the mean embedding.
            """,
            formula="""
            i: the target, r_i its score;  N: number of items compared, the target included;  e: label_smoothing
            labels   q_i = 1 - e + e / N,   q_j = e / N
            loss     -sum_j q_j log softmax(r)_j  =  -log softmax(r)_i + e (r_i - mean_j r_j)
            dL/dr_j  softmax(r)_j - q_j
            """,
            guide="""
            | loss | the items compared |
            |---|---|
            | `cross-entropy` of encoders, `full-cross-entropy` of GRU4Rec | all items |
            | `sampled-softmax` | the target and the negatives of the step, with their logQ correction |
            | `cross-entropy` of GRU4Rec | the targets of all lanes and the sampled items, with their logQ correction |

            Try 0.1 to 0.3 with `gru4rec`: 0.2 improved its validation metric on both logs that it was measured on.
            """,
            example=_smoothed_labels,
            options=("gru4rec.training.loss.label_smoothing", "sasrec.training.loss.label_smoothing"),
            pitfall="""
            It is not a gain by itself. In segue's own measurements, `sasrec` and `fmlp-rec` with a decaying learning
            rate hardly changed on a slice of YooChoose, and `sasrec` became worse on MovieLens 100K. Negatives are
            sampled by popularity, so with a sampled loss popular items get more of the share. Values of losses with
            different `label_smoothing` cannot be compared, and the softmax of the scores underrates the first items.
            """,
            sources=(
                "Szegedy et al. 2016, Rethinking the inception architecture for computer vision, arXiv 1512.00567",
                "Müller, Kornblith and Hinton 2019, When does label smoothing help?, arXiv 1906.02629",
            ),
            pages=("models/gru4rec.md", "models/sasrec.md", "tuning.md"),
            also=("smoothing", "smoothed-labels", "overconfidence"),
        ),
        Topic(
            name="pointwise-pairwise-listwise",
            title="Pointwise, pairwise, listwise",
            idea="""
            Losses for ranking come in three kinds. A pointwise loss (`bce`, `gbce`, `nce`) asks of each item by itself
            whether it is the target, so it also fits the level of the scores, which a ranking does not need. A
            pairwise loss (`bpr`, `top1`) only asks that the target scores above a negative. A listwise loss
            (`cross-entropy`, `listnet`) looks at all items at once, and the softmax gives most of the gradient to the
            negatives that compete for the top. The max variants (`bpr-max`, `top1-max`) and LambdaRank are pairwise
            losses with such weights: by the score of the negative, or by what swapping the pair changes in NDCG.
            """,
            formula="""
            i: the target;  j: one of k negatives;  sigma(x) = 1 / (1 + exp(-x))
            pointwise   dL/dr_j = sigma(r_j) / k            depends only on r_j
            pairwise    dL/dr_j = sigma(r_j - r_i) / k      depends on the pair
            listwise    dL/dr_j = softmax(r)_j          depends on all scores
            """,
            example=_gradients,
            options=("sasrec.training.loss", "sasrec.training.loss.candidate_num", "two-stage.listwise.loss"),
            pitfall="""
            The gradient of `bpr` vanishes as soon as the sampled negative is far below the target, and in a large
            catalogue almost every random negative is. Training then stops improving while the top of the list is still
            wrong, and `train_auc`, the share of pairs in the right order, looks excellent. Sample popular or hard
            negatives (`alpha`, `candidate_num`), or use a listwise loss.
            """,
            sources=(
                "Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach, ICML",
                "Burges 2010, From RankNet to LambdaRank to LambdaMART, MSR-TR-2010-82",
                "Rendle and Freudenthaler 2014, Improving pairwise learning for item recommendation, WSDM",
            ),
            pages=("models/bpr.md", "models/two-stage.md", "doctor.md"),
            also=("pointwise", "pairwise", "listwise", "bpr", "listnet", "lambdarank", "train-auc", "ranking-losses"),
        ),
    ),
)
