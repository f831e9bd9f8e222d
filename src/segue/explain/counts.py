"""Topics on models that count: Markov chains, and how counts follow time."""

from segue.explain.topic import Chapter, Topic, decimals
from segue.explain.toy_log import toy_sessions
from segue.markdown import table


def _transitions() -> str:
    from segue.data.sessions import Prefixes
    from segue.models.markov import Markov

    log = toy_sessions("ABC", "AB", "AC")
    rows = []
    for smoothing in (0.0, 1.0):
        model = Markov(smoothing=smoothing).fit(log)
        probabilities = model.score(Prefixes.from_lists([[1]], log.vocabulary))[0, 1:].tolist()
        rows.append([f"{smoothing:g}", *decimals(probabilities)])
    return f"""Three sessions, ABC, AB and AC. A is followed by B twice and by C once, so `n_A = 3`; of the 7 events, 3
are on A and 2 each on B and C:

{table(["smoothing a", "P(A given A)", "P(B given A)", "P(C given A)"], rows)}

Without smoothing, B has 2/3. With `a = 1`, it has (2 + 2/7) / (3 + 1), and A, which never followed itself, is
possible."""


def _recency() -> str:
    from segue.data.sessions import Prefixes
    from segue.models.decay import session_weights
    from segue.models.markov import Markov

    log = toy_sessions("AB", "AB", "AB", "AC", days_ago=(30, 30, 30, 0))
    prefix = Prefixes.from_lists([[1]], log.vocabulary)
    rows = []
    for days in (None, 30.0, 10.0):
        weights = session_weights(log, days=days, share=None)
        model = Markov(smoothing=0.0, decay_days=days).fit(log)
        rows.append(
            [
                "none" if days is None else f"{days:g}",
                *decimals([weights[0], weights[-1]]),
                *decimals(model.score(prefix)[0, 2:].tolist()),
            ]
        )
    head = ["decay_days", "weight, 30 days ago", "weight, today", "P(B given A)", "P(C given A)"]
    return f"""Thirty days ago, three sessions went from A to B; today, one went from A to C. A Markov chain without
smoothing:

{table(head, rows)}

Without decay, B wins by three to one. With a scale of 10 days, each old session weighs exp(-3), and C wins."""


CHAPTER = Chapter(
    "counts",
    "Models that count",
    (
        Topic(
            name="markov-chains",
            title="Markov chains",
            idea="""
            A first-order Markov chain assumes that the next item depends only on the last item. Its probabilities
            are counted: how often did j come directly after i, as a share of all that came after i? Training takes one
            pass over the log, and a recommendation is a look-up. Smoothing adds pseudo-counts, so that rare items do
            not get probabilities of 0 and 1 from one observation. In session logs this model is a strong baseline,
            because the last click says most about the next; a network that does not beat it has not learnt to use the
            events before. Sequential rules extend it to pairs that are further apart, with less weight.
            """,
            formula="""
            P(j given i) = (n_ij + a p_j) / (n_i + a)
            n_ij  how often j directly followed i in a session;  n_i = sum over j of n_ij
            a     smoothing;  p_j  share of the training events that are on j
            """,
            example=_transitions,
            options=(
                "markov.smoothing",
                "markov.n_neighbours",
                "markov.history_weight",
                "sequential-rules.max_distance",
            ),
            pitfall="""
            Without smoothing, an item that was left once has a successor with probability 1, the most confident
            prediction of the whole model. The scores are probabilities within one row, so they are comparable between
            candidates for one session but say little about which session is easier. Higher orders do not help much:
            the number of contexts grows with every order and the counts per context shrink, which is the reason for
            factorised chains (`fpmc`) and for networks.
            """,
            sources=(
                "Rendle, Freudenthaler and Schmidt-Thieme 2010, Factorizing personalized Markov chains, WWW",
                "Ludewig and Jannach 2018, Evaluation of session-based recommendation algorithms, arXiv 1803.09587 "
                "(sequential rules)",
            ),
            pages=("models/markov.md", "models/sequential-rules.md", "models/fpmc.md"),
            also=("markov", "markov-chain", "sequential-rules", "fpmc", "baselines"),
        ),
        Topic(
            name="temporal-recommendation",
            title="Temporal recommendation",
            idea="""
            Catalogues, seasons and tastes change, so an old event is weaker evidence than a recent one. There are four
            ways to use time: weight sessions by their age (neighbours, Markov chains, ALS), count only a recent
            window (popularity), continue training on recent sessions (fine-tuning), and give a network the hour, the
            weekday or the gap since the last event as input. Decay is cheap, and it often helps because recent
            sessions know the current catalogue. Evaluation must also respect time: train on the past, test on
            the future. A model that is good under a random split may only be good at interpolating.
            """,
            formula="""
            weight of a session = exp(-age / decay_days)
            half of the weight is left after  decay_days * ln 2  days
            """,
            example=_recency,
            options=(
                "markov.decay_days",
                "stan.age_scale_days",
                "popularity.window_days",
                "sasrec.features",
                "sasrec.training.fine_tuning.last_days",
                "protocol.split.test_days",
            ),
            pitfall="""
            A random or per-user split puts events of next week into training. Every item that becomes popular next
            week is then known today, and the measured quality cannot be reached in production; use `session-next` or
            `global-time`. The opposite mistake is a decay that is too fast: with a scale of one day, a log of three
            months is reduced to what happened yesterday, and rare items lose all their evidence.
            """,
            sources=(
                "Koren 2009, Collaborative filtering with temporal dynamics, KDD",
                "Garg et al. 2019, Sequence and time aware neighborhood for session-based recommendations, SIGIR",
            ),
            pages=("context.md", "models/stan.md", "protocols.md#splits"),
            also=("time", "temporal", "recency", "decay", "drift"),
        ),
    ),
)
