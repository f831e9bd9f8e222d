"""The protocol of an experiment: how a log is cleaned, split and turned into test cases, in one hashable object."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from segue.errors import ArtifactError, UnknownNameError
from segue.metrics import VALUE_METRICS, selection_metric
from segue.parameters import KIND, Section, merge
from segue.protocols.cases import CaseRules
from segue.protocols.cleaning import Cleaning
from segue.protocols.ranking import USER_METRICS, Ranking
from segue.protocols.splits import LastDaysSplit, Split
from segue.validation import NoEffect, build, parameters_without_effect

_NOT_PARAMETERS = ("hash", "fingerprint", "headline")
"""Entries of results and artifacts that are not parameters."""

_GRU4REC: dict[str, Any] = {
    "cleaning": {
        "order": (
            *("incomplete", "min-length", "min-support", "min-length"),
            *("hold-out-test", "known-items", "recent-share", "hold-out-valid"),
        ),
        "min_support": 5,
        "min_length": 2,
    },
    "split": "last-days",
}


class Protocol(Section):
    """Cleaning, split, test cases and ranking of an experiment.

    ``Protocol()`` filters nothing; the named protocols set what they need (``Protocol.named``). A parameter that has no
    effect, because of another one, is refused.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "session-next": {"cleaning": {"min_support": 5, "min_length": 2}, "split": "last-days"},
        "leave-one-out": {
            "cleaning": {"k_core": 5},
            "split": "last-event",
            "cases": {"targets": "last", "exclude_seen": True},
            "ranking": {"metrics": USER_METRICS},
        },
        "global-time": {
            "cleaning": {"min_support": 5, "min_length": 2},
            "split": "global-time",
            "cases": {"targets": "first", "exclude_seen": True},
            "ranking": {"metrics": USER_METRICS},
        },
        "recbole": {
            "split": {KIND: "event-ratio", "order": "random"},
            "cases": {"targets": "together", "exclude_seen": True},
            "ranking": {"metrics": tuple(f"{name}@10" for name in ("recall", "mrr", "ndcg", "hit", "precision"))},
            "valid_metric": "mrr@10",
        },
        "gru4rec-2015": _GRU4REC,
        "yoochoose-1-64": merge(_GRU4REC, {"cleaning": {"recent_share": 1 / 64}}),
        "yoochoose-1-4": merge(_GRU4REC, {"cleaning": {"recent_share": 1 / 4}}),
    }
    """The named protocols."""

    name: str = "custom"
    """Name of the protocol that this protocol started from. Not part of the hash."""
    cleaning: Cleaning = Cleaning()
    """The events to drop from the log."""
    split: Split = LastDaysSplit()
    """How test and validation are held out: sessions that end in the last days, the last event of each session, the
    last share of the sessions, a share of the events, the events after one moment, the predefined split of the log, or
    the whole log."""
    ranking: Ranking = Ranking()
    """How the targets are ranked and measured."""
    cases: CaseRules = CaseRules()
    """Which held-out events are predicted, and from which input."""
    valid_metric: str | None = None
    """Validation metric that selects the best epoch; none uses training.metric of each model. Not part of the hash."""
    decimals: int = Field(4, ge=1, le=10)
    """Decimal places in tables. Not part of the hash."""

    @field_validator("split", mode="before")
    @classmethod
    def _by_name(cls, split: Any) -> Any:
        """A name alone is the split with its defaults."""
        if isinstance(split, Mapping) and KIND not in split:
            return {KIND: "last-days", **split}
        return {KIND: split} if isinstance(split, str) else split

    @field_validator("split")
    @classmethod
    def _validation_is_held_out(cls, split: Split, info: Any) -> Split:
        cleaning = info.data.get("cleaning")
        if cleaning is not None and "hold-out-valid" not in cleaning.order and split.has_validation:
            no_effect = "because cleaning.order has no step 'hold-out-valid'", "remove it, or add the step"
            names = split.model_dump(exclude_defaults=True)
            if found := {name: no_effect for name in names if name.startswith("valid_")}:
                raise parameters_without_effect(split, found)
        return split

    @field_validator("cases")
    @classmethod
    def _cases_with_effect(cls, cases: CaseRules, info: Any) -> CaseRules:
        ranking, split = info.data.get("ranking"), info.data.get("split")
        found: dict[str, NoEffect] = {}
        if ranking is not None and not ranking.labeled:
            names = cases.model_dump(include={"label", "label_threshold"}, exclude_defaults=True)
            reason = f"with ranking.candidates '{ranking.candidates}', because it belongs to 'labeled'"
            found |= dict.fromkeys(names, (reason, "remove it, or set ranking.candidates=labeled"))
        fed = split is None or (split.divides_sessions and split.has_validation and split.test_is_disjoint)
        if not cases.feed_valid and not fed:
            reason = f"with split '{split.kind}', where no session has both validation and test events"
            found["feed_valid"] = reason, "remove it"
        if found:
            raise parameters_without_effect(cases, found)
        return cases

    _selects_epochs = field_validator("valid_metric")(selection_metric)

    @classmethod
    def named(cls, name: str, parameters: Mapping[str, Any] | None = None) -> "Protocol":
        """Return a named protocol with some parameters changed.

        Args:
            name: one of ``presets``.
            parameters: values by part, such as ``{"split": {"test_days": 7}}``; ``{"split": "ratio"}`` chooses another
                split, which keeps the parameters that both have.

        Raises:
            UnknownNameError: there is no such protocol, or no such parameter.
            ParameterError: parameters break their rules or have no effect; all are reported together.
        """
        if name not in cls.presets:
            raise UnknownNameError("protocol", name, cls.presets)
        given = {"name": name, **(parameters or {})}
        ranking, cases = given.get("ranking"), given.get("cases")
        if isinstance(ranking, Mapping) and ranking.get("candidates") == "labeled":
            liked = isinstance(cases, Mapping) and cases.get("label_threshold") is not None
            given["ranking"] = {"metrics": VALUE_METRICS if liked else ("mae", "rmse"), **ranking}
        return build(cls, "protocol", preset=name, parameters=given)

    @classmethod
    def of(cls, described: Mapping[str, Any], place: object = "protocol") -> "Protocol":
        """Return the protocol that results and artifacts store.

        Args:
            described: the stored mapping, from ``Dataset.describe``.
            place: its location, for messages.

        Raises:
            ArtifactError: an earlier version wrote it.
            ParameterError: it breaks a rule of this version.
        """
        check_nested(described, place)
        parameters = {name: value for name, value in described.items() if name not in _NOT_PARAMETERS}
        return build(cls, "protocol", parameters=parameters)

    def changed(self, parameters: Mapping[str, Any]) -> "Protocol":
        """Return this protocol with some parameters changed; see ``named``.

        Raises:
            UnknownNameError: there is no such parameter.
            ParameterError: parameters break their rules or have no effect; all are reported together.
        """
        return build(type(self), "protocol", base=self.model_dump(), parameters=parameters)

    def on_whole_log(self) -> "Protocol":
        """Return a protocol for testing a trained model on an entire log, with all filters off.

        Cases of ``targets="together"`` become ``"every-next"``, because no events remain as their input.
        """
        targets = "every-next" if self.cases.targets == "together" else self.cases.targets
        order = ("incomplete", "hold-out-test")
        return self.changed({"split": "whole", "cleaning": {"order": order}, "cases": {"targets": targets}})

    @property
    def feeds_valid(self) -> bool:
        """Whether validation events are input of test cases; never if validation and test are the same events."""
        return self.cases.feed_valid and self.split.test_is_disjoint

    def hashed_parameters(self) -> dict[str, Any]:
        """Return the parameters that affect results, ready for JSON; steps without effect are omitted."""
        cleaning = self.cleaning.hashed_parameters()
        if not self.split.has_validation:
            cleaning["order"] = [step for step in cleaning["order"] if step != "hold-out-valid"]
        return {
            "cleaning": cleaning,
            "split": self.split.hashed_parameters(validated="hold-out-valid" in cleaning["order"]),
            "cases": self.cases.model_dump(mode="json"),
            "ranking": self.ranking.model_dump(mode="json", exclude={"metrics"}),
        }


def check_nested(described: Mapping[str, Any], place: object) -> None:
    """Refuse a protocol in the format of earlier versions, with all parameters on one level.

    Raises:
        ArtifactError: ``described`` is one.
    """
    if "steps" in described or isinstance(described.get("split"), str):
        raise ArtifactError(
            f"{place}: was written by an earlier version of segue, whose protocols had all parameters on one level; "
            "prepare the log, or run the models, again with this version"
        )
