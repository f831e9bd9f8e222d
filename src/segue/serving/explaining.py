"""Why the items of an answer are listed, computed beside the rankings, which do not wait for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from segue.data.vocabulary import PADDING
from segue.models.why.answer import Part, Why
from segue.models.why.session import why_prefix
from segue.serving.engine import prefixes_of
from segue.serving.listing import Listing
from segue.serving.ranking import Query, Ranked
from segue.serving.schema.messages import Refused
from segue.serving.served_model import ServedModel

MAX_EXPLAINED = 20
"""Items of a list that are explained, the first ones."""

MAX_WAITING = 16
"""Explanations at once: more would fill the places of requests that ask for none, which are faster."""


class Explainer:
    """Explains rankings in one thread, one after the other; those that nobody waits for any more are left out."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "segue-why")
        self._waiting = 0

    def require_room(self) -> None:
        """Check that one more explanation can be asked for.

        Raises:
            Refused: there are too many.
        """
        if self._waiting >= MAX_WAITING:
            rule = f"{MAX_WAITING} explanations are in flight; ask again, or without explain"
            raise Refused(503, "overloaded", rule, retry_after=1)

    async def explain(self, served: ServedModel, query: Query, ranked: Ranked) -> Why:
        """Explain the first items of a ranking.

        Raises:
            ArtifactError: scores are not finite.
        """
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, explain, served, query, ranked)
        finally:
            self._waiting -= 1


def explain(served: ServedModel, query: Query, ranked: Ranked) -> Why:
    """Explain the first items of a ranking; see ``Explainer.explain``."""
    encoded = [served.index.get(item, PADDING) for item in query.items]
    readable = [place for place, item in enumerate(encoded) if served.model.vocabulary.is_known(item)]
    prefixes = prefixes_of(served, [(query, encoded, readable)])
    unknown = [*ranked.unknown, *ranked.cold]
    names = served.names or None
    items = ranked.indices[:MAX_EXPLAINED]
    why = why_prefix(served.model, prefixes, items, unknown=unknown, ids=served.ids, names=names)
    return why if served.listing is None else _of_allowed_items(why, served, served.listing)


def _of_allowed_items(why: Why, served: ServedModel, listing: Listing) -> Why:
    """Drop items that are not allowed from the items of each part, such as those of a similar session."""
    hidden = {served.ids[index] for index in np.flatnonzero(~listing.allowed)} - {one.item for one in why.events}

    def shown(part: Part) -> Part:
        return replace(part, items=tuple(item for item in part.items if item not in hidden))

    items = [one if one.parts is None else replace(one, parts=tuple(map(shown, one.parts))) for one in why.items]
    return replace(why, items=tuple(items))
