"""What later events add to: the catalogue of a model, where new items follow known ones, and its end of training."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Shaped

from segue.data.content_vectors import require_same_vectors
from segue.data.sessions import Sessions
from segue.data.vocabulary import COLD, VECTOR, Vocabulary
from segue.errors import ParameterError
from segue.rng import generator

UNTIL = "until"
"""Fact about a model: the time of its last training event (ISO 8601, UTC); absent for a log without times."""


def trained_until(about: Mapping[str, Any]) -> int | None:
    """Return the time of the last training event in seconds since 1970, or None if it is unknown.

    Raises:
        ParameterError: the fact is not a time.
    """
    text = about.get(UNTIL)
    try:
        return None if text is None else int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(f"about.{UNTIL}: must be a time in ISO 8601, got {text!r}; fit the model again") from None


def iso_time(seconds: int) -> str:
    """Return a time in seconds since 1970 in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def grow(vocabulary: Vocabulary, items: pl.Series, metadata: pl.DataFrame | None = None) -> Vocabulary:
    """Append the unknown ids of later events in ascending order, and add the events to the support.

    Args:
        vocabulary: the catalogue of a model.
        items: raw ids, one per event.
        metadata: optional table with a column ``item``; columns that the catalogue has too, and vectors if it has some,
            are joined to new items.

    Raises:
        ParameterError: the ids are text and those of the catalogue are integers; or items were added to the model
            without training, which have no place among its training items; or vectors are not of the same model.
    """
    table = vocabulary.table
    if added := len(vocabulary) - vocabulary.n_trained:
        raise ParameterError(
            f"items: must all be training items of the model before an update, and {added:,} were added to it without "
            "training; update the model that segue add-items started from"
        )
    kind = vocabulary.ids.dtype
    ids = items.cast(kind, strict=False)
    if ids.null_count():
        raise ParameterError(f"items: must have ids of type {kind} as the training items, got {items.dtype}")
    counts = ids.alias("item").value_counts(name="later").with_columns(pl.col("later").cast(pl.Int64))
    known = (
        table.join(counts, on="item", how="left", maintain_order="left")
        .with_columns(support=pl.col("support") + pl.col("later").fill_null(0))
        .drop("later", COLD, strict=False)
    )
    new = counts.join(table, on="item", how="anti").sort("item").rename({"later": "support"})
    if metadata is not None:
        shared = [name for name in vocabulary.metadata if name in metadata.columns]
        columns = [pl.col(name).cast(table.schema[name], strict=False) for name in ("item", *shared)]
        if VECTOR in table.columns and VECTOR in metadata.columns:
            columns.append(pl.col(VECTOR))
        of_item = metadata.select(columns).unique("item", keep="first")
        if VECTOR in of_item.columns:
            require_same_vectors(table, of_item.select("item", VECTOR).drop_nulls(), "item_vectors")
        new = new.join(of_item, on="item", how="left", maintain_order="left")
    return Vocabulary(pl.concat([known, new], how="diagonal"))


def require_grown(before: Vocabulary, after: Vocabulary, name: str) -> None:
    """Refuse data whose catalogue does not begin with that of a model.

    Args:
        before: the catalogue of the model.
        after: the catalogue of the data.
        name: name of the argument, for messages.

    Raises:
        ParameterError: it does not.
    """
    if len(after) < len(before) or not after.ids.head(len(before)).equals(before.ids, check_dtypes=True):
        raise ParameterError(
            f"{name}: must be encoded with the {len(before):,} items of the model, in their order, and new items "
            f"behind them, got a catalogue of {len(after):,} items that begins otherwise; "
            "use segue.prepare_recent(log, model)"
        )


def widened(array: Shaped[np.ndarray, "*R N"], size: int) -> Shaped[np.ndarray, "*R M"]:
    """Return an array with zeros behind its last column, up to ``size`` columns."""
    width = [(0, 0)] * (array.ndim - 1) + [(0, size - array.shape[-1])]
    return np.pad(array, width)


def with_new_rows(
    rows: Shaped[np.ndarray, "M *D"], fresh: Shaped[np.ndarray, "K *D"], recent: Sessions
) -> Shaped[np.ndarray, "K *D"]:
    """Append a row for each new item: the mean, over its sessions, of the mean row of their known items.

    Args:
        rows: rows by item index of the known items.
        fresh: rows by item index of all items, for new items without a known item in their sessions.
        recent: sessions with the new items.
    """
    owners = np.repeat(np.arange(len(recent)), recent.lengths)
    known = recent.items < len(rows)
    sums, counts = np.zeros((len(recent), *rows.shape[1:])), np.bincount(owners[known], minlength=len(recent))
    np.add.at(sums, owners[known], rows[recent.items[known]])
    means = (sums.T / np.maximum(counts, 1)).T
    new = ~known & (counts > 0)[owners]
    totals, found = np.zeros(fresh.shape), np.bincount(recent.items[new], minlength=len(fresh))
    np.add.at(totals, recent.items[new], means[owners[new]])
    extended = np.concatenate([rows, fresh[len(rows) :]])
    extended[found > 0] = (totals[found > 0].T / found[found > 0]).T
    return extended


def replayed(
    history: Sessions, recent: Sessions, epochs: int, *, share: float, half_life: float, seed: int
) -> Sessions:
    """Return the sessions of all epochs of an update in a row: recent ones, each time behind other earlier ones.

    Earlier sessions are drawn at random, late ones more often, and no session twice before all have been drawn.

    Args:
        history: earlier sessions in order of time, with the catalogue of the recent ones.
        recent: recent sessions.
        epochs: number of epochs.
        share: number of earlier sessions in an epoch, per recent one.
        half_life: age at which an earlier session is drawn half as often, in sessions per recent one.
        seed: seed of the draw.

    Raises:
        ParameterError: the recent sessions have times, and the earlier ones have none.
    """
    if recent.times is not None and history.times is None:
        raise ParameterError("history: must have times, because the recent sessions have some, got none")
    rng = generator(seed, "replay")
    number = min(len(history), round(share * len(recent)))
    ages = np.arange(len(history))[::-1] / (half_life * len(recent))
    # The smallest of exponential variates over weights is a draw without replacement (Efraimidis and Spirakis, 2006).
    order = np.argsort(np.log(rng.exponential(size=len(history))) + ages * np.log(2), kind="stable")
    drawn = np.resize(rng.permutation(order[: epochs * number]), (epochs, number))
    earlier, rows = np.unique(drawn, return_inverse=True)
    joined = _joined(history.select(earlier), recent)
    again = np.broadcast_to(len(earlier) + np.arange(len(recent)), (epochs, len(recent)))
    return joined.select(np.concatenate([np.sort(rows.reshape(drawn.shape), axis=1), again], axis=1).ravel())


def _joined(earlier: Sessions, recent: Sessions) -> Sessions:
    """Return two logs as one, with the catalogue of the second."""
    times, columns = None, None
    if earlier.times is not None and recent.times is not None:
        times = np.concatenate([earlier.times, recent.times])
    if earlier.columns is not None and recent.columns is not None:
        tables = [log.columns[np.arange(len(log.items))] for log in (earlier, recent) if log.columns is not None]
        columns = pl.concat(tables, how="diagonal_relaxed")
    items = np.concatenate([earlier.items, recent.items])
    offsets = np.concatenate([earlier.offsets, len(earlier.items) + recent.offsets[1:]])
    return Sessions(items, offsets, times, recent.vocabulary, columns)
