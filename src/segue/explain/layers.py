"""Topics on layers: dropout, residual connections, normalisation."""

from typing import TYPE_CHECKING

from segue.explain.topic import Topic, decimals
from segue.markdown import table

if TYPE_CHECKING:
    from segue.nn.encoders.transformer import NormOrder, TransformerBlock


def _dropout() -> str:
    import torch

    from segue.nn.encoders.layers import Dropout

    rows = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for rate in (0.25, 0.5):
            layer, ones = Dropout(rate), torch.ones(1_000_000)
            trained, served = layer.train()(ones), layer.eval()(ones)
            share = float((trained == 0).float().mean())
            values = [share, float(trained.max()), float(trained.mean()), float(served.mean())]
            rows.append([f"{rate:g}", *decimals(values, 2)])
    head = ["rate p", "share set to 0", "value of the others", "mean in training", "mean when serving"]
    return f"""A million ones through a dropout layer:

{table(head, rows)}

What is left is multiplied by 1 / (1 - p), so that the mean stays 1 and nothing has to change when the model serves."""


def _block(order: "NormOrder", *, width: int = 2, epsilon: float = 1e-8) -> "TransformerBlock":
    """Return a transformer block with random weights."""
    from segue.nn.encoders.attention import Attention
    from segue.nn.encoders.layers import FeedForward
    from segue.nn.encoders.transformer import TransformerBlock

    return TransformerBlock(
        attention=Attention(hidden_size=width, heads=1),
        feed_forward=FeedForward(hidden_size=width, inner_size=2, activation="relu"),
        hidden_size=width,
        norm_order=order,
        dropout=0.0,
        epsilon=epsilon,
    ).eval()


def _orders() -> str:
    import torch
    from torch import nn

    sums: dict[NormOrder, str] = {
        "pre": "x + f(n(x))",
        "gated": "x + gate * f(n(x))",
        "post": "n(x + f(x))",
        "query": "n(x) + f(n(x))",
    }
    rows, mask = [], torch.ones(1, 1, 1, 1, dtype=torch.bool)
    for order, meaning in sums.items():
        block = _block(order)
        with torch.no_grad():
            for name, weight in block.named_parameters():
                if name.startswith(("attention.output", "feed_forward.outer")):
                    nn.init.zeros_(weight)
            output = block(torch.tensor([[[1.0, 3.0]]]), mask)[0, 0].tolist()
        rows.append([f"`{order}`", meaning, f"({', '.join(decimals(output, 1))})"])
    return f"""A transformer block whose sub-layers f output zero, applied to x = (1, 3), in the four orders that segue
has:

{table(["norm_order", "sub-layer", "output"], rows, numbers=False)}

In `pre` and `gated` the block is the identity until it has learnt something: x passes all blocks unchanged. In `post`
and `query` every block normalises what passes through it, here to (-1, 1). Of the gradient, ten layers with
f' = 0.1 pass on 0.1^10 = {0.1**10:.0e} without the sum, and 1.1^10 = {1.1**10:.2f} times of it with the sum."""


def _norms() -> str:
    import torch
    from torch import nn

    layer, batch = _block("pre", width=3).norms[0], nn.BatchNorm1d(3, eps=1e-8, track_running_stats=False)
    events = torch.tensor([[1.0, 2.0, 6.0], [10.0, 20.0, 60.0], [4.0, 0.0, 2.0]])
    padded, small = torch.cat([events, torch.zeros(1, 3)]), torch.tensor([0.02, -0.02, 0.0])
    with torch.no_grad():
        normalised = [events, layer(events), layer(padded), batch(events), batch(padded)]
        rows = [[f"({', '.join(decimals(part[row].tolist(), 2))})" for part in normalised] for row in range(3)]
        shrunk = {
            text: _block("pre", width=3, epsilon=float(text)).norms[0](small).tolist()
            for text in ("1e-5", "1e-8", "1e-12")
        }
    head = ["event", "layer norm", "layer norm, padded", "batch norm", "batch norm, padded"]
    epsilons = [[text, f"({', '.join(decimals(values))})"] for text, values in shrunk.items()]
    return f"""A batch of three events with D = 3; in the columns "padded", a row of padding (0, 0, 0) is in the batch:

{table(head, rows)}

Layer normalisation uses the three numbers of an event: (1, 2, 6) has the mean 3 and the variance 14/3. The second
event is ten times the first and becomes equal to it; the third is not a multiple and stays different. Batch
normalisation uses the first numbers of all events, 1, 10 and 4, then the second ones and the third ones: multiples
remain different, and a row of padding changes the result for all of them.

The event (0.02, -0.02, 0), of the size of a new embedding, under three values of epsilon:

{table(["layer_norm_eps", "it becomes"], epsilons)}"""


