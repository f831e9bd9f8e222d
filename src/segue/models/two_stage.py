"""Two stages: one model retrieves candidates, another ranks them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.cases import Cases
from segue.data.content_vectors import common_catalogue
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.evaluation.ranking import excluded_mask, list_candidates
from segue.evaluation.scorer import no_model, require_scorer
from segue.models.base import Model
from segue.models.composite import CompositeModel, Place
from segue.models.persistence import ModelConfig
from segue.models.reranking import candidate_parts, fill_lists, listwise_loss, own_items, put_below
from segue.models.sequence import SequenceModel
from segue.models.why.answer import AttentionWeights, Part
from segue.protocols.ranking import Ranking
from segue.spaces import Range
from segue.training.config import ListTraining
from segue.training.loop import Trainer
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_STAGES = ("retriever", "ranker")
_OWNERS = ("retriever_parameters", "ranker_parameters")


class TwoStageConfig(ModelConfig):
    """Parameters of a pair of models."""

    retriever: str = "als"
    """Name of the model that retrieves the candidates."""
    ranker: str = "sasrec"
    """Name of the model that ranks the candidates."""
    candidates: int = Field(200, ge=1, le=1_000_000_000)
    """Number of items that the retriever finds, in addition to the items of the session."""
    retriever_parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the retriever; the same names as for a single model."""
    ranker_parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the ranker; the same names as for a single model."""
    listwise: ListTraining = ListTraining()
    """Further training of the ranker on lists of the retriever."""

    search = {"candidates": Range(50, 1000, log=True)}


class TwoStage(CompositeModel):
    """Retrieves candidates with one model and re-ranks them with another.

    Candidates have the scores of the ranker; all other items rank below them, in the order of the retriever. The items
    of the session are always additional candidates, so the number of candidates does not depend on whether a protocol
    excludes seen items. Filters (``allowed``, ``exclude``) act on the list, not on the retrieval. Both models are
    trained on the same sessions, each with its own loss; the ranker may then be trained further with a listwise loss on
    the retriever's lists before each event. These lists are better than lists for new sessions, because the retriever
    was trained on the same events.
    """

    name = "two-stage"
    paper = "Covington et al. 2016, RecSys; listwise losses: Cao et al. 2007, ICML; Burges 2010, MSR-TR-2010-82"
    Config = TwoStageConfig
    config: TwoStageConfig

    @property
    def retriever(self) -> Model:
        """The model that retrieves the candidates."""
        return self.parts["retriever"]

    @property
    def ranker(self) -> Model:
        """The model that ranks the candidates."""
        return self.parts["ranker"]

    def places(self) -> list[Place]:
        """Return where the parameters of both models are; see ``CompositeModel.places``."""
        return [
            Place(stage, getattr(self.config, stage), stage, getattr(self.config, owner), owner)
            for stage, owner in zip(_STAGES, _OWNERS, strict=True)
        ]

    def with_parameters(self, parameters: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the parameters with those of both models; see ``CompositeModel.with_parameters``."""
        return {owner: parameters[stage] for stage, owner in zip(_STAGES, _OWNERS, strict=True)}

    def mismatches(self) -> list[str]:
        """Refuse a listwise loss for a ranker that cannot learn from lists."""
        loss = self.config.listwise.loss
        if loss is None or isinstance(self.ranker, SequenceModel):
            return []
        return [
            f"{self.name}.listwise.loss: must be none with the ranker '{self.ranker.name}', got '{loss}': only "
            "sequence encoders, such as sasrec or narm, learn an order by gradient from any list"
        ]

    @classmethod
    def of(cls, retriever: Model, ranker: Model, *, candidates: int = 200) -> Self:
        """Combine two fitted models, which are not copied.

        Args:
            retriever: retrieves the candidates.
            ranker: ranks the candidates.
            candidates: items that the retriever finds for the ranker.

        Raises:
            ParameterError: one is not a fitted model, their catalogues differ, or a parameter breaks its rule.
        """
        for stage, model in (stages := {"retriever": retriever, "ranker": ranker}).items():
            if not isinstance(model, Model):
                raise no_model(model, stage)
            require_scorer(model, stage)
        ranker.vocabulary.require_same(retriever.vocabulary, "retriever")
        vocabulary = common_catalogue(ranker.vocabulary, retriever.vocabulary, "retriever")
        own: dict[str, Any] = {
            owner: stages[stage].config.model_dump(mode="json") for stage, owner in zip(_STAGES, _OWNERS, strict=True)
        }
        pair = cls(candidates=candidates, retriever=retriever.name, ranker=ranker.name, **own)
        pair.parts, pair.vocabulary = stages, vocabulary
        return pair

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        self.fit_parts(train, valid, seed, runtime)
        if self.config.listwise.loss is not None:
            self._learn_lists(self.config.listwise.loss, train, valid, seed, runtime.part("lists"))
        self.notes = self.notes_of_parts()

    def _learn_lists(self, loss: str, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        logger.info("the ranker, on the retriever's lists")
        ranker, training = self.ranker, self.config.listwise
        assert isinstance(ranker, SequenceModel)
        ranker._output = None
        k = min(training.length, self.config.candidates, len(train.vocabulary))
        auxiliary, own = listwise_loss(self.retriever, train, loss, k, runtime.progress), ranker.config.training
        changes = {"epochs": training.epochs, "learning_rate": training.learning_rate or own.learning_rate}
        own_identity = {"parameters": self.config.model_dump_json(), "lists": auxiliary.fingerprint()}

        def validate() -> float:
            assert valid is not None
            return measure(self, valid, Ranking(metrics=(own.metric,))).metrics[own.metric]

        Trainer(
            ranker.objective_of(auxiliary, train, seed, runtime),
            ranker.optimizer(),
            own.model_copy(update=changes),
            validate=None if valid is None else validate,
            seed=seed,
            identity=ranker.identity(train, valid, seed, runtime) | own_identity,
            runtime=runtime,
            warm_start=True,
        ).run()
        ranker._cache_table()

    def check_updatable(self) -> None:
        """Check that both models can be updated; see ``ModelBase.check_updatable``."""
        if self.config.listwise.loss is not None:
            raise ParameterError(f"{self.name}: cannot be updated after a listwise loss; fit it again on all events")
        super().check_updatable()

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        scores = self.ranker._score(prefixes)
        if self.config.candidates >= len(self.vocabulary):
            return scores
        candidates = self._candidates(prefixes)
        chosen = np.zeros(scores.shape, dtype=bool)
        chosen[np.arange(len(candidates))[:, None], candidates] = True
        chosen[:, PADDING] = False
        lists, _ = self.retriever._top_k(prefixes, len(self.vocabulary), None, None)
        return put_below(scores, chosen, lists)

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        ranks_all = self.config.candidates >= len(self.vocabulary)
        return self.ranker._score_items(prefixes, items) if ranks_all else super()._score_items(prefixes, items)

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> Sequence[list[Part] | None]:
        candidates = items if self.config.candidates >= len(self.vocabulary) else self._candidates(prefixes)
        return candidate_parts(self.ranker, candidates, prefixes, items, scores, most)

    def _attention(self, prefixes: Prefixes) -> list[AttentionWeights]:
        return self.ranker._attention(prefixes)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        if self.config.candidates >= len(self.vocabulary):
            return self.ranker._top_k(prefixes, k, allowed, exclude)
        candidates = self._candidates(prefixes)
        scores = self.ranker._score_items(prefixes, candidates).cpu().numpy()
        finite = np.isfinite(scores) & (candidates != PADDING)
        below = np.floor(np.where(finite, scores, 0.0).min(axis=1, initial=0.0))
        scores[excluded_mask(candidates, allowed, exclude)] = -np.inf
        items, values = list_candidates(candidates, scores, k, order=self.vocabulary.order)
        if (items == PADDING).any():
            fill_lists(self.retriever, prefixes, candidates, below, allowed, exclude, items, values)
        return items, values

    @property
    def scores_are_logits(self) -> bool:
        """Those of the ranker; see ``Model.scores_are_logits``."""
        return self.ranker.scores_are_logits

    def _candidates(self, prefixes: Prefixes) -> Int64[np.ndarray, "B C"]:
        """Return the retriever's best items and those of the session, each once, without items unknown to it."""
        best, _ = self.retriever._top_k(prefixes, self.config.candidates, None, prefixes)
        candidates = np.hstack([best, own_items(prefixes)])
        return np.where(self.vocabulary.known[candidates], candidates, PADDING)

    @property
    def device(self) -> torch.device:
        """Where the ranker is."""
        return self.ranker.device
