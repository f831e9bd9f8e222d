"""Which column of a source plays which role."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segue.data.events import ITEM, PART, RATING, SESSION, TIME, TYPE, USER, Unit
from segue.data.ingest.mistakes import Mistakes, Place
from segue.errors import UnknownNameError

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    SESSION: ("session", "session_id", "sid", "visit", "visit_id", "user_session"),
    USER: ("user", "user_id", "uid", "visitor", "visitor_id", "customer", "customer_id", "reviewer_id", "member_id"),
    ITEM: (
        *("item", "item_id", "iid", "aid", "product", "product_id", "article", "article_id", "movie", "movie_id"),
        *("track", "track_id", "song_id", "news_id", "video_id", "business_id", "parent_asin", "asin", "sku"),
    ),
    TIME: ("time", "timestamp", "ts", "datetime", "date", "event_time", "event_date", "unix_review_time", "t_dat"),
    PART: ("part",),
    RATING: ("rating", "score", "stars", "overall", "label"),
    TYPE: ("type", "event_type", "event", "action", "behavior", "behaviour", "behavior_type"),
}
"""Names by role, compared without regard to case, spaces, ``_``, ``-`` and ``.``: ``SessionId`` is ``session_id``."""

_MAY_BE_DOUBLE = (PART, RATING, TYPE)
"""Roles of which the first usual name is taken where several columns match; the others stay features."""


@dataclass(frozen=True)
class Roles:
    """Which column plays which role.

    Attributes:
        columns: column by role; ``session`` is always there.
        unit: what one session is, as far as columns can tell.
    """

    columns: Mapping[str, str]
    unit: Unit


def resolve(names: Sequence[str], given: Mapping[str, str], unit: Unit | None, place: Place) -> Roles:
    """Find the column of each role.

    Args:
        names: columns of the source.
        given: columns by role, as told by the user; they go before the usual names.
        unit: what one session shall be, if the source has a column for it.
        place: the source.

    Raises:
        LogError: all columns that are missing or not clear.
        UnknownNameError: ``given`` names a role that does not exist.
    """
    mistakes = Mistakes(place)
    for role, name in given.items():
        if role not in USUAL_NAMES:
            raise UnknownNameError("column role", role, USUAL_NAMES)
        if name not in names:
            mistakes.add(f"has no column '{name}', which was given for the {role}; it has {listed(names)}")
    free = [name for name in names if name not in given.values()]
    candidates = {role: [given[role]] if role in given else _matches(role, free) for role in USUAL_NAMES}
    for role, found in candidates.items():
        if len(found) > 1 and role not in _MAY_BE_DOUBLE:
            mistakes.add(f"columns {listed(found)} all look like the {role}; {_say_which(role, found[0])}")
    for needed in ((SESSION, USER), (ITEM,)):
        if not any(candidates[role] for role in needed):
            what = " or ".join(needed)
            mistakes.add(f"has no column for the {what}; it has {listed(names)}; {_say_which(needed[0], names[0])}")
    mistakes.raise_if_any()
    return _grouped({role: found[0] for role, found in candidates.items() if found}, unit)


def _grouped(columns: dict[str, str], unit: Unit | None) -> Roles:
    """Where one session is a user's history, the user's column plays the session."""
    by_user = SESSION not in columns or (unit == USER and USER in columns)
    if by_user:
        columns[SESSION] = columns.pop(USER)
    return Roles({role: columns[role] for role in USUAL_NAMES if role in columns}, "user" if by_user else "session")


def find_key(names: Sequence[str], role: str, given: Mapping[str, str], place: Place) -> str:
    """Find the column that names the item or the user in a table of metadata.

    Raises:
        LogError: there is none.
    """
    if given.get(role) in names:
        return given[role]
    matches = _matches(role, names)
    if not matches:
        mistakes = Mistakes(place)
        mistakes.add(f"has no column for the {role}; it has {listed(names)}; rename one of them to '{role}'")
        mistakes.raise_if_any()
    return matches[0]


def is_usual(name: str) -> bool:
    """Whether a name is one of the usual ones of any role."""
    return any(_plain(name) in map(_plain, usual) for usual in USUAL_NAMES.values())


def listed(names: Sequence[str]) -> str:
    """Write names in quotes, separated by commas."""
    return ", ".join(f"'{name}'" for name in names)


def _matches(role: str, names: Sequence[str]) -> list[str]:
    plain = [_plain(name) for name in USUAL_NAMES[role]]
    return sorted((name for name in names if _plain(name) in plain), key=lambda name: plain.index(_plain(name)))


def _say_which(role: str, name: str) -> str:
    return f"say which one it is, for example columns={{'{role}': '{name}'}} or --columns {role}={name}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name).lower()
