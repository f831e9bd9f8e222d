"""Finds the session, item, time and other columns of a source."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segue.data.events import ITEM, PART, RATING, SESSION, TIME, TYPE, USER
from segue.data.ingest.problems import Problems, Source
from segue.data.reading import Unit
from segue.errors import UnknownNameError
from segue.printable import listed

COLUMN_ALIASES: Mapping[str, tuple[str, ...]] = {
    SESSION: ("session", "session_id", "sid", "visit", "visit_id", "user_session"),
    USER: ("user", "user_id", "uid", "visitor", "visitor_id", "customer", "customer_id", "reviewer_id", "member_id"),
    ITEM: (
        *("item", "item_id", "iid", "aid", "product", "product_id", "article", "article_id", "movie", "movie_id"),
        *("track", "track_id", "song_id", "news_id", "video_id", "business_id", "parent_asin", "asin", "sku"),
    ),
    TIME: (
        *("time", "timestamp", "ts", "datetime", "date", "event_time", "event_date", "unix_review_time", "t_dat"),
        *("time_ms", "time_us", "timestamp_ms", "timestamp_us", "ts_ms", "event_time_ms", "event_time_us", "event_ts"),
        *("event_timestamp", "event_datetime", "unix_time", "unix_timestamp", "utc_time", "created_at", "created"),
        *("occurred_at", "viewed_at", "clicked_at", "rated_at", "listened_at", "played_at", "purchased_at"),
        *("ordered_at", "click_time", "action_time", "review_date", "order_date", "order_time", "purchase_date"),
        *("purchase_time", "transaction_date", "transaction_time", "invoice_date"),
    ),
    PART: ("part",),
    RATING: ("rating", "score", "stars", "overall", "label"),
    TYPE: ("type", "event_type", "event", "action", "behavior", "behaviour", "behavior_type"),
}
"""Common column names by role; case, spaces, ``_``, ``-`` and ``.`` are ignored: ``SessionId`` is ``session_id``."""

_SESSION = re.compile(
    r"(?:id|ga|web|app|browser|shop|shopping|user|u)?"
    r"(?P<noun>session|visit|basket|cart|order|checkout|trip|journey|invoice|receipt|purchase|transaction)"
    r"(?P<number>id|nr|no|nbr|num|number)?(?:code|key|hash|token|uuid|guid)?"
)
"""Normalized names of columns that may identify a session, although they do not name the session unmistakably."""
_LONG_NAME, _MAX_DIGITS = 60, 10

_MAY_REPEAT = (PART, RATING, TYPE)
"""Roles for which the first alias wins if several columns match; the others remain features."""


@dataclass(frozen=True)
class ColumnRoles:
    """The role of each column.

    Attributes:
        columns: column by role; ``session`` is always present.
        unit: what one session is, judging by the columns.
    """

    columns: Mapping[str, str]
    unit: Unit

    @property
    def sources(self) -> dict[str, str]:
        """Column by role, where ``user`` takes the place of ``session`` if sessions are user histories."""
        if self.unit == SESSION:
            return dict(self.columns)
        return {USER if role == SESSION else role: name for role, name in self.columns.items()}


def resolve_columns(names: Sequence[str], given: Mapping[str, str], unit: Unit | None, source: Source) -> ColumnRoles:
    """Find the column of each role.

    Args:
        names: columns of the source.
        given: the user's column by role, its name or its number from 1; takes precedence over the aliases.
        unit: the requested unit of a session, if the source has a column for it.
        source: the source.

    Raises:
        LogError: all missing or ambiguous columns.
        UnknownNameError: ``given`` names an unknown role.
    """
    problems = Problems(source)
    given = by_name(given, names)
    for role, name in given.items():
        if role not in COLUMN_ALIASES and role in names and name in COLUMN_ALIASES:
            swapped = Problems(source)
            swapped.add(f"has the column '{role}', which is no role; give the role first: {how_to_choose(name, role)}")
            swapped.raise_if_any()
        if role not in COLUMN_ALIASES:
            raise UnknownNameError("column role", role, COLUMN_ALIASES)
        if name not in names:
            problems.add(f"has no column '{name}', which was given for the {role}; it has {quoted(names)}")
    free = [name for name in names if name not in given.values()]
    candidates = {role: [given[role]] if role in given else columns_for(role, free) for role in COLUMN_ALIASES}
    for role, found in candidates.items():
        if len(found) > 1 and role not in _MAY_REPEAT:
            problems.add(f"columns {quoted(found)} all look like the {role}; {how_to_choose(role, found[0])}")
    for needed in ((SESSION, USER), (ITEM,)):
        if not any(candidates[role] for role in needed):
            roles = " or ".join(needed)
            problems.add(f"has no column for the {roles}; it has {quoted(names)}; {how_to_choose(needed[0], names[0])}")
    problems.raise_if_any()
    columns = {role: found[0] for role, found in candidates.items() if found}
    by_user = SESSION not in columns or (unit == USER and USER in columns)
    if by_user:  # A session is the whole history of a user.
        columns[SESSION] = columns.pop(USER)
    ordered = {role: columns[role] for role in COLUMN_ALIASES if role in columns}
    return ColumnRoles(ordered, "user" if by_user else "session")


def by_name(given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return columns by role, those given by their number with their name."""
    return {role: names[int(name) - 1] if _is_number_of(name, names) else name for role, name in given.items()}


