"""Topics on networks: attention and its masks, bilinear decoding; topics on layers are in ``layers``."""

from segue.explain import layers
from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table


def _attention() -> str:
    import math

    import torch

    from segue.nn.encoders.attention import Attention, attention_mask
    from segue.nn.encoders.layers import Positions

    layer, positions = Attention(hidden_size=2, heads=1, mix_heads=False).eval(), Positions(max_length=3, hidden_size=2)
    swap, keep, negate = [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]]
    items = torch.tensor([[1, 2, 3]])
    causal, mutual = (attention_mask(items, causal=one) for one in (True, False))
    events = torch.tensor([[[2.0, 1.0], [0.0, 2.0], [2.0, 0.0]]])
    with torch.no_grad():
        layer.query.weight.copy_(torch.tensor(swap))
        layer.key_value.weight.copy_(torch.tensor(keep + negate))
        layer.query.bias.zero_()
        layer.key_value.bias.zero_()
        positions.weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
        query, (key, value) = layer.query(events)[0], layer.key_value(events)[0].chunk(2, dim=-1)
        logits = (query @ key.T / math.sqrt(2)).masked_fill(~causal[0, 0], -torch.inf)
        weights = logits.softmax(dim=1)
        outputs = [layer(events, events, mask)[0] for mask in (causal, mutual)]
        other = events[:, [1, 0, 2]]
        last = [[layer(one, one, causal)[0, 2] for one in (order, positions(order))] for order in (events, other)]

    def pair(vector: torch.Tensor, places: int = 4) -> str:
        return f"({', '.join(decimals(vector.tolist(), places))})"

    parts = [[str(row + 1), *(pair(one[row], 0) for one in (events[0], query, key, value))] for row in range(3)]
    shares = [[str(row + 1), *decimals([logits[2, row], weights[2, row]])] for row in range(3)]
    masks = [[name, *map(pair, output)] for name, output in zip(("causal", "not causal"), outputs, strict=True)]
    orders = [[name, *map(pair, row)] for name, row in zip(("1, 2, 3", "2, 1, 3"), last, strict=True)]
    return f"""Three events with D = 2. The query swaps the two numbers of an event, the key is the event itself, and
the value changes the sign of the second number:

{table(["event", "embedding", "query", "key", "value"], parts)}

Event 3 asks with (0, 2). Its logits are the products with the three keys, 2, 4 and 0, divided by sqrt(2):

{table(["event", "logit at event 3", "weight"], shares)}

It looks most at event 2, whose key answers its query, not at itself. Its output is the mean of the values by these
weights, {pair(weights[2] @ value)}. The output at every event, under both masks:

{table(["mask", "event 1", "event 2", "event 3"], masks)}

Under the causal mask, event 1 only sees itself and returns its own value. Without the mask, event 1 also sees event 2,
which it has to predict, and event 2 sees event 3.

One layer does not know the order of the events that it sees; a stack of causal layers learns some of it from the mask.
The output at event 3 with the first two events in both orders, without and with learnt vectors of the positions, here
(1, 0), (0, 1) and (0, 0), added to the embeddings:

{table(["order", "without positions", "with positions"], orders)}"""


