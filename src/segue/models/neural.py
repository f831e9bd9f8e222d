"""What all neural models share: building the network, training it in the one loop, scoring, arrays in and out."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from segue.data.sessions import Cases, Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.evaluation.measure import measure
from segue.models.base import Model, ModelConfig
from segue.nn.encoder import Encoder
from segue.rng import derive
from segue.training.config import TrainingConfig
from segue.training.loop import EpochRecord, Objective, Trainer
from segue.training.runtime import Runtime


class NeuralConfig(ModelConfig):
    """Parameters of every neural model."""

    training: TrainingConfig = TrainingConfig()
    """How it is trained."""


class NeuralModel(Model):
    """A model that is a network, trained by gradient descent."""

    config: NeuralConfig
    network: Encoder
    curve: list[EpochRecord]
    """Loss and validation of each epoch of the last fit."""

    @abstractmethod
    def build(self, n_items: int) -> Encoder:
        """Return a network with fresh weights for ``n_items`` items."""

    @abstractmethod
    def objective(self, train: Sessions, seed: int, runtime: Runtime) -> Objective:
        """Return what ``self.network`` minimises on ``train``."""

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of ``self.network``."""

    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Train; see ``Model.fit``. Without ``valid`` all epochs are run and the last one is kept."""
        runtime = runtime or Runtime()
        self.vocabulary = train.vocabulary
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "weights"))
            self.network = self.build(len(train.vocabulary)).to(runtime.torch_device())
        plan = self.config.training

        def validate() -> float:
            assert valid is not None
            return measure(self, valid, metrics=[plan.metric]).metrics[plan.metric]

        trainer = Trainer(
            self.objective(train, seed, runtime),
            self.optimizer(),
            plan,
            validate=validate if valid is not None else None,
            seed=seed,
            identity=self._identity(train, seed, runtime),
            runtime=runtime,
        )
        self.curve = trainer.run()
        self.network.eval()
        self.notes = tuple(_remarks(self.curve, plan.epochs))
        return self

    def _identity(self, train: Sessions, seed: int, runtime: Runtime) -> dict[str, str]:
        """Say what a training is, so that no other one is resumed in its place."""
        log = hashlib.sha256(train.items.tobytes() + train.offsets.tobytes())
        return {
            "model": self.name,
            "parameters": self.config.model_dump_json(),
            "seed": str(seed),
            "precision": runtime.precision,
            "training sessions": log.hexdigest(),
        }

    @torch.no_grad()
    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item; see ``Model.score``."""
        self.network.eval()
        return self.network.logits(self.network.encode(prefixes)).float()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Build the network and take its weights."""
        self.vocabulary = vocabulary
        with torch.random.fork_rng(devices=[]):
            self.network = self.build(len(vocabulary))
        self.network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        self.network.eval()
        return self


def _remarks(curve: list[EpochRecord], epochs: int) -> Iterator[str]:
    """Say what the curve of a training gives cause to do."""
    values = [record.validation for record in curve if record.validation is not None]
    if values and values.index(max(values)) == epochs - 1 > 0:
        yield f"the last of {epochs} epochs was the best one: a higher training.epochs may give more"
