"""An explanation in plain words."""

from collections.abc import Callable
from math import fsum

from segue.data.vocabulary import RawId, Vocabulary
from segue.models.why.answer import ExplainedEvent, ExplainedItem, Part, Why

_EFFECTS, _PARTS, _NAMES = 3, 3, 4
"""Events with an effect, parts of a score, and events of a part that are named."""

NameOf = Callable[[RawId], str]


def names_of(vocabulary: Vocabulary) -> NameOf:
    """Return a function from the id of an item to its name, or to the id if items have no names."""
    names = vocabulary.names

    def name(item: RawId) -> str:
        return str(item) if names.column is None else names.names[vocabulary.index([item])[0]]

    return name


def named(event: ExplainedEvent | ExplainedItem) -> str:
    """Return the name of an event or an item, or its id if items have no names."""
    return str(event.item) if event.name is None else event.name


def because(why: Why, item: ExplainedItem) -> tuple[str, str]:
    """Return the events that raise the score most, and those that lower it, as ``name (+1.2); name (+0.3)``."""
    if why.source == "popularity":
        return "its popularity: the model knows no event of the session", ""
    effects = item.effects(len(why.events))
    if not effects:
        return "no event in particular", ""
    raising, lowering = ([one for one in effects if (one[1] > 0) == up][:_EFFECTS] for up in (True, False))
    for_it, against = (
        "; ".join(f"{named(why.events[event])} ({effect:+.3g})" for event, effect in side)
        for side in (raising, lowering)
    )
    return for_it, against


def part_lines(why: Why, item: ExplainedItem, name_of: NameOf) -> list[tuple[float, str]]:
    """Return the largest parts of a score and the sum of the others, each with its value; none without parts.

    Parts that read alike, such as the votes of equally similar sessions, are one line.
    """
    alike: dict[str, list[Part]] = {}
    for part in item.parts or ():
        alike.setdefault(_part(why, item, part, name_of), []).append(part)
    lines = [
        (fsum(part.value for part in parts), words if len(parts) == 1 else f"{len(parts)} × {words}")
        for words, parts in alike.items()
    ]
    rest = [part for parts in [*alike.values()][_PARTS:] for part in parts]
    if len(lines) <= _PARTS + 1:
        return lines
    return [*lines[:_PARTS], (fsum(part.value for part in rest), f"{sum(part.count for part in rest)} others")]


def _part(why: Why, item: ExplainedItem, part: Part, name_of: NameOf) -> str:
    events = "; ".join(named(why.events[event]) for event in part.events[-_NAMES:])
    match part.kind:
        case "neighbour":
            return f"{part.source} that shares {events}" if events else part.source
        case "rule":
            return f"the rule {'; '.join(map(name_of, part.items))} → {named(item)}"
        case "history" | "event":
            return f"{part.source}: {events}" if events else part.source
        case _:
            return part.source
