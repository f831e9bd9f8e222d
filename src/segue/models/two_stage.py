"""Two stages: one model retrieves candidates, another ranks them."""

import logging
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.cases import Cases
from segue.data.content_vectors import common_catalogue
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.evaluation.measure import measure
from segue.evaluation.ranking import excluded_mask, list_candidates
from segue.evaluation.scorer import no_model, require_scorer
from segue.models.base import Model
from segue.models.persistence import ModelConfig
from segue.models.registry import single_model
from segue.models.reranking import candidate_parts, fill_lists, listwise_loss, own_items, put_below
from segue.models.sequence import SequenceModel
from segue.models.why.answer import AttentionWeights, Part
from segue.protocols.ranking import Ranking
from segue.spaces import Range
from segue.training.config import ListTraining
from segue.training.loop import Trainer
from segue.training.runtime import Runtime
from segue.validation import build

logger = logging.getLogger(__name__)

_STAGES = ("retriever", "ranker")


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


class TwoStage(Model):
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

    retriever: Model
    ranker: Model

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: Any) -> None:
        super().__init__(config, preset=preset, **parameters)
        problems = []
        for stage in _STAGES:
            try:
                setattr(self, stage, self._build(stage))
            except InputError as error:
                problems += error.lines
        loss = self.config.listwise.loss
        if not problems and loss is not None and not isinstance(self.ranker, SequenceModel):
            problems.append(
                f"{self.name}.listwise.loss: must be none with the ranker '{self.ranker.name}', got '{loss}': only "
                "sequence encoders, such as sasrec or narm, learn an order by gradient from any list"
            )
        if problems:
            raise ParameterError(*problems)
        whole = {f"{stage}_parameters": model.config.model_dump(mode="json") for stage, model in self._stages()}
        if any(getattr(self.config, name) != values for name, values in whole.items()):
            # All parameters are kept, so that an artifact does not depend on the defaults of a later version.
            self.config = self.config.model_copy(update=whole)

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
        vocabulary = common_catalogue(ranker.vocabulary, retriever.vocabulary)
        own: dict[str, Any] = {
            f"{stage}_parameters": model.config.model_dump(mode="json") for stage, model in stages.items()
        }
        pair = cls(candidates=candidates, retriever=retriever.name, ranker=ranker.name, **own)
        pair.retriever, pair.ranker, pair.vocabulary = retriever, ranker, vocabulary
        return pair

    @property
    def uses_item_vectors(self) -> bool:
        """Whether either model does; see ``ModelBase.uses_item_vectors``."""
        return any(model.uses_item_vectors for _, model in self._stages())

    def _build(self, stage: str) -> Model:
        place = f"{self.name}.{stage}"
        try:
            kind = single_model(getattr(self.config, stage))
        except InputError as error:
            raise ParameterError(f"{place}: {error}") from None
        config = build(kind.Config, f"{place}_parameters", parameters=getattr(self.config, f"{stage}_parameters"))
        try:
            return kind(config)
        except ParameterError as error:
            raise ParameterError(*self._placed(error, stage, kind.name)) from None

    def _placed(self, error: InputError, stage: str, name: str) -> list[str]:
        return [re.sub(rf"^{re.escape(name)}\.", f"{self.name}.{stage}_parameters.", line) for line in error.lines]

    def _stages(self) -> list[tuple[str, Model]]:
        return [(stage, getattr(self, stage)) for stage in _STAGES]

    @property
    def context_columns(self) -> Sequence[str]:
        """What either model reads of each event."""
        return tuple(dict.fromkeys((*self.retriever.context_columns, *self.ranker.context_columns)))

    @property
    def upcoming_columns(self) -> Sequence[str]:
        """What either model reads of the event to predict."""
        return tuple(dict.fromkeys((*self.retriever.upcoming_columns, *self.ranker.upcoming_columns)))

    def depends_on_threads(self, runtime: Runtime) -> bool:
        """Return whether either model does; see ``Model.depends_on_threads``."""
        return any(model.depends_on_threads(runtime) for _, model in self._stages())

    def check(self, train: Sessions) -> None:
        """Check the training sessions for both models; see ``Model.check``."""
        problems = []
        for stage, model in self._stages():
            try:
                model.check(train)
            except (ParameterError, EmptyDataError) as error:
                problems += self._placed(error, stage, model.name)
        if problems:
            raise ParameterError(*problems)

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        for stage, model in self._stages():
            logger.info("the %s: %s", stage, model.name)
            setattr(self, stage, model.fit(train, valid=valid, seed=seed, runtime=runtime.part(stage)))
        self.vocabulary = train.vocabulary
        if self.config.listwise.loss is not None:
            self._learn_lists(self.config.listwise.loss, train, valid, seed, runtime.part("lists"))
        self.notes = tuple(f"{stage} {model.name}: {note}" for stage, model in self._stages() for note in model.notes)

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

    def item_vectors(self) -> Float32[np.ndarray, "M D"]:
        """Raise a ``ParameterError``, since each of the two models has vectors of its own."""
        names = f"retriever ({self.retriever.name}) or ranker ({self.ranker.name})"
        raise ParameterError(f"{self.name}: is two models, each with vectors of its own; name one of them, {names}")

    @property
    def scores_are_logits(self) -> bool:
        """Those of the ranker; see ``Model.scores_are_logits``."""
        return self.ranker.scores_are_logits

    def _candidates(self, prefixes: Prefixes) -> Int64[np.ndarray, "B C"]:
        """Return the retriever's best items and those of the session, each once, without items unknown to it."""
        best, _ = self.retriever._top_k(prefixes, self.config.candidates, None, prefixes)
        candidates = np.hstack([best, own_items(prefixes)])
        return np.where(self.vocabulary.known[candidates], candidates, PADDING)

    def to(self, device: torch.device) -> Self:
        """Return the pair on a device; see ``Model.to``."""
        retriever, ranker = (model.to(device) for _, model in self._stages())
        if retriever is self.retriever and ranker is self.ranker:
            return self
        pair = type(self).of(retriever, ranker, candidates=self.config.candidates)
        pair.config, pair.about, pair.notes, pair.diagnostics = self.config, self.about, self.notes, self.diagnostics
        return pair

    @property
    def device(self) -> torch.device:
        """Where the ranker is."""
        return self.ranker.device

    def per_item_arrays(self) -> Set[str]:
        """Return the arrays with one row per item; none unless both models have some. See ``Model.per_item_arrays``."""
        found = {stage: model.per_item_arrays() for stage, model in self._stages()}
        return {f"{stage}/{name}" for stage, names in found.items() for name in names if all(found.values())}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of both models, named by their stage."""
        return {f"{stage}/{name}": array for stage, model in self._stages() for name, array in model.arrays().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays of both models back; see ``ModelBase.restore``."""
        own: dict[str, dict[str, np.ndarray]] = {stage: {} for stage in _STAGES}
        for name, array in arrays.items():
            stage, _, rest = name.partition("/")
            own.setdefault(stage, {})[rest] = array
        if foreign := own.keys() - _STAGES:
            raise ParameterError(f"{self.name}.{min(foreign)}: is unknown; it must begin with retriever or ranker")
        for stage, model in self._stages():
            model.restore(own[stage], vocabulary)
        self.vocabulary = vocabulary
        return self
