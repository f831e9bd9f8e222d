"""Interleaving: one list of two rankings, whose clicks say which of the two a visitor prefers.

Both rankings are compared within the same list, so that the comparison needs far fewer visitors than a split of the
traffic; it measures preference, not how often visitors click or buy.
"""

from collections.abc import Sequence
from random import Random


def team_draft(first: Sequence[str], second: Sequence[str], k: int, seed: str) -> list[tuple[int, int]]:
    """Merge two rankings by team draft (Radlinski, Kurup and Joachims 2008).

    In each round a coin decides who picks first; each ranking then adds its best item that is not listed yet, and gets
    the credit for clicks on it. A ranking without further items passes.

    Args:
        first: items of the first ranking, best first, without repetition.
        second: items of the second one.
        k: length of the list.
        seed: equal seeds give equal lists, such as the id of the answer.

    Returns:
        Team, 0 or 1, and place in its ranking, of each item of the list.
    """
    coins = Random(seed)  # noqa: S311 (not for secrets)
    rankings, places, taken = (first, second), [0, 0], set[str]()
    merged: list[tuple[int, int]] = []
    while len(merged) < k:
        before = len(merged)
        leader = coins.getrandbits(1)
        for team in (leader, 1 - leader):
            ranking = rankings[team]
            while places[team] < len(ranking) and ranking[places[team]] in taken:
                places[team] += 1
            if places[team] < len(ranking) and len(merged) < k:
                merged.append((team, places[team]))
                taken.add(ranking[places[team]])
        if len(merged) == before:
            break
    return merged
