"""The journal of a service with simulated visitors, written as the service writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segue.online.arms import Experiment, Split
from segue.serving.journal import Exposure, Journal, Seen, event_row, shown_row
from segue.serving.sessions import Event

START = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000
DAY = 86_400_000


def split(name: str = "home", interleave: bool = False, unit: str = "session", **weights: float) -> Split:
    arms = {arm: {"model": f"model-{arm}", "weight": weight} for arm, weight in (weights or {"a": 1, "b": 1}).items()}
    return Split(Experiment(name=name, unit=unit, interleave=interleave, arms=arms))


class Visits:
    """Rows of a journal, in the order in which they are added."""

    def __init__(self) -> None:
        self.rows: dict[str, list[bytes]] = {"events": [], "exposures": [], "seen": []}
        self.number = 0

    def show(self, session: str | None, time: int, one: Split | None, **changes: Any) -> str:
        """Recommend the items i0 to i4 and return the id of the answer."""
        self.number += 1
        name = f"r{self.number}"
        arm = None if one is None or session is None else one.arm_of(session)
        given = {
            "experiment": None if one is None else one.experiment.name,
            "plan": None if one is None else one.plan,
            "arm": arm,
            "unit": session if one is not None else None,
            "model": "default" if one is None or arm is None else one.experiment.arms[arm].model,
        } | changes
        model = given.pop("model")
        items = [f"i{place}" for place in range(5)]
        exposure = Exposure(name, session, time, model, "1", None, items, [1.0] * 5, **given)
        self.rows["exposures"].append(shown_row(exposure)[2])
        return name

    def click(self, session: str, time: int, item: str = "i1", led_by: str | None = None, **more: Any) -> None:
        event = Event(time, item, more.get("type", "view"), None, led_by, more.get("context"))
        self.rows["events"].append(event_row(session, event))

    def see(self, name: str, session: str | None, positions: list[int]) -> None:
        self.rows["seen"].append(shown_row(Seen(name, session, START, None, positions))[2])

    def write(self, folder: Path, per_file: int = 5000) -> Path:
        journal = Journal(folder)
        for kind, rows in self.rows.items():
            for first in range(0, len(rows), per_file):
                part = rows[first : first + per_file]
                journal.write(kind, first + 1, first + len(part), part)
        return folder


def simulate(
    one: Split, sessions: int, rates: Mapping[str, float], *, days: int = 7, seed: int = 0, buys: float = 0.2
) -> Visits:
    """Simulate sessions of 1 to 5 lists, which are clicked with the rate of their arm."""
    rng, visits = np.random.default_rng(seed), Visits()
    for number in range(sessions):
        session = f"s{seed}-{number}"
        time = START + number * days * DAY // sessions
        rate = rates[one.arm_of(session)]
        for place in range(rng.integers(1, 6)):
            name = visits.show(session, time + place * 1000, one)
            if rng.random() < rate:
                visits.click(session, time + place * 1000 + 500, led_by=name)
        if rng.random() < buys:
            visits.click(session, time + 9000, "x", type="purchase")
    return visits
