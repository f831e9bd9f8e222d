"""Topics on item vectors: PCA, t-SNE and UMAP, and collapsed embeddings."""

from typing import TYPE_CHECKING

from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table

if TYPE_CHECKING:
    from segue.embeddings.vectors import ItemVectors


def _items(vectors: list[list[float]]) -> "ItemVectors":
    import numpy as np
    import polars as pl

    from segue.embeddings.vectors import ItemVectors

    return ItemVectors(np.array(vectors, dtype=np.float32), pl.DataFrame({"item": range(len(vectors))}))


def _along_axes(*deviations: float) -> "ItemVectors":
    """Return two items per dimension, at plus and minus a distance from the origin."""
    vectors = []
    for place, deviation in enumerate(deviations):
        for sign in (1.0, -1.0):
            vectors.append([sign * deviation if column == place else 0.0 for column in range(len(deviations))])
    return _items(vectors)


def _shown_variance() -> str:
    import numpy as np

    from segue.embeddings.components import effective_rank, random_plane_share, variance_shares

    clouds = {
        "64 equal dimensions": _along_axes(*[1.0] * 64),
        "8 equal dimensions": _along_axes(*[1.0] * 8),
        "deviations 3, 2, 1, 1, 1, 1, 1, 1": _along_axes(3, 2, 1, 1, 1, 1, 1, 1),
        "deviations 10, 1": _along_axes(10, 1),
    }
    rows = []
    for name, points in clouds.items():
        shares = variance_shares(points)
        rows.append([name, f"{shares[:2].sum():.1%}", *decimals([effective_rank(shares)], 2)])
    random = [f"{random_plane_share(n_items, 64):.1%}" for n_items in (10_000, 200)]
    draws = np.random.default_rng(0).standard_normal((20, 200, 64))
    drawn = np.mean([variance_shares(_items(one.tolist()))[:2].sum() for one in draws])
    neighbours = np.exp([-1 / 2, -3 / 2])
    p = neighbours / neighbours.sum()
    return f"""Two items per dimension, at plus and minus the deviation from the origin:

{table(["item vectors", "shown by two components", "effective rank"], rows)}

In the third row, the variances are 9, 4 and six times 1, so two components hold 13/19. `segue plot` prints this share
for a model and calls 10% to 25% usual for learnt vectors. It also prints about what random vectors of the same shape
would have, by a formula for the limit of many items: {random[0]} for 10,000 items with D = 64, {random[1]} for 200
items, where 20 random draws have {drawn:.1%} on average. A low share means that the width is used, not that the model
is bad; random vectors have a low share too, so it does not show that a model is good either.

Perplexity counts neighbours as the effective rank counts dimensions. An item i with two others, at squared distances 1
and 3, has with s_i = 1 the p(j|i) {" and ".join(decimals(p))}, a perplexity of {effective_rank(p):.2f}; a larger s_i
brings it nearer to 2."""


def _cosines() -> str:
    from segue.embeddings.components import effective_rank, variance_shares
    from segue.embeddings.diagnostics import mean_cosine

    clouds = {
        "spread: (1, 0), (0, 1), (-1, 0), (0, -1)": [[1, 0], [0, 1], [-1, 0], [0, -1]],
        "collapsed to a direction: (10, 1), (10, -1), (10, 0)": [[10, 1], [10, -1], [10, 0]],
        "collapsed to a line: (1, 1), (-1, -1), (2, 2), (-2, -2)": [[1, 1], [-1, -1], [2, 2], [-2, -2]],
    }
    rows = []
    for name, vectors in clouds.items():
        points = _items([[float(number) for number in vector] for vector in vectors])
        rows.append([name, *decimals([mean_cosine(points), effective_rank(variance_shares(points))], 2)])
    return f"""Three sets of item vectors with two dimensions:

{table(["vectors", "mean cosine", "effective rank"], rows)}

The mean cosine finds the second set, whose vectors all point the same way; the effective rank finds the third as well,
which uses one of its two dimensions. The cosine of opposite vectors is -1, so the third set has a mean of -1/3."""


