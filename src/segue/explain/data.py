"""Topics on the data: implicit feedback, k-core, padding."""

from segue.explain.topic import Chapter, Topic, decimals
from segue.explain.toy_log import toy_sessions
from segue.markdown import table


def _confidence() -> str:
    import torch
    from scipy.sparse import csr_matrix

    from segue.models.factorisation import LeastSquares

    factors = torch.tensor([[0.0], [1.0], [0.5]])
    fold_in = LeastSquares(factors, 0.75, n_items=2).fold_in
    rows = []
    for alpha, clicks in ((1.0, 1), (10.0, 1), (10.0, 2)):
        session = fold_in(csr_matrix([[0.0, alpha * clicks, 0.0]]))[0]
        scores = (factors[1:] @ session).tolist()
        rows.append([f"{alpha:g}", str(clicks), f"{alpha * clicks:g}", *decimals([session.item(), *scores])])
    text = table(["alpha", "clicks on A", "confidence c", "session x", "score of A", "score of B"], rows)
    return f"""Two items have one factor each, `y_A = 1` and `y_B = 0.5`, and `regularization` is 0.75. The session
clicked A and not B, so `x = c / (1 + 0.25 + 0.75 + (c - 1))`:

{text}

The score of A approaches 1, the preference, as the confidence grows. B was not clicked and still gets a score: its
factor resembles that of A."""


def _core() -> str:
    import polars as pl

    from segue.protocols.cleaning_steps import drop_outside_core, drop_rare_items

    sessions = {1: "AB", 2: "AB", 3: "BC", 4: "CD"}
    events = [(session, item) for session, items in sessions.items() for item in items]
    log = pl.DataFrame(events, schema=["session", "item"], orient="row")
    cleaned = {
        "the log": log,
        "`min_support=2`: items with two events": drop_rare_items(log, 2).log,
        "`k_core=2`: repeated until nothing changes": drop_outside_core(log, 2).log,
    }
    rows = [
        [name, *(str(part[column].n_unique()) for column in ("session", "item")), str(part.height)]
        for name, part in cleaned.items()
    ]
    text = table(["", "sessions", "items", "events"], rows)
    return f"""Four sessions, AB, AB, BC and CD:

{text}

A single pass removes D, which has one session. The 2-core continues: without D, the last session has one item left
and is dropped; now C has one session and is dropped; then BC has one item left and is also dropped."""


def _windows() -> str:
    import numpy as np

    from segue.data.batches.windows import window_of
    from segue.models.sasrec import SASRec

    log = toy_sessions("AB", "CABD")
    prefixes = log.as_prefixes()
    window = window_of(prefixes, 3)
    network = SASRec(embedding_size=8, inner_size=8).build(len(log.vocabulary)).eval()
    states = [network.last(window_of(prefixes, 3, width=width)).detach().numpy() for width in (3, 9)]
    difference = float(np.abs(states[0] - states[1]).max())
    rows = [[name, " ".join(map(str, row))] for name, row in zip(("AB", "CABD"), window.items.tolist(), strict=True)]
    return f"""The items A, B, C, D have the indices 1 to 4. With `max_length=3`, two sessions become these windows:

{table(["session", "window"], rows)}

The last event is in the last column of both. C is cut off, since only the most recent three events are kept. A SASRec
network with random weights reads both sessions in windows of 3 and of 9 columns; the largest difference between its two
states is {difference:.4f}, because padding is masked and positions are counted from the end."""


