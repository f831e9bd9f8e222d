"""The candidates that targets are ranked among, and the metrics of the ranks."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from segue.metrics import DEFAULT_METRICS, MetricName
from segue.metrics.rank_metrics import Ties
from segue.parameters import Section
from segue.validation import without_effect

SESSION_METRICS = tuple(dict.fromkeys(("recall@20", "mrr@20", *DEFAULT_METRICS)))
USER_METRICS = tuple(dict.fromkeys(("hit@10", "ndcg@10", "mrr@10", *DEFAULT_METRICS)))
"""The default metrics; the first two are the headline metrics for sessions and for user histories."""

_DRAWN = re.compile(r"(uni|pop)([1-9]\d{0,8})")


class Ranking(Section):
    """How models are evaluated. It does not affect the prepared data."""

    candidates: str = "full"
    """Items that each target is ranked against. full: the whole catalogue. uniN or popN: N items, sampled uniformly or
    in proportion to their training events, excluding the items of the session; results are marked as sampled. labeled:
    nothing is ranked; scores are compared with labels in the log."""
    seed: int = Field(0, ge=0)
    """Seed of the sampled candidates, which are the same for every model."""
    ties: Ties = "served"
    """Rank of a target among items of equal score: its place in the served list, where more training events come first
    (served), or behind all of them (pessimistic), before them (optimistic), or in the middle (average)."""
    metrics: tuple[str, ...] = Field(SESSION_METRICS, min_length=1)
    """Metrics with their cut-offs; the first two are the headline. They are not part of the hash."""

    @field_validator("candidates")
    @classmethod
    def _known_candidates(cls, text: str) -> str:
        if text not in ("full", "labeled") and not _DRAWN.fullmatch(text):
            raise ValueError("full, labeled, uniN or popN with a number N such as uni100")
        return text

    @field_validator("seed")
    @classmethod
    def _seed_of_a_draw(cls, seed: int, info: Any) -> int:
        candidates = info.data.get("candidates", "")
        if seed and candidates in ("full", "labeled"):
            raise without_effect(
                f"with candidates '{candidates}', where nothing is sampled", "remove it, or set uniN or popN"
            )
        return seed

    @field_validator("ties")
    @classmethod
    def _ties_of_ranks(cls, ties: Ties, info: Any) -> Ties:
        if ties != "served" and info.data.get("candidates") == "labeled":
            raise without_effect("with candidates 'labeled', where nothing is ranked")
        return ties

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        MetricName.parse_all(metrics)
        return metrics

    @property
    def labeled(self) -> bool:
        """Whether scores are measured against labels, and nothing is ranked."""
        return self.candidates == "labeled"

    @property
    def draw(self) -> tuple[Literal["uni", "pop"], int] | None:
        """How candidates are sampled (uniformly or by training events) and how many; None without sampling."""
        drawn = _DRAWN.fullmatch(self.candidates)
        return None if drawn is None else ("uni" if drawn[1] == "uni" else "pop", int(drawn[2]))

    @property
    def headline(self) -> tuple[str, ...]:
        """The metrics by which models are compared."""
        return self.metrics[:2]
