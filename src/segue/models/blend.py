"""A blend: the weighted sum of what several models give to each item."""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from segue.data.array_schema import Between
from segue.data.arrays import read_only
from segue.data.cases import Cases
from segue.data.content_vectors import common_catalogue
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING
from segue.evaluation.ranking import excluded_mask, list_candidates, top_k
from segue.evaluation.scorer import no_model, require_scorer
from segue.metrics import MetricName
from segue.models.base import Model
from segue.models.blending.config import BlendConfig, chosen_weights
from segue.models.blending.shares import looked_up, shares_of, shares_of_ranks, sum_of, union_of
from segue.models.blending.weights import BlendedCases, choose_weights, choosing_cases
from segue.models.composite import CompositeModel, Place
from segue.models.recommendation import Listed
from segue.models.why.answer import Part
from segue.progress import Progress
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_LIST_LENGTHS = 2
"""Items that each part lists at least, as a multiple of the items that are wanted."""
_NO_CUTOFF = 100
"""Best items that are wanted by a metric without a cut-off."""
_FLOOR, _FLOOR_OF_LOGITS = 1e-3, 1e-6
"""Share that is added to that of each model before the logarithm, so that no model alone can rule out an item. Logits
give every item a share; models that count give most items none."""
_ROUNDING = 1e-5
"""Relative rounding error of a sum of shares."""
_ROWS = 256
"""Validation cases that are scored at once."""