CHAPTER = Chapter(
    "data",
    "The data",
    (
        Topic(
            name="implicit-feedback",
            title="Implicit feedback",
            idea="""
            A click log records what people did, not what they think. A click is weak evidence of interest; a missing
            click is almost no evidence, because most items were never shown. Predicting ratings and measuring
            RMSE make no sense here. Models of implicit feedback do one of three things instead: they fit all cells
            of the session-item matrix but trust the clicked ones more (ALS), they only ask that a clicked item scores
            above one that was not clicked (BPR), or they predict which item comes next among all items (sequence
            models). Repeated or stronger events raise the confidence in a preference, not the preference itself.
            """,
            formula="""
            p = 1 if session s contains item i, else 0       the preference
            c = alpha * events of s on i, or 1 if p = 0      the confidence in it
            minimise  sum over all s, i of c (p - x_s . y_i)^2 + regularization (sum |x_s|^2 + sum |y_i|^2)
            """,
            example=_confidence,
            options=("als.alpha", "als.regularization", "als.half_life_days"),
            pitfall="""
            Unclicked cells weigh 1 each, and there are many more of them: in a session of 3 events and a catalogue
            of 30,000 items, `alpha=1` gives the clicks a share of 0.01% of the weight. Raise `alpha` for short
            sessions and large catalogues. A second trap no parameter removes: people can only click what they were
            shown, so a log rewards a model that resembles the recommender which was running at the time.
            """,
            sources=(
                "Hu, Koren and Volinsky 2008, Collaborative filtering for implicit feedback datasets, ICDM",
                "Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback, UAI",
            ),
            pages=("models/als.md", "context.md"),
            also=("als", "weighted-matrix-factorization"),
        ),
        Topic(
            name="k-core",
            title="k-core filtering",
            idea="""
            Items and sessions with very few events teach a model little and make metrics noisy, so most papers drop
            them. A single pass is not enough: dropping rare items shortens sessions, and dropping short sessions makes
            further items rare. The k-core repeats both until every session has at least k different items and every
            item at least k different sessions. It is unique: the order of dropping does not matter. It also changes
            the task, because the events that remain are the easy ones.
            """,
            formula="""
            repeat   drop sessions with fewer than k distinct items
                     drop items with fewer than k distinct sessions
            until    nothing was dropped
            """,
            example=_core,
            options=("protocol.cleaning.k_core", "protocol.cleaning.min_support", "protocol.cleaning.min_length"),
            pitfall="""
            Metrics for different k are results on different data: a 5-core and a 10-core of one log cannot be
            compared, which is why k is part of the protocol's hash. The k-core is computed on the whole log, before
            the split, as in the papers that use it; whether an item survives therefore depends on test events as well.
            `min_support` is counted on training events only and has no such dependence. And k counts distinct
            partners, not events: ten clicks of one session on an item count once.
            """,
            sources=(
                "Seidman 1983, Network structure and minimum degree, Social Networks 5",
                "McAuley et al. 2015, Image-based recommendations on styles and substitutes, SIGIR (the 5-core logs)",
            ),
            pages=("protocols.md", "datasets.md"),
            also=("core", "kcore", "5-core", "min-support", "filtering"),
        ),
        Topic(
            name="padding",
            title="Padding",
            idea="""
            Sessions have different lengths, tensors do not. A batch of sessions is therefore cut to the most recent
            `max_length` events, and shorter sessions are filled up with item index 0. Filling up on the left puts the
            most recent event, the most informative one, into the same column for all. Padding must have no influence:
            its embedding is zero and gets no gradient, attention gives it no weight, it is never a target, and it
            is never recommended. Then the result for a session does not depend on the other sessions of its batch.
            """,
            formula="""
            window of a session of n events, L columns:   0 ... 0  e_(n-m+1) ... e_n     with m = min(n, L)
            position of an event = number of events after it, so wider padding changes no position
            """,
            example=_windows,
            options=("sasrec.max_length", "fmlp-rec.max_length"),
            pitfall="""
            A mean or a softmax over the columns without a mask: of two events in a window of 50, each gets 1/50 of
            the weight instead of 1/2, and short sessions are read as mostly nothing. The mistake raises no error and
            makes short sessions worse. To find it, score the same session by itself and in a batch with a long
            one: the scores must be equal. FMLP-Rec is the exception by design: its filter mixes all
            columns, so it always reads `max_length` columns.
            """,
            sources=("Kang and McAuley 2018, Self-attentive sequential recommendation, arXiv 1808.09781",),
            pages=("models/sasrec.md", "models/fmlp-rec.md"),
            also=("windows", "max-length", "masking", "truncation"),
        ),
    ),
)
