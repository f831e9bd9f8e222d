"""What holds for every neural model on top of the contract of all models."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from chains import Task
from contract import ModelContract

from segue.data.sessions import Prefixes
from segue.errors import ArtifactError
from segue.models.neural import NeuralModel
from segue.training.checkpoint import load_checkpoint
from segue.training.runtime import Runtime

_CHILD = """
import json, sys
from pathlib import Path
import chains
from segue.models.registry import model_class
from segue.training.runtime import Runtime

name, parameters, task, checkpoint = sys.argv[1:]
task = getattr(chains, task)()
runtime = Runtime(device="cpu", checkpoint=Path(checkpoint), checkpoint_seconds=0.0)
model_class(name)(**json.loads(parameters)).fit(task.train, valid=task.cases[:200], seed=4, runtime=runtime)
"""


class NeuralModelContract(ModelContract):
    """What holds for every neural model.

    Attributes:
        long: parameters of a training of some seconds, with dropout, that is killed in the middle.
    """

    long: ClassVar[dict[str, Any]]

    def test_item_vectors_are_what_states_are_compared_with(self, fitted: NeuralModel, some: Prefixes) -> None:
        """What is left of the scores is the same for all sessions: biases, or nothing."""
        with torch.no_grad():
            products = fitted.network.encode(some).float().numpy() @ fitted.item_vectors().T
        biases = (fitted.score(some).numpy() - products)[:, 1:]
        np.testing.assert_allclose(biases, biases[:1].repeat(len(biases), axis=0), atol=1e-4)
        assert fitted.network.biased or np.abs(biases).max() < 1e-4

    def test_killed_and_resumed_equals_uninterrupted(self, task: Task, tmp_path: Path) -> None:
        checkpoint = tmp_path / "state"
        self._train_and_kill(checkpoint)
        whole = self._fit_long(task, Runtime(device="cpu"))
        resumed = self._fit_long(task, Runtime(device="cpu", checkpoint=checkpoint, resume=True))
        assert len(whole.curve) == len(resumed.curve)
        for one, other in zip(whole.curve, resumed.curve, strict=True):
            assert (one.loss, one.validation) == (other.loss, other.validation)
        for name, array in whole.arrays().items():
            np.testing.assert_array_equal(array, resumed.arrays()[name], err_msg=name)

    def test_deterministic_algorithms_change_nothing_on_a_cpu(self, task: Task) -> None:
        plain, strict = (
            self.brief().fit(task.train, seed=1, runtime=Runtime(device="cpu", deterministic=one))
            for one in (False, True)
        )
        for name, array in plain.arrays().items():
            np.testing.assert_array_equal(array, strict.arrays()[name], err_msg=name)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_deterministic_fits_on_a_gpu_are_equal(self, task: Task) -> None:
        runtime = Runtime(device="cuda", deterministic=True)
        one, other = (self.brief().fit(task.train, valid=task.cases[:50], seed=1, runtime=runtime) for _ in range(2))
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name)

    def _fit_long(self, task: Task, runtime: Runtime) -> NeuralModel:
        model = self.model(**self.long)
        assert isinstance(model, NeuralModel)
        return model.fit(task.train, valid=task.cases[:200], seed=4, runtime=runtime)

    def _train_and_kill(self, checkpoint: Path) -> None:
        """Train in another process and kill it inside its second epoch or a later one."""
        arguments = [self.model.name, json.dumps(self.long), self.make_task.__name__, str(checkpoint)]
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_CHILD), *arguments], env={**os.environ, "PYTHONPATH": path}
        )
        try:
            deadline = time.monotonic() + 120
            while child.poll() is None and time.monotonic() < deadline:
                if checkpoint.exists():
                    position = load_checkpoint(checkpoint)[1].position
                    if position.epoch >= 1 and position.step > 0:
                        break
                time.sleep(0.002)
        finally:
            child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the training ended before it was killed: make it longer"

    def test_the_checkpoint_of_other_parameters_is_refused(self, task: Task, tmp_path: Path) -> None:
        runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", resume=True)
        self.brief().fit(task.train, seed=1, runtime=runtime)
        with pytest.raises(ArtifactError, match=r"checkpoint of another training \(different seed"):
            self.brief().fit(task.train, seed=2, runtime=runtime)

    def test_training_touches_no_global_generator(self, task: Task) -> None:
        torch.manual_seed(0)
        before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
        self.brief().fit(task.train, valid=task.cases[:50])
        assert torch.equal(torch.get_rng_state(), before)
        assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002
