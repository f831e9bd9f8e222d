"""The protocol of an experiment: how a log is cleaned, split and turned into test cases, in one hashable object."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from segue.errors import InputError, ParameterError, UnknownNameError
from segue.metrics import CHOOSING_METRICS, DEFAULT_METRICS, VALUE_METRICS, MetricName
from segue.metrics.ranking import Ties
from segue.parameters import build
from segue.protocols.candidates import Candidates
from segue.protocols.encode import Which
from segue.protocols.intervals import parse_intervals
from segue.protocols.splits import GroupBy

StepName = Literal[
    "incomplete",
    "duplicates",
    "window",
    "sessionise",
    "repeats",
    "revisits",
    "values",
    "max-length",
    "activity",
    "k-core",
    "hold-out-test",
    "known-items",
    "recent-share",
    "hold-out-valid",
    "min-support",
    "min-length",
]
"""What can be done to a log; the steps after ``hold-out-test`` act on what is left for training."""

SplitName = Literal["last-days", "last-event", "ratio", "event-ratio", "global-time", "given", "whole"]
"""How events are held out."""

ORDER: tuple[StepName, ...] = tuple(name for name in get_args(StepName) if name != "known-items")
"""The order of the steps, unless a preset or a user says otherwise; ``known-items`` is part of published ones."""

_SESSION_METRICS = tuple(dict.fromkeys(("recall@20", "mrr@20", *DEFAULT_METRICS)))
_USER_METRICS = tuple(dict.fromkeys(("hit@10", "ndcg@10", "mrr@10", *DEFAULT_METRICS)))

_NOT_PARAMETERS = ("hash", "fingerprint", "headline")
"""What results and artifacts hold beside the parameters."""

_Text = Annotated[str, BeforeValidator(str)]
"""A value that is compared as text: 5 may be written without quotes."""

_GRU4REC: dict[str, Any] = {
    "steps": (
        *("incomplete", "min-length", "min-support", "min-length"),
        *("hold-out-test", "known-items", "recent-share", "hold-out-valid"),
    ),
    "split": "last-days",
    "min_support": 5,
    "min_length": 2,
}


class Protocol(BaseModel):
    """Cleaning, split, test cases and metrics of an experiment.

    A parameter at its default asks for nothing: ``Protocol()`` filters nothing. The named protocols set what they
    need (``Protocol.named``).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "session-next": {"split": "last-days", "min_support": 5, "min_length": 2},
        "leave-one-out": {
            "split": "last-event",
            "k_core": 5,
            "cases": "last",
            "exclude_seen": True,
            "metrics": _USER_METRICS,
        },
        "global-time": {
            "split": "global-time",
            "min_support": 5,
            "min_length": 2,
            "cases": "first",
            "exclude_seen": True,
            "metrics": _USER_METRICS,
        },
        "recbole": {
            "split": "event-ratio",
            "order": "random",
            "cases": "together",
            "exclude_seen": True,
            "metrics": tuple(f"{name}@10" for name in ("recall", "mrr", "ndcg", "hit", "precision")),
            "valid_metric": "mrr@10",
        },
        "gru4rec-2015": _GRU4REC,
        "yoochoose-1-64": {**_GRU4REC, "recent_share": 1 / 64},
        "yoochoose-1-4": {**_GRU4REC, "recent_share": 1 / 4},
    }
    """The named protocols."""

    name: str = "custom"
    """Name of the protocol that this one started from. It is not part of the hash."""
    steps: tuple[StepName, ...] = ORDER
    """The steps in their order. A step whose parameters ask for nothing is passed over."""
    drop_duplicates: bool = False
    """Step duplicates: drop events that equal another one in every column."""
    last_days: float | None = Field(None, gt=0)
    """Step window: keep the events of the last days of the log."""
    since: datetime | None = None
    """Step window: keep the events at or after this time (ISO 8601, UTC)."""
    until: datetime | None = None
    """Step window: keep the events before this time (ISO 8601, UTC)."""
    session_gap: float | None = Field(None, gt=0)
    """Step sessionise: minutes without an event after which a new session begins."""
    drop_repeats: bool = False
    """Step repeats: of consecutive events on one item keep the first."""
    revisits: Literal["all", "first", "last"] = "all"
    """Step revisits: of several events of a session on one item keep all, the first or the last."""
    value_interval: dict[str, str] = {}
    """Step values: keep the events whose number in a column is in an interval, for example {rating: "[3,inf)"}; several
    intervals are separated by semicolons, and the column time counts in seconds since 1970."""
    value_among: dict[str, tuple[_Text, ...]] = {}
    """Step values: keep the events whose value in a column is one of a list, for example {type: [buy]}."""
    max_length: int | None = Field(None, ge=1)
    """Step max-length: drop sessions with more events (over-active ones, such as bots)."""
    session_interval: str | None = None
    """Step activity: drop sessions whose number of events is outside an interval such as [5,inf), and again until none
    is."""
    item_interval: str | None = None
    """Step activity: the same for items, along with the sessions."""
    k_core: int = Field(1, ge=1)
    """Step k-core: drop sessions and items until each has this many distinct partners; 1 drops nothing."""
    min_support: int = Field(1, ge=1)
    """Step min-support: drop items with fewer events; 1 drops nothing."""
    min_length: int = Field(1, ge=1)
    """Step min-length: drop sessions with fewer events; 1 drops nothing."""
    recent_share: float = Field(1.0, gt=0, le=1)
    """Step recent-share: keep the sessions that ended last, up to this share of the events."""
    split: SplitName = "last-days"
    """How test and validation are held out: sessions that end in the last days, the last event of each session, the
    last share of the sessions, a share of the events, the events after one moment, the log's own column part, or all
    there is."""
    test_days: float = Field(1.0, gt=0)
    """Split last-days: length of the test part in days of 24 hours."""
    valid_days: float = Field(1.0, ge=0)
    """Split last-days: length of the validation part, which lies before it; 0 holds out none."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Split ratio: share of the sessions that are held out for the test. Split global-time: share of the events, unless
    test_from says from when on."""
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Splits ratio, and given without a validation part: share of the remaining sessions that are held out for
    validation; global-time without test_from: share of the remaining events. 0 holds out none."""
    test_from: datetime | None = None
    """Split global-time: the first moment of the test part (ISO 8601, UTC); none takes the last test_share of the
    events."""
    valid_from: datetime | None = None
    """Split global-time with test_from: the first moment of the validation part; none holds out nothing for it."""
    leave: Literal["valid_and_test", "valid_only", "test_only"] = "valid_and_test"
    """Split last-event: the last event is for the test and the one before for validation; or the last is for
    validation alone, whose figures are then reported; or for the test alone, and nothing is for validation."""
    ratios: tuple[float, float, float] = (8.0, 1.0, 1.0)
    """Split event-ratio: shares of the events for training, validation and test, on any scale; 0 holds out none."""
    group_by: GroupBy = "user"
    """Split event-ratio: shares of the events of each user (or session), or of all events together."""
    order: Literal["time", "random"] = "time"
    """Splits event-ratio and last-event: the last events are held out, or any, which lets a model learn from the
    future."""
    split_seed: int = Field(0, ge=0)
    """Splits event-ratio and last-event in random order: seed of the draw."""
    cases: Which = "every-next"
    """Which held-out events of a session are to be predicted, each from all known events of the session before it; or
    all of them together, as one case with several relevant items, from what is not held out."""
    feed_valid: bool = True
    """Where a session has training, validation and test events: the validation events are fed at test time."""
    exclude_seen: bool = False
    """Items that the session holds already are no candidates."""
    repeats: bool = True
    """An event on an item that its session holds before is predicted like any other; else it is no test case."""
    candidates: str = "full"
    """What a target is ranked among: the whole catalogue (full); 100, or any other number of, items drawn uniformly
    (uni100) or by their training events (pop100), never of the session itself, which marks all figures as sampled; or
    nothing, where the log labels each held-out event and its score alone is measured (labeled)."""
    candidate_seed: int = Field(0, ge=0)
    """Seed of the drawn candidates; they are the same for every model."""
    label: str = "rating"
    """With labeled: numeric column of the log that labels each event."""
    label_threshold: float | None = Field(None, allow_inf_nan=False)
    """With labeled: an event with at least this value is liked (1), any other is not (0); none takes the value itself
    as the label."""
    ties: Ties = "served"
    """Rank of a target among items of equal score: its place in the served list, where more training events come first
    (served), or behind all of them (conservative), before them (standard), or in the middle (median)."""
    metrics: tuple[str, ...] = Field(_SESSION_METRICS, min_length=1)
    """Metrics with their cut-offs; the first two are the headline. They are not part of the hash."""
    valid_metric: str | None = None
    """Metric by which the best epoch is chosen; none leaves it to each model's training.metric. It is not part of the
    hash."""
    decimals: int = Field(4, ge=1, le=10)
    """Decimal places in tables. It is not part of the hash."""

    @field_validator("steps")
    @classmethod
    def _steps_in_order(cls, steps: tuple[StepName, ...]) -> tuple[StepName, ...]:
        if not steps or steps[0] != "incomplete" or steps.count("hold-out-test") != 1:
            raise ValueError("a list that begins with 'incomplete' and holds 'hold-out-test' once")
        test = steps.index("hold-out-test")
        if any(name in steps[:test] for name in ("hold-out-valid", "known-items")) or steps.count("hold-out-valid") > 1:
            raise ValueError("a list with 'known-items' and one 'hold-out-valid' at most, after 'hold-out-test'")
        return steps

    @field_validator("since", "until", "test_from", "valid_from")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        """Times of a log have no zone and mean UTC; so do these."""
        return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment

    @field_validator("until")
    @classmethod
    def _until_after_since(cls, until: datetime | None, info: Any) -> datetime | None:
        since = info.data.get("since")
        if since is not None and until is not None and until <= since:
            raise ValueError(f"a time after since ({since.isoformat()})")
        return until

    @field_validator("group_by", mode="before")
    @classmethod
    def _none_is_a_choice(cls, group_by: object) -> object:
        """On a command line ``none`` means no value everywhere else."""
        return "none" if group_by is None else group_by

    @field_validator("ratios")
    @classmethod
    def _something_held_out(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(map(math.isfinite, ratios)) or min(ratios) < 0 or ratios[0] == 0 or ratios[2] == 0:
            raise ValueError("three shares of 0 or more, those of training and test above 0")
        return ratios

    @field_validator("candidates")
    @classmethod
    def _known_candidates(cls, text: str) -> str:
        try:
            return str(Candidates.parse(text))
        except ParameterError:
            raise ValueError("full, labeled, uniN or popN with a number N such as uni100") from None

    @field_validator("valid_from")
    @classmethod
    def _valid_before_test(cls, moment: datetime | None, info: Any) -> datetime | None:
        test = info.data.get("test_from")
        if moment is not None and test is None and info.data.get("split") == "global-time":
            raise ValueError("left out where test_from is; valid_share says how much is held out then")
        if moment is not None and test is not None and moment >= test:
            raise ValueError(f"a time before test_from ({test.isoformat()})")
        return moment

    @field_validator("value_interval")
    @classmethod
    def _known_intervals(cls, intervals: dict[str, str]) -> dict[str, str]:
        for name, text in intervals.items():
            _check_interval(text, f"names of columns with intervals; that of {name} must be ")
        return intervals

    @field_validator("session_interval", "item_interval")
    @classmethod
    def _known_interval(cls, text: str | None) -> str | None:
        return text if text is None else _check_interval(text)

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        _check_metrics(metrics, "a list of metrics")
        return metrics

    @field_validator("valid_metric")
    @classmethod
    def _known_valid_metric(cls, metric: str | None) -> str | None:
        if metric is not None:
            _check_metrics([metric], "a metric")
            if MetricName.parse(metric).name not in CHOOSING_METRICS:
                raise ValueError(f"a metric of ranks ({', '.join(CHOOSING_METRICS)}), of which more is better")
        return metric

    @classmethod
    def named(cls, name: str, parameters: Mapping[str, Any] | None = None) -> "Protocol":
        """Return a named protocol with single parameters on top.

        Raises:
            UnknownNameError: there is no such protocol, or no such parameter.
            ParameterError: parameters break their rules; all are reported together.
        """
        if name not in cls.presets:
            raise UnknownNameError("protocol", name, cls.presets)
        given = {"name": name, **(parameters or {})}
        if given.get("candidates") == "labeled":
            liked = given.get("label_threshold") is not None
            given = {"metrics": VALUE_METRICS if liked else ("mae", "rmse"), **given}
        return build(cls, "protocol", preset=name, parameters=given)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Protocol":
        """Return the protocol that ``Dataset.describe`` put into results and artifacts.

        Raises:
            ParameterError: it breaks a rule of this version.
        """
        parameters = {name: value for name, value in described.items() if name not in _NOT_PARAMETERS}
        return build(cls, "protocol", parameters=parameters)

    def on_whole_log(self) -> "Protocol":
        """Return the protocol that tests a trained model on all of a log, which nothing is dropped from.

        Cases that are all held-out items together, from what is not held out, become cases of every next event.
        """
        cases = "every-next" if self.cases == "together" else self.cases
        return self.changed({"split": "whole", "steps": ("incomplete", "hold-out-test"), "cases": cases})

    @property
    def tests_apart(self) -> bool:
        """Whether the events of the test are others than those of validation."""
        return not (self.split == "last-event" and self.leave == "valid_only")

    @property
    def feeds_valid(self) -> bool:
        """Whether validation events come before those of the test; not where they are the very same events."""
        return self.feed_valid and self.tests_apart

    def changed(self, parameters: Mapping[str, Any]) -> "Protocol":
        """Return this protocol with single parameters on top.

        Raises:
            UnknownNameError: there is no such parameter.
            ParameterError: parameters break their rules; all are reported together.
        """
        return build(type(self), "protocol", parameters={**self.model_dump(), **parameters})

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics by which models are compared."""
        return self.metrics[:2]


def _check_interval(text: str, place: str = "") -> str:
    try:
        parse_intervals(text)
    except InputError as error:
        raise ValueError(f"{place}{error}") from None
    return text


def _check_metrics(texts: Sequence[str], rule: str) -> None:
    try:
        MetricName.parse_all(texts)
    except InputError as error:
        raise ValueError(f"{rule} ({error})") from None
