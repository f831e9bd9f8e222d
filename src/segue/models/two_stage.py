"""Two stages: one model finds candidates, another puts them in order."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32
from pydantic import Field
from torch import Tensor

from segue.data.sessions import Cases, Prefixes, Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.evaluation.measure import measure
from segue.models.base import Model, ModelConfig
from segue.models.sequence import SequenceModel
from segue.models.single import single_model
from segue.nn.ranking import top_k
from segue.parameters import build
from segue.spaces import Around, Range, Space
from segue.training.answers import best_items
from segue.training.listwise import ListLesson, ListTraining
from segue.training.loop import Trainer
from segue.training.runtime import Runtime

_STAGES = ("retriever", "ranker")


class TwoStageConfig(ModelConfig):
    """Parameters of a pair of models."""

    retriever: str = "als"
    """Name of the model that finds the candidates."""
    ranker: str = "sasrec"
    """Name of the model that puts them in order."""
    candidates: int = Field(200, ge=1)
    """Items that the retriever hands to the ranker, beside those that the session already holds."""
    retriever_parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the retriever, as for the model alone."""
    ranker_parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the ranker, as for the model alone."""
    listwise: ListTraining = ListTraining()
    """How the ranker goes on to learn from the lists of the retriever."""

    search: ClassVar[Mapping[str, Space | Around]] = {
        "candidates": Range(50, 1000, log=True),
    }


class TwoStage(Model):
    """Retrieves candidates with one model and re-ranks them with another.

    Candidates have the scores of the ranker; all other items come below them, in the order of the retriever as far as
    float32 can tell its scores apart there. The items of the session itself are candidates in any case and take no
    place from others, so that their number is the same where a protocol leaves seen items out. Both models are trained
    on the same sessions, each by its own loss; after that the ranker may go on with a listwise loss over what the
    retriever finds before each event. The retriever has seen these events, so that its lists are better there than
    they will be later.
    """

    name = "two-stage"
    paper = "Covington et al. 2016, RecSys; listwise losses: Cao et al. 2007, ICML; Burges 2010, MSR-TR-2010-82"
    Config = TwoStageConfig
    config: TwoStageConfig

    retriever: Model
    """Finds the candidates."""
    ranker: Model
    """Puts them in order."""

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: Any) -> None:
        super().__init__(config, preset=preset, **parameters)
        mistakes = []
        for stage in _STAGES:
            try:
                setattr(self, stage, self._build(stage))
            except InputError as error:
                mistakes.append(str(error))
        mistakes.extend(() if mistakes else self._misfits())
        if mistakes:
            raise ParameterError("\n".join(mistakes))
        whole = {f"{stage}_parameters": model.config.model_dump(mode="json") for stage, model in self._stages()}
        if any(getattr(self.config, name) != values for name, values in whole.items()):
            # All parameters are kept, so that an artifact does not depend on the defaults of a later version.
            self.config = self.config.model_copy(update=whole)

    @classmethod
    def of(cls, retriever: Model, ranker: Model, *, candidates: int = 200) -> Self:
        """Make one model of two fitted ones, which it holds and does not copy.

        Args:
            retriever: finds the candidates.
            ranker: puts them in order.
            candidates: items that the retriever hands to the ranker.

        Raises:
            ParameterError: they know different items, or a parameter breaks its rule.
        """
        for model in (retriever, ranker):
            model._require_fitted()
        if not retriever.vocabulary.ids.equals(ranker.vocabulary.ids):
            raise ParameterError(
                f"ranker: must be fitted on the items of the retriever, got {len(ranker.vocabulary)} items of "
                f"{ranker.name} and {len(retriever.vocabulary)} of {retriever.name}; fit both on one log"
            )
        pair = cls(
            candidates=candidates,
            retriever=retriever.name,
            ranker=ranker.name,
            retriever_parameters=retriever.config.model_dump(mode="json"),
            ranker_parameters=ranker.config.model_dump(mode="json"),
        )
        pair.retriever, pair.ranker, pair.vocabulary = retriever, ranker, ranker.vocabulary
        return pair

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
            raise ParameterError(self._placed(error, stage, kind.name)) from None

    def _placed(self, error: InputError, stage: str, name: str) -> str:
        """Return what one of the models refuses, with the place that its parameters have here."""
        return re.sub(rf"^{re.escape(name)}\.", f"{self.name}.{stage}_parameters.", str(error), flags=re.MULTILINE)

    def _misfits(self) -> Iterator[str]:
        loss = self.config.listwise.loss
        if loss is not None and not isinstance(self.ranker, SequenceModel):
            yield (
                f"{self.name}.listwise.loss: must be none with the ranker '{self.ranker.name}', got '{loss}': only "
                "sequence encoders, such as sasrec or narm, learn an order by gradient from any list"
            )

    def _stages(self) -> list[tuple[str, Model]]:
        return [(stage, getattr(self, stage)) for stage in _STAGES]

    @property
    def reads(self) -> Sequence[str]:
        """Columns of the log that either model reads."""
        return tuple(dict.fromkeys((*self.retriever.reads, *self.ranker.reads)))

    def check(self, train: Sessions) -> None:
        """Refuse what either model refuses; see ``Model.check``."""
        mistakes = []
        for stage, model in self._stages():
            try:
                model.check(train)
            except (ParameterError, EmptyDataError) as error:
                mistakes.append(self._placed(error, stage, model.name))
        if mistakes:
            raise ParameterError("\n".join(mistakes))

    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Train the retriever, then the ranker; see ``Model.fit``."""
        self.check(train)
        runtime = runtime or Runtime()
        with self._learning():
            for stage, model in self._stages():
                runtime.progress.say(f"the {stage}: {model.name}")
                model.fit(train, valid=valid, seed=seed, runtime=runtime.part(stage))
            self.vocabulary = train.vocabulary
            if self.config.listwise.loss is not None:
                self._learn_lists(self.config.listwise.loss, train, valid, seed, runtime.part("lists"))
        self.notes = tuple(f"{stage} {model.name}: {note}" for stage, model in self._stages() for note in model.notes)
        return self

    def _learn_lists(self, loss: str, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the ranker on retrieved lists; keep it as it was where validation says that it was better."""
        ranker, training = self.ranker, self.config.listwise
        assert isinstance(ranker, SequenceModel)
        runtime.progress.say("the ranker, on the retriever's lists")
        lesson, own = self._lesson(loss, train, runtime), ranker.config.training
        changes = {"epochs": training.epochs, "learning_rate": training.learning_rate or own.learning_rate}

        def validate() -> float:
            assert valid is not None
            return measure(self, valid, metrics=[own.metric]).metrics[own.metric]

        Trainer(
            ranker.objective_of(lesson, train, seed, runtime),
            ranker.optimizer(),
            own.model_copy(update=changes),
            validate=None if valid is None else validate,
            seed=seed,
            identity={
                **ranker.identity(train, valid, seed, runtime),
                "parameters": self.config.model_dump_json(),
                "lists": lesson.fingerprint(),
            },
            runtime=runtime,
            further=True,
        ).run()
        ranker.network.eval()

    def _lesson(self, loss: str, train: Sessions, runtime: Runtime) -> ListLesson:
        """Ask the retriever for its best items before each event; all of them would be candidates there."""
        events, starts = train.targets()
        k = min(self.config.listwise.length, self.config.candidates, len(train.vocabulary))
        prefixes, progress = train.prefixes(starts, events), runtime.progress
        lists, _ = best_items(self.retriever, prefixes, k, task="asking the retriever", progress=progress)
        rows = np.full(len(train.items), -1)
        rows[events] = np.arange(len(events))
        return ListLesson(rows, lists, train.items, loss)

    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Retrieve, then rank; see ``Model.score``."""
        scores = self.ranker.score(prefixes)
        if self.config.candidates >= len(self.vocabulary):
            return scores
        retrieved = self.retriever.score(prefixes).to(scores.device)
        chosen = self._candidates(prefixes, retrieved)
        least = scores.masked_fill(~chosen, torch.inf).amin(1, keepdim=True)
        # The others span as much as the smallest score of a candidate is away from 0, or 1: less would be lost to
        # rounding, as where a retriever's scores are shares of a probability.
        other = ~chosen & retrieved.isfinite()
        other[:, PADDING] = False
        highest = retrieved.masked_fill(~other, -torch.inf).amax(1, keepdim=True).nan_to_num(neginf=0.0)
        lowest = retrieved.masked_fill(~other, torch.inf).amin(1, keepdim=True).nan_to_num(posinf=0.0)
        depth = (highest - retrieved) / (highest - lowest).clamp(min=torch.finfo(scores.dtype).tiny)
        depth = depth.masked_fill(~other, torch.inf) * least.abs().clamp(min=1.0)
        below = torch.nextafter(least, torch.full_like(least, -torch.inf))
        return torch.where(chosen, scores, torch.minimum(least - depth, below))

    def item_vectors(self) -> Float32[np.ndarray, "M D"]:
        """Refuse, for either model has vectors of its own; see ``Model.item_vectors``."""
        raise ParameterError(
            f"{self.name}: is two models, each with vectors of its own; name one of them, retriever "
            f"({self.retriever.name}) or ranker ({self.ranker.name})"
        )

    @property
    def scores_are_logits(self) -> bool:
        """Say what the ranker says; see ``Model.scores_are_logits``."""
        return self.ranker.scores_are_logits

    def _candidates(self, prefixes: Prefixes, retrieved: Float32[Tensor, "B N+1"]) -> Bool[Tensor, "B N+1"]:
        """Return which items the ranker puts in order: the retriever's best ones, and those of the session."""
        best, _ = top_k(retrieved, self.config.candidates, prior=self.vocabulary.support, exclude=prefixes)
        rows, events = prefixes.events()
        chosen = np.zeros(retrieved.shape, dtype=bool)
        chosen[np.arange(len(best))[:, None], best] = True
        chosen[rows, prefixes.items[events]] = True
        chosen[:, PADDING] = False
        return torch.from_numpy(chosen).to(retrieved.device)

    def to(self, device: torch.device) -> Self:
        """Move both models; see ``Model.to``."""
        for _, model in self._stages():
            model.to(device)
        return self

    def rows_per_item(self) -> Set[str]:
        """Return what grows with the catalogue; nothing unless both models can grow. See ``Model.rows_per_item``."""
        found = {stage: model.rows_per_item() for stage, model in self._stages()}
        if not all(found.values()):
            return frozenset()
        return {f"{stage}/{name}" for stage, names in found.items() for name in names}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of both models."""
        return {f"{stage}/{name}": array for stage, model in self._stages() for name, array in model.arrays().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays of both models back."""
        self.vocabulary = vocabulary
        for stage, model in self._stages():
            own = {name.removeprefix(f"{stage}/"): one for name, one in arrays.items() if name.startswith(f"{stage}/")}
            model.restore(own, vocabulary)
        return self