TOPICS = (
    Topic(
        name="dropout",
        title="Dropout",
        idea="""
        Dropout sets random values to zero in training, different ones at every step, and leaves them unchanged when
        the model serves. The network cannot rely on any single value, so it learns redundant features and
        overfits less. In sequence models it acts at three places with different meanings: on the values of
        embeddings and states, on the attention weights, and on whole clicks of a session (click dropout), which
        simulates a visitor who did not click everything. Small logs usually need more of it than large ones.
        """,
        formula="""
        y = m x / (1 - p)       m = 0 with probability p, else 1;  the mean of y is x
        """,
        example=_dropout,
        options=(
            "sasrec.dropout",
            "gru4rec.dropout_embedding",
            "gru4rec.dropout_hidden",
            "narm.dropout_context",
            "improved-gru4rec.training.click_dropout",
        ),
        pitfall="""
        The training loss is computed with dropout, the validation without. A training loss above the
        validation loss is therefore no mistake, and the two must not be compared to find overfitting; look at
        the course of the validation metric. More dropout also needs more epochs: a run with twice the dropout and
        the same number of epochs is often under-trained, not regularised.
        """,
        sources=(
            "Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting, JMLR 15",
            "Tan, Xu and Liu 2016, Improved recurrent neural networks for session-based recommendations, "
            "arXiv 1606.08117 (click dropout)",
        ),
        pages=("models/sasrec.md", "models/gru4rec.md", "tuning.md"),
        also=("regularisation", "regularization", "overfitting"),
    ),
    Topic(
        name="residual-connections",
        title="Residual connections",
        idea="""
        A residual connection adds the input of a layer to its output, so the layer learns a correction instead
        of a whole new representation. The gradient reaches the first layer through the sums, without being
        multiplied by every layer in between; deep stacks can be trained at all because of this. It also keeps the
        embedding of the last item, the strongest single feature, within reach of the output. Where the
        normalisation is placed relative to the sum decides whether that direct path exists.
        """,
        formula="""
        y = x + f(x)          dy/dx = 1 + f'(x)
        pre-norm   x + f(n(x))       post-norm  n(x + f(x))
        """,
        example=_orders,
        options=("sasrec.norm_order", "bert4rec.norm_order", "sasrec.layers"),
        pitfall="""
        Post-norm, the order of the original transformer, has no identity path: a deep stack needs a learning rate
        that rises slowly from zero (`training.warmup`), or it does not learn. Pre-norm trains without that, but
        the sum grows from block to block and needs a final normalisation before the scores. The code of SASRec's
        authors does neither (`query`): it adds the layer to its normalised input.
        """,
        sources=(
            "He et al. 2016, Deep residual learning for image recognition, arXiv 1512.03385",
            "Xiong et al. 2020, On layer normalization in the transformer architecture, arXiv 2002.04745",
        ),
        pages=("models/sasrec.md", "models/bert4rec.md", "models/esasrec.md"),
        also=("residual", "skip-connections", "pre-norm", "post-norm", "resnet"),
    ),
    Topic(
        name="normalisation",
        title="Layer against batch normalisation",
        idea="""
        Normalisation brings values to mean 0 and deviation 1, then scales and shifts them by learnt numbers, so
        that layers keep receiving values of the size that they were trained for. Layer normalisation does so
        over the D values of one event; batch normalisation does so for each dimension over all events of the
        batch. Sequence models use layer normalisation: sessions differ in length, padding would count in the
        statistics of a batch, and a single session must be served as it was trained. Batch normalisation needs
        running averages for serving, which is a second behaviour that may differ from training. All transformers of
        segue use layer normalisation; no option selects another kind, and `norm_order` only says where it is placed.
        """,
        formula="""
        y = g (x - mean) / sqrt(variance + epsilon) + b        g, b: learnt, one per dimension; 1 and 0 at first
        layer norm: mean and variance over the D values of an event
        batch norm: over the events of the batch, for each of the D dimensions
        """,
        example=_norms,
        options=("sasrec.layer_norm_eps", "bert4rec.layer_norm_eps", "sasrec.norm_order", "bert4rec.norm_order"),
        pitfall="""
        Layer normalisation discards the mean and the length of a vector: two events whose vectors are multiples of
        each other become equal, as (1, 2, 6) and (10, 20, 60) do here. If the length carries information, such as
        how sure a model is, it must be passed around the normalisation by a residual connection. Epsilon matters
        when weights are copied from another implementation: with 1e-5, small vectors become visibly shorter than
        with 1e-8, while 1e-8 and 1e-12 give the same four decimals here.
        """,
        sources=(
            "Ba, Kiros and Hinton 2016, Layer normalization, arXiv 1607.06450",
            "Ioffe and Szegedy 2015, Batch normalization, arXiv 1502.03167",
        ),
        pages=("models/sasrec.md", "models/bert4rec.md", "models/fmlp-rec.md"),
        also=("layer-norm", "batch-norm", "layernorm", "batchnorm", "normalization", "layer-normalisation"),
    ),
)
