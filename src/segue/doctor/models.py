"""Rules on the saved models and on how the run can be repeated."""

from segue.doctor.finished_run import FinishedRun
from segue.doctor.verdict import Answer, cannot_tell, look, ok
from segue.embeddings.components import effective_rank, variance_shares
from segue.embeddings.diagnostics import COLLAPSED_COSINE, mean_cosine
from segue.embeddings.vectors import MIN_ITEMS, item_vectors
from segue.errors import SegueError
from segue.models.composite import CompositeModel
from segue.models.registry import load

MIN_RANK_SHARE = 0.1
"""Effective rank, as a share of the largest that width and items allow, below which nine tenths of it are not used."""

_SEEDED = frozenset({"als", "bpr"})
"""Models that depend on the seed and may have no curve."""


def collapsed_vectors(run: FinishedRun) -> Answer:
    """Find models whose item vectors use few directions."""
    lines, healthy, unread = [], [], []
    for row in run.rows:
        folder = run.folder / row.label
        if not folder.is_dir():
            continue
        try:
            model = load(folder)
        except SegueError as error:
            unread.append(f"{row.label} cannot be read ({error})")
            continue
        composed = isinstance(model, CompositeModel)  # Its models are in the run, or trained for it alone.
        if composed or model.item_vectors() is None or model.vocabulary.n_trained < MIN_ITEMS:
            continue
        points = item_vectors(model)
        largest = min(points.vectors.shape[1], len(points) - 1)
        rank, cosine = effective_rank(variance_shares(points)), mean_cosine(points)
        found = f"{row.label}: effective rank {rank:.1f} of {largest}, mean cosine {round(cosine, 2) + 0.0:.2f}"
        if cosine > COLLAPSED_COSINE or rank < MIN_RANK_SHARE * largest:
            lines.append(f"{found}; train longer, or with another loss or more negatives (segue plot {folder})")
        else:
            healthy.append(found)
    if lines:
        return look([*lines, *unread], "")
    if not healthy:
        return cannot_tell("; ".join(unread) or "no saved model of this run has item vectors")
    return ok("; ".join([*healthy, *unread]))


def several_seeds(run: FinishedRun) -> Answer:
    """Check that models that depend on a seed were trained with several."""
    seeded = [row.label for row in run.rows if row.curve or row.model in _SEEDED]
    if not seeded:
        return ok("no model of this run depends on the seed")
    lines = [
        f"{', '.join(seeded)}: trained with seed {run.results.seed} only, and small differences may be due to it; "
        "segue run --seeds 0,1,2 trains with three"
    ]
    return look(
        lines if len(run.seeds) < 2 else [], f"seeds {', '.join(map(str, run.seeds))}: segue compare joins them"
    )


def repeatability(run: FinishedRun) -> Answer:
    """Check that seed, device and precision are recorded, and allow an exact repetition."""
    if run.environment is None or not {"device", "arithmetic"} <= run.environment.keys():
        return cannot_tell("environment.json, with the device and the precision, is missing or damaged")
    device, arithmetic = str(run.environment["device"]), str(run.environment["arithmetic"])
    deterministic = run.environment.get("deterministic")
    recorded = f"seed {run.results.seed}, {', '.join(dict.fromkeys((device, *arithmetic.split(', '))))}"
    lines = []
    if device != "cpu" and deterministic is not True:
        lines.append(f"{recorded}: on a GPU, sums are taken in varying order, so results are equal only up to rounding")
    if run.trained and "fp32" not in arithmetic:
        lines.append(f"{recorded}: results may differ from fp32; compare only models of the same precision")
    return look(lines, f"{recorded}: the same command gives the same results")
