"""The base of all neural models: build the network, train it, score with it, save and restore its weights."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Self

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segue.data.array_schema import ArraySpec
from segue.data.arrays import read_only
from segue.data.cases import Cases
from segue.data.fingerprint import fingerprint_cases, fingerprint_sessions
from segue.data.growth import replayed, with_new_rows
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.models.dot_product import DotProductModel
from segue.models.persistence import ModelConfig
from segue.models.recent import Given
from segue.nn.encoders.base import Encoder
from segue.protocols.ranking import Ranking
from segue.rng import derive
from segue.spaces import Around, Choice
from segue.training.build_optimizer import build_optimizer
from segue.training.checkpoint import THREADS
from segue.training.config import TrainingConfig, UpdatePlan, fine_tuning_sessions
from segue.training.continuation import Squares, check_squares, resume, squares_of
from segue.training.loop import Trainer
from segue.training.objectives import Objective
from segue.training.optimizers import Optimizer, RowAdagrad
from segue.training.runtime import EpochRecord, Runtime, curve_notes

logger = logging.getLogger(__name__)


class NeuralConfig(ModelConfig):
    """Parameters of every neural model."""

    training: TrainingConfig = TrainingConfig()
    """Training parameters."""

    search = {"training.learning_rate": Around(5), "training.batch_size": Choice((32, 64, 128, 256, 512))}


class NeuralModel(DotProductModel):
    """A model that is a network, trained by gradient descent."""

    config: NeuralConfig
    network: Encoder
    curve: tuple[EpochRecord, ...] = ()
    """Loss and validation of each epoch of the last fit; artifacts do not contain it."""
    _output: tuple[Tensor, Tensor | None] | None = None
    """The output table of the trained network: embeddings and biases."""

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: object) -> None:
        super().__init__(config, preset=preset, **parameters)
        if problems := [f"{self.name}.training.{problem}" for problem in self.config_problems()]:
            raise ParameterError(*problems)

    def config_problems(self) -> Iterator[str]:
        """Yield the problems of the training section; each starts with the name of the parameter."""
        plan = self.config.training
        usual = type(plan)()
        if plan.optimizer != "mixed" and plan.table_learning_rate != usual.table_learning_rate:
            yield (
                f"table_learning_rate: must be {usual.table_learning_rate} with the optimizer '{plan.optimizer}', got "
                f"{plan.table_learning_rate:g}: only 'mixed' has a separate learning rate for the item embeddings"
            )
        if plan.optimizer == "adagrad" and plan.weight_decay > 0:
            yield (
                f"weight_decay: must be 0 with the optimizer 'adagrad', got {plan.weight_decay:g}: Adagrad updates "
                "only items in use and has no weight decay; use 'adamw' or 'mixed'"
            )

    @abstractmethod
    def build(self, n_items: int) -> Encoder:
        """Return a network with fresh weights for ``n_items`` items."""

    def fit_preprocessing(self, train: Sessions) -> None:
        """Learn from the log what the network depends on, the vocabulary first."""
        self.vocabulary = train.vocabulary

    def assemble(self) -> Encoder:
        """Return a network with fresh weights for what ``fit_preprocessing`` learnt."""
        return self.build(len(self.vocabulary))

    def initialize(self) -> Encoder:
        """Return a network with the weights that a training starts from."""
        return self.assemble()

    @abstractmethod
    def objective(self, train: Sessions, seed: int, runtime: Runtime) -> Objective:
        """Return the training objective of ``self.network`` on ``train``."""

    def optimizer(self) -> Optimizer:
        """Return the optimiser of ``self.network`` that the training section names."""
        weights = dict(self.network.named_parameters())
        return build_optimizer(self.config.training, weights, self.adagrad_weights(), self.adagrad)

    def adagrad_weights(self) -> Set[str]:
        """Return the names of the weights that Adagrad learns."""
        optimizer = self.config.training.optimizer
        if optimizer == "adagrad":
            return {name for name, _ in self.network.named_parameters()}
        return self.per_item_arrays() if optimizer == "mixed" else frozenset()

    def adagrad(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> RowAdagrad:
        """Return Adagrad as the model uses it."""
        return RowAdagrad(parameters, learning_rate)

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train. Without ``valid`` all epochs are run and the last one is kept."""
        self.fit_preprocessing(train)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive(seed, "weights"))
            self.network = self.initialize().to(runtime.torch_device())
        stages = [self._train(train, self.config.training, valid, seed, runtime)]
        if self.config.training.fine_tuning.epochs:
            stages.append(self._fine_tune(self._selection(train), valid, seed, runtime))
        self.curve = tuple(record for curve in stages for record in curve)
        self.notes = (*curve_notes(stages[0], self.config.training.epochs), *self.remarks(train))
        self._cache_table()

    def check_updatable(self) -> None:
        """Every network can be trained further; see ``ModelBase.check_updatable``."""

    def _check_update(self, given: Given) -> None:
        recent = given.recent
        if given.history is not None:
            given.history.require_valid("history")
            recent.vocabulary.require_same(given.history.vocabulary, "history")
        if not (recent.lengths >= 2).any():
            raise ParameterError(f"recent: must have a session of two events or more, got {len(recent):,} of one event")

    def _update(self, before: Self, given: Given) -> None:
        """Train on the recent sessions, from the weights of ``before``; see ``with_new_rows`` for new items."""
        recent, history, seed, runtime = given.recent, given.history, given.seed, given.runtime.part("update")
        plan, squares = given.plan or UpdatePlan(), before.optimizer_state
        training = plan.applied_to(self.config.training, resumed=bool(squares), replays=history is not None)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive(seed, "weights"))
            fresh = self.build(len(recent.vocabulary)).state_dict()
        self.restore(self._grown(before, fresh, recent), recent.vocabulary)
        self.network.to(runtime.torch_device())
        if history is not None:
            recent = replayed(history, recent, training.epochs, share=plan.replay, half_life=plan.half_life, seed=seed)
            training = training.model_copy(update={"epochs": 1})
        self.curve = tuple(self._train(recent, training, None, seed, runtime, squares, warm_start=True))
        self._cache_table()

    def _grown(self, before: Self, fresh: Mapping[str, Tensor], recent: Sessions) -> dict[str, np.ndarray]:
        """Return the weights from which an update starts."""
        arrays = before.arrays()
        grown = {name: with_new_rows(arrays[name], fresh[name].numpy(), recent) for name in self.per_item_arrays()}
        return arrays | grown

    def check(self, train: Sessions) -> None:
        """Check that a fine-tuning has sessions to learn from; see ``Model.check``."""
        if self.config.training.fine_tuning.epochs:
            self._selection(train)

    def _selection(self, train: Sessions) -> Sessions:
        place = f"{self.name}.training.fine_tuning"
        return train.select(fine_tuning_sessions(train, self.config.training.fine_tuning, place))

    def remarks(self, train: Sessions) -> Iterator[str]:
        """Yield remarks on the fit for the reader of its results."""
        yield from ()

    def _train(
        self,
        train: Sessions,
        plan: TrainingConfig,
        valid: Cases | None,
        seed: int,
        runtime: Runtime,
        squares: Squares | None = None,
        *,
        warm_start: bool = False,
    ) -> list[EpochRecord]:
        """Train the network from its present weights to its best ones; with squares, Adagrad goes on from them."""

        def validate() -> float:
            assert valid is not None
            return measure(self, valid, Ranking(metrics=(plan.metric,))).metrics[plan.metric]

        self._output, optimizer = None, self.optimizer()
        resume(optimizer, self.network, squares or {})
        curve = Trainer(
            self.objective(train, seed, runtime),
            optimizer,
            plan,
            validate=validate if valid is not None else None,
            seed=seed,
            identity=self.identity(train, valid, seed, runtime) if runtime.checkpoint is not None else {},
            runtime=runtime,
            warm_start=warm_start,
        ).run()
        self.optimizer_state = squares_of(optimizer, self.network)
        return curve

    def _fine_tune(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> list[EpochRecord]:
        """Train on a selection of the sessions, unless validation prefers the weights from before."""
        tuning, plan = self.config.training.fine_tuning, self.config.training
        changes = {"epochs": tuning.epochs, "learning_rate": tuning.learning_rate or plan.learning_rate}
        logger.info("fine-tuning")
        plan = plan.model_copy(update=changes)
        return self._train(train, plan, valid, seed, runtime.part("fine-tuning"), warm_start=True)

    def identity(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> dict[str, str]:
        """Identify a training, so that no checkpoint of another one is resumed."""
        return {
            "model": self.name,
            "parameters": self.config.model_dump_json(),
            "seed": str(seed),
            "precision": runtime.arithmetic(),
            "training sessions": fingerprint_sessions(train),
            "validation": "none" if valid is None else fingerprint_cases(valid),
            **({THREADS: str(torch.get_num_threads())} if self.depends_on_threads(runtime) else {}),
        }

    def depends_on_threads(self, runtime: Runtime) -> bool:
        """Return true on a CPU, whose threads share the sums; see ``Model.depends_on_threads``."""
        return runtime.torch_device().type == "cpu"

    @property
    def scores_are_logits(self) -> bool:
        """Return true: its losses take a softmax or sigmoids of scores; see ``Model.scores_are_logits``."""
        return True

    def _states(self, prefixes: Prefixes) -> Float32[Tensor, "B D"]:
        return self.network.encode(prefixes).float()

    def _table(self) -> tuple[Float32[Tensor, "M D"], Float32[Tensor, "M"] | None]:
        """Return the output table, which is cached after the training."""
        return self._read_table() if self._output is None else self._output

    def _read_table(self) -> tuple[Float32[Tensor, "M D"], Float32[Tensor, "M"] | None]:
        table = self.network.table().float()
        return (table[:, :-1], table[:, -1].contiguous()) if self.network.biased else (table, None)

    @torch.no_grad()
    def _cache_table(self) -> None:
        self.network.eval()
        self._output = self._read_table()

    @torch.no_grad()
    def item_vectors(self) -> Float32[np.ndarray, "M D"]:
        """Return the network's output embeddings; see ``Model.item_vectors``."""
        return read_only(self.network.embeddings().float().cpu().numpy())

    def to(self, device: torch.device) -> Self:
        """Return the model on a device; see ``Model.to``."""
        if self.device == device:
            return self
        model = self._copy(self.arrays(), self.vocabulary)
        model.network.to(device)
        model.optimizer_state = self.optimizer_state
        model._cache_table()
        return model

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def per_item_arrays(self) -> Set[str]:
        """Return the weights whose size depends on the number of items; see ``Model.per_item_arrays``."""
        with torch.random.fork_rng(devices=[]):
            one, two = (self.build(n_items).state_dict() for n_items in (1, 2))
        return {name for name, tensor in one.items() if tensor.shape != two[name].shape}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name; see ``Model.arrays``."""
        return {name: read_only(tensor.cpu().numpy()) for name, tensor in self.network.state_dict().items()}

    def array_specs(self) -> Mapping[str, ArraySpec]:
        """Return the dtypes and shapes of the weights, without allocating them; see ``ModelBase.array_specs``."""
        with torch.device("meta"):
            network = self.assemble()
        return {
            name: ArraySpec(str(tensor.dtype).removeprefix("torch."), tuple(map(str, tensor.shape)))
            for name, tensor in network.state_dict().items()
        }

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Build the network and load its weights; see ``ModelBase.restore``."""
        super().restore(arrays, vocabulary)
        with torch.random.fork_rng(devices=[]):
            self.network = self.assemble()
        for name, weight in self.network.state_dict().items():
            np.copyto(weight.numpy(), arrays[name])
        check_squares(self.optimizer_state, self.network, self.adagrad_weights, f"{self.name}.optimizer_state")
        self._cache_table()
        return self
