"""Run the steps of a protocol on a log, with statistics before and after each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from segue.data.events import TIME
from segue.data.partitions import PartitionedLog, Table, load, merge_counts
from segue.data.reading import Unit
from segue.data.statistics import Statistics, combine_statistics, count_items, tally
from segue.errors import EmptyDataError
from segue.protocols.base_split import SplitParts
from segue.protocols.cleaning import STEPS
from segue.protocols.cleaning_steps import count_duplicates, keep_known_items
from segue.protocols.protocol import Protocol

_MANY_DUPLICATES = 0.001
"""Share of the events from which duplicates are worth a note."""


@dataclass(frozen=True)
class Stage:
    """One part of the log after one step.

    Attributes:
        step: the step's name; ``"read"`` is the log as it came, ``"encode"`` the end.
        part: ``"log"`` before the test part is held out, then ``"train"``, ``"valid"`` or ``"test"``.
        dropped: number of events that the step removed from this part.
        why: description of the dropped events or of the change.
        all_items: distinct items of all parts together.
        statistics: statistics of the remaining events.
    """

    step: str
    part: str
    dropped: int
    why: str
    all_items: int
    statistics: Statistics

    def describe(self) -> dict[str, Any]:
        """Return all of it in one flat mapping, ready for JSON."""
        head = {"step": self.step, "part": self.part, "dropped": self.dropped, "why": self.why}
        return head | {"all_items": self.all_items} | self.statistics.describe()


@dataclass(eq=False)
class Pipeline:
    """A log in preparation: the steps of a protocol, applied in order.

    Attributes:
        protocol: the protocol to apply.
        parts: the ordered log as ``"log"``; once the test part is held out ``"train"``, ``"test"``, and ``"valid"``.
        stages: statistics after each step so far.
        notes: what a reader of the results should know of it, one sentence each.
        duplicates: the counts of ``count_duplicates``; empty if duplicates are dropped, or the log has no times.
    """

    protocol: Protocol
    parts: dict[str, PartitionedLog] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, pl.DataFrame] = field(default_factory=dict)
    _descriptions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def run(self, log: PartitionedLog) -> None:
        """Run all steps on an ordered log.

        Raises:
            EmptyDataError: a step left no training or test data.
        """
        self._begin(log)
        if TIME in log.columns and not self.protocol.cleaning.runs("duplicates"):
            counts = log.map(count_duplicates)
            self.duplicates = {name: sum(one[name] for one in counts) for name in counts[0]}
        del log
        for name in self.protocol.cleaning.order:
            if name == "hold-out-test":
                self._hold_out_test()
            elif name == "hold-out-valid":
                self._hold_out_valid()
            elif name == "known-items":
                self._keep_known_items()
            elif self.protocol.cleaning.runs(name):
                self._clean(name)

    def clean(self, log: PartitionedLog, known: pl.Series | None = None) -> PartitionedLog:
        """Run only the cleaning steps on an ordered log, including the steps that usually act on the training part.

        Args:
            log: the log.
            known: items of a model that the log is to update. They are kept however rare they are in the log, and so
                are old sessions of the log.

        Raises:
            EmptyDataError: a step dropped all events.
        """
        self._begin(log)
        del log
        for name in self.protocol.cleaning.order:
            if (
                name in STEPS
                and self.protocol.cleaning.runs(name)
                and not (known is not None and name == "recent-share")
            ):
                self._clean(name, known)
        return self.parts["log"]

    def _begin(self, log: PartitionedLog) -> None:
        if log.is_empty():
            raise EmptyDataError("the log contains no event; check the file, its format and its columns")
        self.replace_part("log", log)
        self.record("read", "log", "the log as it came")

    def duplicate_notes(self, unit: Unit) -> list[str]:
        """Say how many events repeat another one, and how to drop those that equal it.

        Args:
            unit: what a session is.
        """
        repeats, equal = self.duplicates.get("repeats", 0), self.duplicates.get("equal", 0)
        events = self.stages[0].statistics.events
        if equal < _MANY_DUPLICATES * events:
            return []
        found = f"{repeats:,} events ({repeats / events:.1%}) repeat the {unit}, item and time of another event"
        some = "all" if equal == repeats else f"{equal:,}"
        has_step = "duplicates" in self.protocol.cleaning.order
        step = "" if has_step else ", with the step 'duplicates' in protocol.cleaning.order"
        return [
            f"{found}, {some} of them in every column; if they were logged twice, drop these with "
            f"--set protocol.cleaning.drop_duplicates=true{step}"
        ]

    def replace_part(self, part: str, log: PartitionedLog) -> None:
        """Replace one part."""
        self.parts[part] = log
        self._descriptions[part] = log.map(describe)
        self._counts[part] = merge_counts([one["counts"] for one in self._descriptions[part]], "item", "events")

    def count(self, part: str) -> pl.DataFrame:
        """Return the items of a part, with the number of their events."""
        return self._counts[part]

    def record(self, step: str, part: str, why: str, dropped: int = 0) -> None:
        """Add the statistics of one part after a step to ``stages``."""
        counts = self._counts
        all_items = pl.concat([table["item"] for table in counts.values()]).n_unique()
        training_items = None if part in ("log", "train") else counts["train"]["item"]
        tallies = [_loaded(one) for one in self._descriptions[part]]
        numbers = combine_statistics(tallies, counts=counts[part], training_items=training_items)
        self.stages.append(Stage(step, part, dropped, why, all_items, numbers))

    def record_cases(self, left: Mapping[str, PartitionedLog]) -> None:
        """Replace the held-out parts by the events that are left in their test cases."""
        dropped = {part: self.parts[part].height - log.height for part, log in left.items()}
        for part, log in left.items():
            self.replace_part(part, log)
        for part in left:
            why = "events on items that are not in training, and sessions without a case"
            self.record("encode", part, why, dropped[part])

    def _clean(self, name: str, known: pl.Series | None = None) -> None:
        part = "train" if "train" in self.parts else "log"
        before = self.parts[part].height
        cleaned = self.protocol.cleaning.clean(name, self.parts[part], self._counts[part], known)
        if cleaned.log.is_empty():
            raise EmptyDataError(
                f"step '{name}' dropped all {before:,} events: it drops {cleaned.why}; {self._remedy(name)}"
            )
        if cleaned.log is not self.parts[part]:
            self.replace_part(part, cleaned.log)
            self.record(name, part, cleaned.why, cleaned.dropped)

    def _remedy(self, name: str) -> str:
        settings = self.protocol.cleaning.settings(name)
        if not settings:
            return "check which columns were read as session, item and time"
        return "change " + " or ".join(
            f"protocol.cleaning.{parameter} (now {value})" for parameter, value in settings.items()
        )

    def _hold_out_test(self) -> None:
        split = self.protocol.split
        result = split.hold_out_test(self.parts["log"])
        remedy = "change protocol.split or its parameters"
        if split.kind == "last-days":
            remedy = "hold out a share instead, with --set protocol.split=ratio, or change its parameters"
        for purpose, log in (("for training", result.train), ("for the test", result.holdout)):
            if log.is_empty() and not (split.kind == "whole" and purpose == "for training"):
                raise EmptyDataError(
                    f"step 'hold-out-test' with split '{split.kind}' left nothing {purpose} of "
                    f"{self.parts['log'].height:,} events; {remedy}"
                )
        del self.parts["log"], self._counts["log"]
        self._hold_out("hold-out-test", "test", result)

    def _hold_out_valid(self) -> None:
        split = self.protocol.split
        before = self.parts["train"].height
        result = split.hold_out_validation(self.parts["train"], self.parts["test"])
        if result.train.is_empty() and self.protocol.cleaning.runs("recent-share"):
            # A sample of a small log may be shorter than the validation part, which belongs to the whole log.
            sizes = {name: value for name, value in split.model_dump().items() if name.startswith("valid_")}
            shorter = " or ".join(f"protocol.split.{name} (now {value:g})" for name, value in sizes.items() if value)
            remedy = f"; lower {shorter} to hold some out" if shorter else ""
            self.notes.append(
                f"all {before:,} events that step 'recent-share' left for training belong to the validation part of "
                f"split '{split.kind}', so all are trained on and nothing is held out for validation{remedy}"
            )
            return
        if result.train.is_empty():
            raise EmptyDataError(
                f"step 'hold-out-valid' with split '{split.kind}' left nothing for training of {before:,} events; "
                "change the split's parameters or leave the step out of protocol.cleaning.order"
            )
        if not result.holdout.is_empty():
            self._hold_out("hold-out-valid", "valid", result)

    def _hold_out(self, step: str, part: str, result: SplitParts) -> None:
        self.replace_part("train", result.train)
        self.replace_part(part, result.holdout)
        self.record(step, "train", f"the {part} part is held out")
        self.record(step, part, f"held out by split '{self.protocol.split.kind}'")

    def _keep_known_items(self) -> None:
        least = self.protocol.cleaning.min_length
        known = self._counts["train"].select("item")
        for part in [name for name in self.parts if name != "train"]:
            cleaned = self.parts[part].map(_keep_known, known=known, min_length=least)
            self.replace_part(part, self.parts[part].with_partitions(one["log"] for one in cleaned))
            self.record("known-items", part, cleaned[0]["why"], sum(one["dropped"] for one in cleaned))


def describe(log: pl.DataFrame) -> dict[str, Any]:
    """Return what the statistics of a log are combined from: ``tally`` and ``count_items`` (``counts``)."""
    return {"counts": count_items(log), **tally(log)}


def _loaded(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with its tables as frames."""
    return {name: load(value) if isinstance(value, Table) else value for name, value in result.items()}


def _keep_known(log: pl.DataFrame, known: pl.DataFrame, min_length: int) -> dict[str, Any]:
    cleaned = keep_known_items(log, known["item"], min_length)
    return {"log": cleaned.log, "dropped": cleaned.dropped, "why": cleaned.why}
