"""Topics on networks: attention and its masks, bilinear decoding; topics on layers are in ``layers``."""

from segue.explain import layers
from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table


def _attention() -> str:
    import torch

    from segue.nn.encoders.attention import Attention, attention_mask

    layer = Attention(hidden_size=1, heads=1, mix_heads=False).eval()
    with torch.no_grad():
        for projection in (layer.query, layer.key_value):
            projection.weight.fill_(1.0)
            projection.bias.zero_()
        items = torch.tensor([[0, 1, 2, 3]])
        events = torch.tensor([[[0.0], [0.0], [1.0], [1.0]]])
        rows = [
            [name, *decimals(layer(events, events, attention_mask(items, causal=causal))[0, 1:, 0].tolist())]
            for name, causal in (("causal", True), ("not causal", False))
        ]
    return f"""Three events with the embeddings 0, 1 and 1 after one column of padding; query, key and value are the
embedding itself (D = 1). The output at each event:

{table(["mask", "event 1", "event 2", "event 3"], rows)}

At event 3 the logits are 0, 1, 1, the weights 1/(1 + 2e), e/(1 + 2e), e/(1 + 2e), and the output is 2e/(1 + 2e). With
the causal mask, event 1 only sees itself and returns 0. Without, it returns the mean of all three, 2/3: it sees its
target."""


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
            bidirectional model (BERT4Rec) has no causal mask and hides the targets in its input instead.
            """,
            formula="""
            output = softmax(Q K^T / sqrt(d) + M) V        d: width of a head
            M = 0 where position t may see position u, else -infinity
            causal: t sees u if u <= t and u is not padding
            NARM: a_u = v . sigmoid(A1 h_t + A2 h_u), no softmax; STAMP likewise
            """,
            example=_attention,
            options=("sasrec.heads", "sasrec.layers", "bert4rec.training.mask_ratio", "narm.attention"),
            pitfall="""
            Training at all positions with a network that is not causal: the loss falls to almost zero in an epoch,
            and the recommendations are bad, because in serving there is no future to look at. segue refuses
            `training.positions=all` for such networks. The division by sqrt(d) is not cosmetic: without it, the
            logits grow with the width, the softmax saturates, and its gradient vanishes.
            """,
            sources=(
                "Vaswani et al. 2017, Attention is all you need, arXiv 1706.03762",
                "Kang and McAuley 2018, Self-attentive sequential recommendation, arXiv 1808.09781",
                "Li et al. 2017, Neural attentive session-based recommendation (NARM), arXiv 1711.04725",
            ),
            also=("self-attention", "transformer", "causal-mask", "masks", "sasrec", "bert4rec", "narm"),
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
            also=("bilinear", "decoder", "tied-embeddings", "weight-tying"),
        ),
        *layers.TOPICS,
    ),
)