CHAPTER = Chapter(
    "vectors",
    "Item vectors",
    (
        Topic(
            name="projections",
            title="PCA, t-SNE and UMAP",
            idea="""
            A picture of item vectors squeezes 64 or 128 dimensions into two. PCA rotates the cloud and shows the two
            directions of largest variance; distances are true as far as these two go. t-SNE and UMAP give up
            distances and try to keep neighbours: items close in the full space should be close in the picture.
            The variance that two components explain is usually low, because training spreads the items over many
            dimensions; if two of 64 held 90%, the other 62 would share 10%. So a low percentage is a limit of the
            picture, not a fault of the model: judge by the neighbours in the full space.
            """,
            formula="""
            PCA     share of component k = l_k / sum of l,   l: eigenvalues of the covariance matrix of the centred
                    vectors, whose lengths count (often those of popular items are larger)
            rank    effective rank = exp( - sum_k share_k log share_k )       D if all are equal, 1 if one has all
                    Roy and Vetterli take shares of the singular values; segue takes those of the variances, their
                    squares, as PCA does, which gives a lower rank
            t-SNE   minimise  KL( p | q ) = sum over pairs i != j of p_ij log(p_ij / q_ij)
                    d_ij: distance of the unit vectors of items i and j;  y_i: place of i in the picture
                    p(j|i) in proportion to exp(-d_ij^2 / (2 s_i^2)), sums to 1 over the neighbours j of i: the
                           nearest 3 * perplexity;  s_i such that 2^(entropy of p(.|i) in bits) is the perplexity
                    p_ij = (p(j|i) + p(i|j)) / 2N        so all p_ij sum to 1
                    q_ij = 1 / (1 + |y_i - y_j|^2) divided by the sum of the same over all pairs
            UMAP    minimise  - sum over pairs of (v_ij log w_ij + (1 - v_ij) log(1 - w_ij)),  a cross-entropy
                    v_ij: edge of a fuzzy graph, v(j|i) + v(i|j) - v(j|i) v(i|j),  v(j|i) = exp(-(d_ij - n_i) / s_i)
                          for the 14 nearest j, else 0;  d_ij: 1 - cosine;  n_i: distance of the nearest one;
                          s_i such that the v(j|i) of an item sum to log2(15)
                    w_ij = 1 / (1 + a |y_i - y_j|^(2b))        a, b: constants, about 1.58 and 0.90 for min_dist = 0.1
                    unlike q, w is not normalised over all pairs: a step needs only an edge and a few sampled pairs
            """,
            guide="""
            | picture | use it for | parameters |
            |---|---|---|
            | PCA | directions: popularity, one property; repeatable, fast | none |
            | t-SNE | groups of neighbours, up to 100,000 items | `perplexity`, `iterations`, `learning_rate`, `seed` |
            | UMAP | the same for more items; groups that touch | `seed`; 15 neighbours with itself, fixed |
            | spectrum | how many directions the model uses | none |

            - `perplexity` is the effective number of neighbours of an item: 5 shows small groups, 50 the coarse ones;
              each value gives a panel.
            - `iterations` follow 250 steps of early exaggeration, in which groups form; more of them let groups settle.
            - `learning_rate` is the size of a step; `auto` takes the number of items. Too large a value is refused when
              the layout diverges; too small a value leaves one ball.
            - `seed`: both layouts start from the first two principal components. In t-SNE the seed only changes a
              small noise at the start, in UMAP also the steps; one seed always gives one picture.

            The page on item embeddings (below) shows a shop at the perplexities 5, 30 and 50 side by side.
            """,
            example=_shown_variance,
            options=(
                "plot.kind",
                "plot.perplexity",
                "plot.iterations",
                "plot.learning_rate",
                "plot.seed",
                "plot.color",
                "plot.similarity",
            ),
            pitfall="""
            Do not read sizes, densities and distances of groups in a t-SNE or UMAP picture: the methods make
            dense groups wide and put groups where there is room. Random vectors also form clumps at low perplexity;
            believe a group that several perplexities show and that a category or the purity of the neighbours
            confirms. In PCA, the first component often is popularity, not taste; `segue plot` prints that correlation.
            """,
            sources=(
                "van der Maaten and Hinton 2008, Visualizing data using t-SNE, JMLR 9",
                "McInnes, Healy and Melville 2018, UMAP, arXiv 1802.03426",
                "Wattenberg, Viegas and Johnson 2016, How to use t-SNE effectively, Distill",
                "Kobak and Berens 2019, The art of using t-SNE, Nature Communications 10",
            ),
            pages=("embeddings.md", "embeddings.md#how-to-read-a-plot"),
            also=("pca", "t-sne", "tsne", "umap", "variance", "embeddings", "plots"),
        ),
        Topic(
            name="collapsed-embeddings",
            title="Collapsed embeddings",
            idea="""
            Item vectors have collapsed if they use far fewer directions than they have numbers. All items then look
            alike, scores differ by little, and popularity decides most lists. It happens if nothing pushes items
            apart: too few or too easy negatives, a loss that only pulls (`cosine`), too short a training. Two
            numbers show it. The mean cosine of two items is near 0 for spread vectors and near 1 if all point in one
            direction. The effective rank counts the directions that the variance is spread over.
            """,
            formula="""
            mean cosine     mean over pairs i != j of  e_i . e_j / (|e_i| |e_j|)
            effective rank  exp( - sum_k share_k log share_k ),   share_k: share of the variance in component k
                            (Roy and Vetterli: share of the singular value, the square root of the variance)
            """,
            example=_cosines,
            options=("sasrec.embedding_size", "sasrec.training.loss", "sasrec.training.loss.n_samples"),
            pitfall="""
            A high mean cosine is not a proof: if all vectors share a constant part, the softmax ignores it, and
            the lists may be fine. Look at the centred vectors, whose variance the effective rank measures. And a low
            effective rank is expected where the log itself is simple: a shop with twelve categories does not need
            64 directions.
            """,
            sources=(
                "Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO",
                "Wang and Isola 2020, Understanding contrastive representation learning through alignment and "
                "uniformity on the hypersphere, ICML",
            ),
            pages=("embeddings.md#how-to-read-a-plot", "doctor.md"),
            also=("collapse", "effective-rank", "mean-cosine", "anisotropy"),
        ),
    ),
)
