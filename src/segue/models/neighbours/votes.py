"""The votes of the neighbours of one session, one by one: why an item has its score."""

import numpy as np
from jaxtyping import Float64, Int64

from segue.compiled import njit
from segue.models.neighbours.index import Index
from segue.models.neighbours.search import (
    SearchParameters,
    SessionBatch,
    add_votes,
    choose_neighbours,
)
from segue.models.neighbours.workspace import Workspace


@njit(nogil=True)
def split_votes(
    session: SessionBatch,
    index: Index,
    params: SearchParameters,
    workspace: Workspace,
    items: Int64[np.ndarray, "C"],
    neighbours: Int64[np.ndarray, "k"],
    similarities: Float64[np.ndarray, "k"],
    votes: Float64[np.ndarray, "k C"],
) -> int:
    """Put the neighbours of a session, their similarities, and their votes for some items into the last arguments.

    Returns:
        Number of neighbours.
    """
    chosen = choose_neighbours(0, session, index, params, workspace)
    for number in range(len(chosen)):
        candidate = chosen[number]
        neighbours[number] = workspace.candidates[candidate]
        similarities[number] = workspace.similarities[candidate] * params.match[workspace.matches[candidate]]
        add_votes(neighbours[number], similarities[number], index, params, workspace)
        for column in range(len(items)):
            votes[number, column] = workspace.scores[items[column]]
        for item in index.items[index.offsets[neighbours[number]] : index.offsets[neighbours[number] + 1]]:
            workspace.scores[item] = 0.0
    return len(chosen)