def _bilinear() -> str:
    import torch

    from segue.models.narm import NARM

    network = NARM(embedding_size=2, hidden_size=1).build(3).eval()
    with torch.no_grad():
        network.items[1:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
        network.decoder.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        decoded = network.decoder(torch.tensor([[1.0, 2.0]]))
        scores = network.logits(decoded)[0, 1:].tolist()
    with torch.device("meta"):
        full = NARM().build(37_483)
    matrix, items = full.decoder.weight.numel(), len(full.items) - 1
    vector = ", ".join(f"{value:g}" for value in decoded[0].tolist())
    embeddings = ("(1, 0)", "(0, 1)", "(1, -1)")
    rows = [[str(item), one, f"{r:g}"] for item, one, r in zip((1, 2, 3), embeddings, scores, strict=True)]
    return f"""The session is `c = (1, 2)`, the decoder `B = [[1, 0], [1, 1]]`, so `B c = ({vector})`. Three items:

{table(["item", "embedding", "score"], rows)}

NARM as in its paper (D = 100, H = 100) on the {items:,} items of YooChoose: the decoder has {matrix:,} weights. An
output layer with weights of its own for every item would have {items:,} x 200 =
{items * full.decoder.in_features:,}."""


CHAPTER = Chapter(
    "networks",
    "Inside the networks",
    (
        Topic(
            name="attention",
            title="Attention and masks",
            idea="""
            Attention replaces each event of a session by a weighted mean of the events, with weights that depend on
            the events themselves. Every event asks a query, every event offers a key and a value, and the softmax of
            query times key says how much of each value is taken. A mask removes pairs before the softmax, by a logit
            of minus infinity: padding always, and later events if the next item is predicted at every position.
            This causal mask trains a whole session in one pass without showing any position its target. A
            bidirectional model (BERT4Rec) has no causal mask and hides the targets in its input instead. The order of
            the events that a position sees does not change their weighted mean, so transformers add a learnt vector
            per position to the embeddings.
            """,
            formula="""
            Q = X Wq,  K = X Wk,  V = X Wv        X: embeddings and positions of the events, one per row;  W: learnt
            output = softmax(Q K^T / sqrt(d) + M) V        d: width of a head
            M = 0 where position t may see position u, else -infinity
            causal: t sees u if u <= t and u is not padding
            several heads: each attends in its own d columns; their outputs are put side by side and mixed by a matrix
            NARM: sum over u of a_u h_u,  a_u = v . sigmoid(A1 h_t + A2 h_u),  no softmax;  h: states of the GRU,
            v, A1, A2: learnt;  STAMP likewise
            """,
            example=_attention,
            options=(
                "sasrec.heads",
                "sasrec.layers",
                "sasrec.max_length",
                "bert4rec.training.mask_ratio",
                "narm.attention",
            ),
            pitfall="""
            Training at all positions with a network that is not causal: the loss falls far below what is plausible,
            and the recommendations are bad, because in serving there is no future to look at. segue refuses
            `training.positions=all` for such networks. The division by sqrt(d) is not cosmetic: without it, the
            logits grow with the width, the softmax saturates, and its gradient vanishes.
            """,
            sources=(
                "Vaswani et al. 2017, Attention is all you need, arXiv 1706.03762",
                "Kang and McAuley 2018, Self-attentive sequential recommendation, arXiv 1808.09781",
                "Li et al. 2017, Neural attentive session-based recommendation (NARM), arXiv 1711.04725",
            ),
            pages=("models/sasrec.md", "models/bert4rec.md", "models/narm.md", "models/README.md"),
            also=("self-attention", "positions", "transformer", "causal-mask", "masks", "sasrec", "bert4rec", "narm"),
        ),
        Topic(
            name="bilinear-decoding",
            title="Bilinear decoding",
            idea="""
            The last step of a recommender turns a session vector c into one score per item. An output layer with a
            weight vector per item needs N times the width of c, often more than all the rest of the network. A
            bilinear decoder reuses the item embeddings: one matrix B translates the session into the space of the
            items, and the score is a dot product there. The number of weights no longer grows with the catalogue,
            every training event of an item improves its input and its output at once, and c may have another width
            than the embeddings. With B = I this is the tied output of SASRec and GRU4Rec's shared table.
            """,
            formula="""
            r_i = e_i . (B c)        e_i: D numbers,  c: 2H numbers,  B: D x 2H weights
            instead of  r_i = w_i . c  with N x 2H weights
            """,
            example=_bilinear,
            options=("narm.embedding_size", "narm.hidden_size", "narm.dropout_context", "gru4rec.embedding"),
            pitfall="""
            B c is computed once per session; then all items are scored by one matrix product. Computed the other way
            round, e_i B for every item and every session, the same numbers cost 2H times as much. The rank
            limits the model: with D = 16, the N scores of any session lie in a space of 16 dimensions, and no decoder
            of this kind can produce arbitrary lists. If a larger D improves the metrics, this was the bottleneck.
            """,
            sources=("Li et al. 2017, Neural attentive session-based recommendation, arXiv 1711.04725, section 3.5",),
            pages=("models/narm.md", "models/gru4rec.md"),
            also=("bilinear", "decoder", "tied-embeddings", "weight-tying"),
        ),
        *layers.TOPICS,
    ),
)