def find_column(names: Sequence[str], role: str, given: Mapping[str, str], source: Source) -> str:
    """Find the id column in a table of metadata.

    Raises:
        LogError: there is none.
    """
    if given.get(role) in names:
        return given[role]
    matches = columns_for(role, names)
    if not matches:
        problems = Problems(source)
        problems.add(
            f"has no column for the {role}; it has {quoted(names)}; rename one of them to '{role}', or "
            f"{how_to_choose(role, names[0] if names else role)}"
        )
        problems.raise_if_any()
    return matches[0]


def columns_for(role: str, names: Sequence[str]) -> list[str]:
    """Return the columns with an alias of a role, best alias first."""
    ranks = _ALIAS_RANKS[role]
    found = [(ranks[key], name) for name in names if (key := _normalize(name)) in ranks]
    return [name for _, name in sorted(found, key=lambda one: one[0])]


def is_alias(name: str, role: str | None = None) -> bool:
    """Whether a name is a common column name of a role, or of any; a session may be called like a user."""
    roles = COLUMN_ALIASES if role is None else (SESSION, USER) if role in (SESSION, USER) else (role,)
    key = _normalize(name)
    return any(key in _ALIAS_RANKS[one] for one in roles if one in _ALIAS_RANKS)


def may_be_session(name: str) -> bool:
    """Whether a column without a role is called like the id of a session, or of something with several events."""
    return _SESSION.fullmatch(_normalize(name)) is not None


def may_count_sessions(name: str) -> bool:
    """Whether it may also be called like a number of the session; a ``cart`` may be a number of items."""
    match = _SESSION.fullmatch(_normalize(name))
    return match is not None and (match["number"] is not None or match["noun"] in ("session", "visit"))


def quoted(names: Sequence[str]) -> str:
    """Format names as ``'a', 'b'``; of many only the first."""
    return listed([f"'{name}'" for name in names])


def _is_number_of(name: str, names: Sequence[str]) -> bool:
    """Whether a column is given by its number."""
    return name not in names and name.isdecimal() and len(name) < _MAX_DIGITS and 0 < int(name) <= len(names)


def how_to_choose(role: str, name: str) -> str:
    """Say how to choose a column, as commands that can be pasted; a long name by its number, the first."""
    name = name if len(name) <= _LONG_NAME else "1"
    return (
        f"say which one it is, for example columns={{'{role}': {name!r}}} or --columns {shlex.quote(f'{role}={name}')}"
    )


def how_to_use(role: str, name: str) -> str:
    """Say how to use a column, as commands that can be pasted."""
    return f"to use it, give --columns {shlex.quote(f'{role}={name}')} (columns={{'{role}': {name!r}}} in Python)"


def _normalize(name: str) -> str:
    return _IGNORED.sub("", name).lower()


_IGNORED = re.compile(r"[\s_.-]")
_ALIAS_RANKS = {
    role: {_normalize(alias): rank for rank, alias in reversed(list(enumerate(aliases)))}
    for role, aliases in COLUMN_ALIASES.items()
}
"""Rank of each alias among those of its role."""