class Blend(CompositeModel):
    """Adds up what several models give to each item, with weights that validation chooses.

    With best items C_m of model m and its scores s_m, an item j gets

        score(j) = sum over m of w_m log(1 + p_m(j) / f_m)              (log-linear)
                   sum over m of w_m p_m(j)                             (linear)
        p_m(j)   = exp s_m(j) / sum over C_m of exp s_m                 for networks,
                   s_m(j) / sum over C_m of s_m                         for all others,
        f_m      = 1e-6 for networks, 1e-3 for all others (bpr counts as a network),

    so that models whose scores have different scales can be added. The logarithm keeps a network that is too sure of
    its first items from overruling the others. The weights w lie on a simplex. Those with the highest metric on the
    validation cases are found by moving weight between two models in ever smaller steps. With ``combine="rrf"`` an item
    in C_m gets 1 / (60 + its rank) instead, with equal weights.

    A list costs the lists of its models, and the scores of their union: an item outside of all lists has at most the
    sum of what the last item of each list gets. Where the k-th item does not exceed that, all items are scored.
    """

    name = "blend"
    paper = "Genest and Zidek 1986, Statistical Science 1 (pools of opinions); ranks: Cormack et al. 2009, SIGIR"
    Config = BlendConfig
    config: BlendConfig
    array_names = ("weights",)

    weights: Annotated[Float64[np.ndarray, "P"], Between(0, "1")]
    """Weight of each model."""

    @classmethod
    def of(
        cls,
        models: Sequence[Model],
        *,
        valid: Cases | None = None,
        weights: Mapping[str, float] | None = None,
        progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Blend fitted models, which are not copied.

        Args:
            models: the models, of different names.
            valid: validation cases, which choose the weights.
            weights: weight of each model, by its name, instead.
            progress: receives progress updates.
            **parameters: further parameters of the blend.

        Raises:
            ParameterError: one is not a fitted model, their catalogues differ, or a parameter breaks its rule.
        """
        for model in models:
            if not isinstance(model, Model):
                raise no_model(model, "models")
            require_scorer(model, "models")
        own = {model.name: model.config.model_dump(mode="json") for model in models}
        given = None if weights is None else dict(weights)
        blend = cls(models=list(own), parameters=own, weights=given, **parameters)
        blend.take(models, valid, progress or Progress())
        return blend

    def take(self, models: Sequence[Model], valid: Cases | None, progress: Progress, *, gains: bool = True) -> None:
        """Become the blend of fitted models of the configured names and parameters.

        Args:
            models: the models.
            valid: validation cases, which choose the weights unless they are given.
            progress: receives progress updates.
            gains: whether to find out what each model adds, which takes most of the time.

        Raises:
            ParameterError: the catalogues of the models differ.
        """
        self.vocabulary = models[0].vocabulary
        for model in models[1:]:
            self.vocabulary.require_same(model.vocabulary, "models")
            self.vocabulary = common_catalogue(self.vocabulary, model.vocabulary, "models")
        self.parts = {model.name: model for model in models}
        self._weigh(valid, progress, gains=gains)

    def places(self) -> list[Place]:
        """Return where the parameters of each model are; see ``CompositeModel.places``."""
        parameters = self.config.parameters
        return [
            Place(name, name, "models", parameters.get(name, {}), f"parameters.{name}") for name in self.config.models
        ]

    def with_parameters(self, parameters: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the parameters with those of all models; see ``CompositeModel.with_parameters``."""
        return {"parameters": dict(parameters)}

    @classmethod
    def chosen_parameters(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the weights, unless others are given; see ``Model.chosen_parameters``."""
        return chosen_weights(config, arrays["weights"].tolist(), changes)

    def array_sizes(self) -> dict[str, int]:
        """Return the sizes, with P, the number of models; see ``ModelBase.array_sizes``."""
        return {**super().array_sizes(), "P": len(self.parts)}

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        self.fit_parts(train, valid, seed, runtime)
        self._weigh(valid, runtime.progress)
        self.notes += self.notes_of_parts()

    def _weigh(self, valid: Cases | None, progress: Progress, *, gains: bool = True) -> None:
        """Set the weights, and say what each model adds."""
        names, given = list(self.parts), self.config.weights
        if given is not None or self.config.combine == "rrf":
            plain = np.array([1.0 if given is None else given[name] for name in names])
            plain /= plain.max()  # The sum of large weights might overflow.
            self.weights = read_only(plain / plain.sum())
            return
        self.weights = read_only(np.full(len(names), 1 / len(names)))
        cases = None if valid is None else choosing_cases(valid)
        if cases is None or not len(cases):
            note = "all models have the same weight, because there are no validation cases"
            logger.warning("%s: %s; set %s.weights, or fit like a blend of a run", self.name, note, self.name)
            self.notes = (note,)
            return
        metrics = self.config.metrics
        chosen = choose_weights(self._blended(cases, metrics, progress), metrics, gains=gains)
        self.weights = read_only(chosen.weights)
        self.notes = tuple(chosen.described(names, self.config.metric, len(cases)))

    def _blended(self, cases: Cases, metrics: Sequence[MetricName], progress: Progress) -> BlendedCases:
        """Return what each model gives to the candidates and the targets of some cases."""
        longest = max(_NO_CUTOFF if metric.k == np.inf else int(metric.k) for metric in metrics)
        depth, length = self._depth(), self._length(longest)
        chunks = []
        with progress.task("blend: validation cases", len(cases)) as task:
            for start in range(0, len(cases), _ROWS):
                some = cases[start : start + _ROWS]
                lists = [part._listed(some.prefixes, length) for part in self.parts.values()]
                candidates, targets = union_of([one.items for one in lists]), some.padded_targets().astype(np.int64)
                both = np.concatenate([candidates, targets], axis=1)
                given = np.stack(
                    [
                        self._given_by(part, one.score(both).cpu(), torch.from_numpy(one.values[:, :depth])).numpy()
                        for part, one in zip(self.parts.values(), lists, strict=True)
                    ]
                )
                width = candidates.shape[1]
                own = np.ascontiguousarray(given[:, :, width:])
                chunks.append(BlendedCases.of(some, self.vocabulary.order, candidates, given[:, :, :width], own))
                task.advance(len(some))
        return BlendedCases.joined(chunks)

    def _given_by(
        self, part: Model, scores: Float32[Tensor, "B C"], best: Float32[Tensor, "B c"]
    ) -> Float32[Tensor, "B C"]:
        """Return what a model gives to items with some scores, from the scores of its best items."""
        shares = shares_of(part, scores, best)
        if self.config.combine == "linear":
            return shares
        return shares.div_(_FLOOR_OF_LOGITS if part.scores_are_logits else _FLOOR).log1p_()

    def _depth(self) -> int:
        return min(self.config.candidates, len(self.vocabulary))

    def _length(self, k: int) -> int:
        """Return how many items each model lists, of which the k best of the blend are taken."""
        return min(max(self.config.candidates, _LIST_LENGTHS * k), len(self.vocabulary))

    def _used(self) -> list[tuple[float, Model]]:
        """Return the models that have a weight."""
        return [(float(weight), part) for weight, part in zip(self.weights, self.parts.values(), strict=True) if weight]

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        total = torch.zeros(len(prefixes), len(self.vocabulary) + 1, device=self.device)
        for weight, part in self._used():
            if self.config.combine == "rrf":
                items, values = part._top_k(prefixes, self._depth(), None, None)
                given = torch.from_numpy(shares_of_ranks(part, items, values))
                share = torch.zeros(total.shape).scatter_(1, torch.from_numpy(items), given)
            else:
                scores = part._score(prefixes)
                share = self._given_by(part, scores, scores[:, PADDING + 1 :].topk(self._depth(), dim=1).values)
            total += share.to(total.device).mul_(weight)
        return total

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        return torch.from_numpy(sum_of(self._given(items, self._lists(prefixes, self._depth()))))

    def _lists(self, prefixes: Prefixes, length: int) -> list[Listed]:
        """Return the best items of each model with a weight."""
        return [part._listed(prefixes, length) for _, part in self._used()]

    def _given(self, items: Int64[np.ndarray, "B C"], lists: Sequence[Listed]) -> list[Float32[np.ndarray, "B C"]]:
        """Return the weighted share that each model with a weight gives to some items, from its best items."""
        found, depth = [], self._depth()
        for (weight, part), one in zip(self._used(), lists, strict=True):
            listed, best = one.items[:, :depth], one.values[:, :depth]
            if self.config.combine == "rrf":
                share = looked_up(listed, shares_of_ranks(part, listed, best), items)
            else:
                share = self._given_by(part, one.score(items).cpu(), torch.from_numpy(best)).numpy()
            found.append(np.float32(weight) * share)
        return found

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        length = self._length(k)
        lists = self._lists(prefixes, length)
        candidates = union_of([one.items for one in lists])
        scores = sum_of(self._given(candidates, lists))
        scores[excluded_mask(candidates, allowed, exclude)] = -np.inf
        items, values = list_candidates(candidates, scores, k, order=self.vocabulary.order)
        if length < len(self.vocabulary):
            unsure = np.flatnonzero(values[:, -1] <= self._most_outside(lists) * (1 + _ROUNDING))
            if len(unsure):
                some, out = prefixes[unsure], None if exclude is None else exclude[unsure]
                whole = top_k(self._score(some), k, order=self.vocabulary.order, allowed=allowed, exclude=out)
                items[unsure], values[unsure] = whole
        return items, values

    def _most_outside(self, lists: Sequence[Listed]) -> Float32[np.ndarray, "B"]:
        """Return the most that an item outside of all lists can get."""
        if self.config.combine == "rrf":
            return np.zeros(len(lists[0].items), dtype=np.float32)
        depth = self._depth()
        last = [
            weight * self._given_by(part, torch.from_numpy(one.values[:, -1:]), torch.from_numpy(one.values[:, :depth]))
            for (weight, part), one in zip(self._used(), lists, strict=True)
        ]
        return sum_of([one.numpy()[:, 0] for one in last])

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> Sequence[list[Part] | None]:
        given = [one[0].tolist() for one in self._given(items[None], self._lists(prefixes, self._depth()))]
        sources = [f"{part.name} (weight {weight:.2f})" for weight, part in self._used()]
        return [
            [Part("model", source, values[column]) for source, values in zip(sources, given, strict=True)]
            for column in range(len(items))
        ]

    @property
    def scores_are_logits(self) -> bool:
        """Whether logarithms are added up; see ``Model.scores_are_logits``."""
        return self.config.combine == "log-linear"

    @property
    def device(self) -> torch.device:
        """Where the first network is; the CPU if there is none."""
        places = [part.device for part in self.parts.values()]
        return next((place for place in places if place.type != "cpu"), torch.device("cpu"))
