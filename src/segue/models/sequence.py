"""The base of the sequence encoders: training on windows or prefixes, with any loss and negative sampler."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from segue.data.batches.next_item import EveryPosition, EveryPrefix, NextItemBatches
from segue.data.cases import Cases
from segue.data.cold_items import ColdItems
from segue.data.content_vectors import ContentVectors
from segue.data.sessions import Prefixes, Sessions
from segue.errors import ParameterError
from segue.models.context import ContextConfig, ContextModel
from segue.models.requests import check_training
from segue.models.why.answer import AttentionWeights
from segue.nn.encoders.attention import watch_attention
from segue.nn.encoders.base import SequenceEncoder, WindowSizes
from segue.nn.encoders.layers import ContextEmbedding, VectorProjection
from segue.spaces import Around, Choice
from segue.training.config import Distillation, FineTuning, Privileged, SequenceTraining
from segue.training.objectives import AuxiliaryLoss, DistillationLoss, NextItemObjective, Objective
from segue.training.runtime import EpochRecord, Runtime
from segue.training.soft_labels import SoftLabels, Teacher, predict_soft_labels, require_teacher

logger = logging.getLogger(__name__)


BEAUTY: Mapping[str, Any] = {
    "positions": "all",
    "epochs": 30,
    "patience": None,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "loss": {"kind": "sampled-softmax", "n_samples": 512},
}
"""Training of the presets ``beauty``: for many short histories of a large catalogue."""

BEAUTY_PREFIXES: Mapping[str, Any] = {
    **BEAUTY,
    "positions": "last",
    "epochs": 15,
    "batch_size": 512,
    "loss": {"kind": "sampled-softmax", "n_samples": 2048},
}
"""The same after every prefix of a history, which takes longer and gives better results."""

SESSIONS: Mapping[str, Any] = {
    "positions": "last",
    "epochs": 4,
    "schedule": "linear",
    "optimizer": "mixed",
    "loss": {"kind": "sampled-softmax", "n_samples": 2048},
}
"""Training of the presets ``sessions``: for many visits to a large catalogue."""


class SequenceConfig(ContextConfig):
    """Parameters of every sequence encoder."""

    embedding_size: int = Field(64, ge=1)
    """Width of the item embeddings."""
    max_length: int = Field(50, ge=1, le=100_000)
    """Number of most recent events of a session to use."""
    similarity: Literal["dot", "cosine"] = "dot"
    """Score of an item. dot: dot product of state and item embedding. cosine: cosine similarity (the embedding is
    normalised first); the loss cosine always uses it."""
    temperature: float | None = Field(None, gt=0)
    """Divides the score of an item, whose state is normalised before: with the similarity cosine, scores are cosines
    divided by it, and a smaller one makes the softmax of the loss sharper. None leaves the state as it is."""
    training: SequenceTraining = SequenceTraining()
    """Training parameters."""

    search = {
        **ContextConfig.search,
        "embedding_size": Choice((32, 64, 128, 192, 256)),
        "training.loss.n_samples": Around(4),
    }


class SequenceModel(ContextModel):
    """A sequence encoder and its training; a subclass builds the network."""

    Network: ClassVar[type[SequenceEncoder]]
    config: SequenceConfig
    network: SequenceEncoder
    _auxiliary: AuxiliaryLoss | None = None

    def config_problems(self) -> Iterator[str]:
        """Yield what is wrong with the training section; see ``NeuralModel.config_problems``."""
        yield from super().config_problems()
        plan = self.config.training
        if plan.positions == "all" and not self.Network.causal:
            yield (
                f"positions: must be 'last' (or 'auto'), got 'all': a state of {self.name} depends on later events of "
                "the window, so training at all positions would leak the targets"
            )
        if plan.click_dropout > 0 and not self._on_every_prefix():
            yield (
                f"click_dropout: needs training.positions 'last', got {plan.click_dropout:g} with '{plan.positions}': "
                "in a whole window, a dropped event would also be missing as a target"
            )
        if plan.windows == "recent" and self._on_every_prefix():
            yield f"windows: must be 'all' with the positions '{plan.positions}', got 'recent': there are no windows"

    def check(self, train: Sessions) -> None:
        """Check that the log has what the parameters need; see ``Model.check``."""
        super().check(train)
        if problems := list(self.data_problems(train)):
            raise ParameterError(*problems)

    @property
    def temperature(self) -> float | None:
        """What divides a state, at length 1; None leaves states as they are."""
        return self.config.temperature

    def sizes(self, n_items: int) -> WindowSizes:
        """Return the sizes of the network for ``n_items`` items."""
        config = self.config
        return {"n_items": n_items, "embedding_size": config.embedding_size, "max_length": config.max_length}

    def assemble(self) -> SequenceEncoder:
        """Return a network with fresh weights that reads the features."""
        network = super().assemble()
        assert isinstance(network, SequenceEncoder)
        network.sparse_gradients = self.config.training.optimizer != "adamw"
        # A loss on directions leaves the lengths of the embeddings undetermined, so that items are ranked by direction.
        network.normalised = self.config.similarity == "cosine" or self.config.training.loss.kind == "cosine"
        network.temperature = self.temperature
        if self.context.encoders:
            network.context = ContextEmbedding(reader=self.context, embedding_size=network.input_size)
        if self.upcoming.encoders:
            network.upcoming = ContextEmbedding(reader=self.upcoming, embedding_size=network.items.shape[1])
        if self.config.item_vectors == "features":
            vectors = torch.from_numpy(self.content.standardised())
            network.vectors = VectorProjection(vectors=vectors, embedding_size=network.items.shape[1])
        return network

    def initialize(self) -> SequenceEncoder:
        """Return the network before the training; its embeddings may be principal components of vectors."""
        network = super().initialize()
        assert isinstance(network, SequenceEncoder)
        if self.config.item_vectors == "initial":
            content = self.content
            components = torch.from_numpy(content.principal_components(network.items.shape[1]))
            network.set_embeddings(torch.from_numpy(content.present), components)
        return network

    def _grown(self, before: Self, fresh: Mapping[str, Tensor], recent: Sessions) -> dict[str, np.ndarray]:
        """Return the weights to start from; a new item with a vector has those that ``add_items`` would give it."""
        arrays, vocabulary = super()._grown(before, fresh, recent), recent.vocabulary
        vectors, known = ContentVectors.of(vocabulary), len(before.vocabulary)
        if not self.uses_item_vectors or vectors is None or not vectors.present[known + 1 :].any():
            return arrays
        earlier = replace(vectors, n_trained=known)
        new = np.flatnonzero(vectors.present & ~earlier.trained)
        cold = ColdItems(vocabulary, [], earlier)
        for name in self.per_item_arrays():
            arrays[name][new] = cold.extend(arrays[name][: known + 1])[new]
        if self.config.item_vectors == "features":
            # Mean and scale are now those of more vectors; the embeddings stay what they were.
            (center, scale), (mean, size) = earlier.center_and_scale(), vectors.center_and_scale()
            weight = arrays["vectors.weight"]
            arrays["vectors.weight"] = weight * np.float32(size / scale)
            arrays["items"][vectors.present] += ((mean - center) / scale @ weight).astype(np.float32)
        return arrays

    @torch.no_grad()
    def _attention(self, prefixes: Prefixes) -> list[AttentionWeights]:
        """Return the weights of each layer and head in a forward pass; see ``Model._attention``."""
        with watch_attention() as found:
            self._states(prefixes)
        layers = Counter(one.name for one in found)
        number: Counter[str] = Counter()
        rows = []
        for name, weights in found:
            number[name] += 1
            for head, row in enumerate(weights[0].float().cpu().tolist(), start=1):
                places = [f"layer {number[name]}"] if layers[name] > 1 else []
                places += [f"head {head}"] if weights.shape[1] > 1 else []
                read = len(row) - self.network.appended
                rows.append(AttentionWeights(", ".join(places) or name, tuple(row[:read]), sum(row[read:])))
        return rows

    def _on_every_prefix(self) -> bool:
        """Say if training predicts what comes after every prefix, and not whole windows."""
        return not self.Network.causal or self.config.training.positions == "last"

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train, with a privileged teacher where it is set."""
        privileged = self.config.training.privileged
        auxiliary = None
        if privileged.weight > 0:
            labels = self._privileged_labels(train, seed, runtime)
            auxiliary = DistillationLoss(labels, privileged, runtime.product_precision())
        self._fit_with(auxiliary, train, valid, seed, runtime)

    def learn_from(
        self,
        teacher: Teacher,
        train: Sessions,
        plan: Distillation | None = None,
        *,
        valid: Cases | None = None,
        seed: int = 0,
        runtime: Runtime | None = None,
    ) -> Self:
        """Train on labels and on the soft labels of a teacher; fine-tuning uses only the labels.

        Args:
            teacher: a fitted model whose catalogue is that of ``train``.
            train: the training sessions.
            plan: weight, temperature and number of the teacher's items.
            valid: validation cases, which pick the best epoch.
            seed: seed of every random draw.
            runtime: device, precision and progress.

        Raises:
            ParameterError: the teacher is not a fitted model or knows another catalogue, the model has a teacher of its
                own, or ``Model.fit`` would refuse the sessions.
        """
        runtime, plan = runtime or Runtime(), plan or Distillation()
        require_teacher(teacher)
        check_training(train, valid)
        model = self._unfitted()
        model.check(train)
        runtime.group.check(model.name, model.micro_batches)
        if self.config.training.privileged.weight > 0:
            raise ParameterError(
                f"{self.name}.training.privileged.weight: must be 0 where a teacher is given, got "
                f"{self.config.training.privileged.weight:g}: a model learns from one teacher"
            )
        teacher.vocabulary.require_same(train.vocabulary, "train")
        events, starts = train.targets()
        labels = _soft_labels(teacher, train.prefixes(starts, events, ahead=True), events, train, plan, runtime)
        with model._fitting(train), runtime.algorithms():
            model._fit_with(DistillationLoss(labels, plan, runtime.product_precision()), train, valid, seed, runtime)
        return model

    def _privileged_labels(self, train: Sessions, seed: int, runtime: Runtime) -> SoftLabels:
        """Train a model of the same kind on the sessions backwards, and predict each event with it."""
        privileged = self.config.training.privileged
        plain = self.config.training.model_copy(update={"privileged": Privileged(), "fine_tuning": FineTuning()})
        teacher = type(self)(self.config.model_copy(update={"training": plain}))
        logger.info("the teacher, on sessions from their end to their beginning")
        backwards = train.reverse()
        teacher.fit(backwards, seed=seed, runtime=runtime.part("teacher"))
        events, starts = backwards.targets()
        owners = np.searchsorted(train.offsets, events, side="right") - 1
        mirrored = train.offsets[owners] + train.offsets[owners + 1] - 1 - events
        return _soft_labels(
            teacher, backwards.prefixes(starts, events, ahead=True), mirrored, train, privileged, runtime
        )

    def _fit_with(
        self, auxiliary: AuxiliaryLoss | None, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime
    ) -> None:
        self._auxiliary = auxiliary
        try:
            super()._fit(train, valid, seed, runtime)
        finally:
            self._auxiliary = None

    def _fine_tune(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> list[EpochRecord]:
        # Soft labels are stored by event of all sessions; the selection is learnt from its own labels alone.
        self._auxiliary = None
        return super()._fine_tune(train, valid, seed, runtime)

    def identity(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> dict[str, str]:
        """Identify a training; see ``NeuralModel.identity``."""
        identity = super().identity(train, valid, seed, runtime)
        return identity if self._auxiliary is None else {**identity, "teacher": self._auxiliary.fingerprint()}

    def objective(self, train: Sessions, seed: int, runtime: Runtime) -> Objective:
        """Return the loss over windows or prefixes."""
        return self._objective(self.batches(self._with_context(train), seed), train, seed, runtime, self._auxiliary)

    def objective_of(self, auxiliary: AuxiliaryLoss, train: Sessions, seed: int, runtime: Runtime) -> Objective:
        """Return an auxiliary loss on next items, whatever the model is usually trained on."""
        return self._objective(self.next_items(self._with_context(train), seed), train, seed, runtime, auxiliary)

    def _objective(
        self, batches: NextItemBatches, train: Sessions, seed: int, runtime: Runtime, auxiliary: AuxiliaryLoss | None
    ) -> NextItemObjective:
        section, support = self.config.training.loss, train.vocabulary.support
        loss = section.loss(len(train.vocabulary), runtime.product_precision())
        negatives, upcoming = section.negatives(support, seed), self.upcoming_features(train)
        return NextItemObjective(self.network, batches, loss, negatives, runtime, auxiliary, upcoming)

    def batches(self, train: Sessions, seed: int) -> NextItemBatches:
        """Return the batches of the training steps."""
        return self.next_items(train, seed)

    def next_items(self, train: Sessions, seed: int) -> NextItemBatches:
        """Return the windows or prefixes of each step, and what comes next."""
        plan, longest = self.config.training, self.network.max_length
        if self.Network.causal and plan.positions != "last":
            return EveryPosition(train, plan.batch_size, longest, seed, recent_only=plan.windows == "recent")
        width = longest if self.Network.fixed_width else None
        return EveryPrefix(train, plan.batch_size, longest, seed, width=width, click_dropout=plan.click_dropout)


def _soft_labels(
    teacher: Teacher,
    prefixes: Prefixes,
    events: Int64[np.ndarray, "R"],
    train: Sessions,
    plan: Distillation,
    run: Runtime,
) -> SoftLabels:
    k, size, progress = min(plan.top, len(train.vocabulary)), len(train.items), run.progress
    return predict_soft_labels(teacher, prefixes, events, size, k=k, temperature=plan.temperature, progress=progress)
