"""Two stages: one model finds candidates, another puts them in order."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import Field
from torch import Tensor

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.evaluation.measure import measure
from segue.evaluation.scorer import no_model, require_scorer
from segue.models.base import Model, ModelConfig
from segue.models.sequence import SequenceModel
from segue.models.single import single_model
from segue.parameters import build
from segue.spaces import Around, Range, Space
from segue.training.config import ListTraining
from segue.training.loop import Trainer
from segue.training.objectives import ListwiseLoss
from segue.training.runtime import Runtime
from segue.training.soft_labels import best_items

logger = logging.getLogger(__name__)

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

    Candidates have the scores of the ranker; all other items come below them, in the order of the retriever. The items
    of the session itself are candidates in any case and take no place from others, so that their number is the same
    where a protocol leaves seen items out. A filter (``allowed``, ``exclude``) acts on the list, not on what is
    retrieved. Both models are trained on the same sessions, each by its own loss; after that the ranker may go on with
    a listwise loss over what the retriever finds before each event. The retriever has seen these events, so that its
    lists are better there than they will be later.
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
            ParameterError: one is no fitted model, they know different items, or a parameter breaks its rule.
        """
        for stage, model in zip(_STAGES, (retriever, ranker), strict=True):
            if not isinstance(model, Model):
                raise no_model(model, stage)
            require_scorer(model, stage)
        ranker.vocabulary.require_same(retriever.vocabulary, "retriever")
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

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the retriever, then the ranker."""
        for stage, model in self._stages():
            logger.info("the %s: %s", stage, model.name)
            setattr(self, stage, model.fit(train, valid=valid, seed=seed, runtime=runtime.part(stage)))
        self.vocabulary = train.vocabulary
        if self.config.listwise.loss is not None:
            self._learn_lists(self.config.listwise.loss, train, valid, seed, runtime.part("lists"))
        self.notes = tuple(f"{stage} {model.name}: {note}" for stage, model in self._stages() for note in model.notes)

    def _learn_lists(self, loss: str, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the ranker on retrieved lists; keep it as it was where validation says that it was better."""
        ranker, training = self.ranker, self.config.listwise
        assert isinstance(ranker, SequenceModel)
        ranker._output = None
        logger.info("the ranker, on the retriever's lists")
        auxiliary, own = self._listwise_loss(loss, train, runtime), ranker.config.training
        changes = {"epochs": training.epochs, "learning_rate": training.learning_rate or own.learning_rate}

        def validate() -> float:
            assert valid is not None
            return measure(self, valid, metrics=[own.metric]).metrics[own.metric]

        Trainer(
            ranker.objective_of(auxiliary, train, seed, runtime),
            ranker.optimizer(),
            own.model_copy(update=changes),
            validate=None if valid is None else validate,
            seed=seed,
            identity={
                **ranker.identity(train, valid, seed, runtime),
                "parameters": self.config.model_dump_json(),
                "lists": auxiliary.fingerprint(),
            },
            runtime=runtime,
            further=True,
        ).run()
        ranker._freeze()

    def _listwise_loss(self, loss: str, train: Sessions, runtime: Runtime) -> ListwiseLoss:
        """Retrieve the best items before each event; all of them would be candidates there."""
        events, starts = train.targets()
        k = min(self.config.listwise.length, self.config.candidates, len(train.vocabulary))
        prefixes, progress = train.prefixes(starts, events), runtime.progress
        lists, _ = best_items(self.retriever, prefixes, k, task="asking the retriever", progress=progress)
        rows = np.full(len(train.items), -1)
        rows[events] = np.arange(len(events))
        return ListwiseLoss(rows, lists, train.items, loss)

    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Retrieve, then rank; the others have the place that the retriever gives them, below the candidates."""
        scores = self.ranker._score(prefixes)
        if self.config.candidates >= len(self.vocabulary):
            return scores
        candidates = self._candidates(prefixes)
        chosen = np.zeros(scores.shape, dtype=bool)
        chosen[np.arange(len(candidates))[:, None], candidates] = True
        chosen[:, PADDING] = False
        within = torch.from_numpy(chosen).to(scores.device)
        finite = within & scores.isfinite()
        lists, _ = self.retriever._top_k(prefixes, len(self.vocabulary), None, None)
        listed = ~np.take_along_axis(chosen, lists, axis=1) & (lists != PADDING)
        others, counts = lists[listed], listed.sum(axis=1)  # Row after row, best first.
        place = np.arange(len(others)) - np.repeat(np.cumsum(counts) - counts, counts)
        # Whole numbers, which float32 holds exactly where items have neighbouring places.
        below = scores.masked_fill(~finite, 0.0).amin(1).floor().cpu().numpy()
        rows = np.repeat(np.arange(len(counts)), counts)
        numbers = torch.from_numpy((below.astype(np.float64)[rows] - 1 - place).astype(np.float32)).to(scores.device)
        scores = scores.masked_fill(~within, -torch.inf)
        scores[torch.from_numpy(rows), torch.from_numpy(others)] = numbers
        return scores

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Score some items: by the ranker where all items are candidates, else by their place among all."""
        if self.config.candidates >= len(self.vocabulary):
            return self.ranker._score_items(prefixes, items)
        return super()._score_items(prefixes, items)

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """Retrieve candidates, and score these alone by the ranker; where they are too few, the retriever goes on."""
        if self.config.candidates >= len(self.vocabulary):
            return self.ranker._top_k(prefixes, k, allowed, exclude)
        candidates = self._candidates(prefixes)
        scores = self.ranker._score_items(prefixes, candidates).cpu().numpy()
        finite = np.isfinite(scores) & (candidates != PADDING)
        below = np.floor(np.where(finite, scores, 0.0).min(axis=1, initial=0.0))
        scores = np.where(np.isnan(scores) | self._barred(candidates, allowed, exclude), -np.inf, scores)
        columns = np.lexsort((self.vocabulary.order.places[candidates], -scores), axis=1)[:, :k]
        items = np.zeros((len(candidates), k), dtype=np.int64)
        values = np.full((len(candidates), k), -np.inf, dtype=np.float32)
        items[:, : columns.shape[1]] = np.take_along_axis(candidates, columns, axis=1)
        values[:, : columns.shape[1]] = np.take_along_axis(scores, columns, axis=1)
        items[values == -np.inf] = PADDING
        if (items == PADDING).any():
            self._go_on(prefixes, candidates, below, allowed, exclude, items, values)
        return items, values

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

    def _candidates(self, prefixes: Prefixes) -> Int64[np.ndarray, "B C"]:
        """Return what the ranker puts in order: the retriever's best items and those of the session, each once.

        Items that the models know nothing of are no candidates.
        """
        best, _ = self.retriever._top_k(prefixes, self.config.candidates, None, prefixes)
        own = np.zeros((len(best), int(prefixes.lengths.max(initial=0))), dtype=np.int64)
        rows, events = prefixes.events()
        own[rows, events - prefixes.starts[rows]] = prefixes.items[events]
        own.sort(axis=1)
        own[:, 1:][own[:, 1:] == own[:, :-1]] = PADDING
        candidates = np.hstack([best, own])
        return np.where(self.vocabulary.known[candidates], candidates, PADDING)

    def _barred(
        self, items: Int64[np.ndarray, "B C"], allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> Bool[np.ndarray, "B C"]:
        """Tell which items must not be listed."""
        barred: np.ndarray = items == PADDING
        if allowed is not None:
            barred |= ~allowed[items]
        if exclude is not None:
            rows, events = exclude.events()
            size = len(self.vocabulary) + 1
            keys = np.arange(len(items))[:, None] * size + items
            barred |= np.isin(keys, rows * size + exclude.items[events])
        return barred

    def _go_on(
        self,
        prefixes: Prefixes,
        candidates: Int64[np.ndarray, "B C"],
        below: Float32[np.ndarray, "B"],
        allowed: Bool[np.ndarray, "M"] | None,
        exclude: Prefixes | None,
        items: Int64[np.ndarray, "B k"],
        values: Float32[np.ndarray, "B k"],
    ) -> None:
        """Fill lists that have fewer than k candidates with the retriever's next items."""
        rows = np.flatnonzero((items == PADDING).any(axis=1))
        length = 2 * (items.shape[1] + candidates.shape[1])
        while len(rows):
            length = min(length, len(self.vocabulary))
            lists, _ = self.retriever._top_k(prefixes[rows], length, None, None)
            barred = self._barred(lists, allowed, None if exclude is None else exclude[rows])
            for row, listed, closed in zip(rows, lists, barred, strict=True):
                others = np.flatnonzero(~np.isin(listed, candidates[row]) & (listed != PADDING))
                numbers = float(below[row]) - 1 - np.arange(len(others))
                kept = ~closed[others]
                start = np.count_nonzero(np.isin(items[row], candidates[row]) & (items[row] != PADDING))
                count = min(items.shape[1] - start, int(kept.sum()))
                items[row, start : start + count] = listed[others[kept][:count]]
                values[row, start : start + count] = numbers[kept][:count]
            if length == len(self.vocabulary):
                return
            rows, length = rows[(items[rows] == PADDING).any(axis=1)], 8 * length

    def to(self, device: torch.device) -> Self:
        """Return the pair on a device; see ``Model.to``."""
        moved = {stage: model.to(device) for stage, model in self._stages()}
        if all(moved[stage] is model for stage, model in self._stages()):
            return self
        pair = type(self).of(moved["retriever"], moved["ranker"], candidates=self.config.candidates)
        pair.config, pair.about, pair.notes, pair.diagnostics = self.config, self.about, self.notes, self.diagnostics
        return pair

    @property
    def device(self) -> torch.device:
        """Where the ranker is."""
        return self.ranker.device

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
