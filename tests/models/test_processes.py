"""Several processes train the model of one, bit for bit, also when they are killed and others go on."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from shared_training import CASES, digests, start, trained

from segue.errors import ArtifactError
from segue.training.checkpoint import load_checkpoint
from segue.training.parallel import ALONE


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    assert torch.get_num_threads() == 1, "the sums of several threads differ from those of one"


@pytest.mark.parametrize("size", [2, 4])
def test_processes_train_the_model_of_one(size: int) -> None:
    """Equal weights, losses and validation for each way to train."""
    assert digests(start(size, list(CASES))) == {case: trained(case, ALONE) for case in CASES}


def kill_one(processes: list[subprocess.Popen[str]], checkpoint: Path, steps: int, victim: int) -> None:
    """Kill one of the processes when the training is so many steps on; the others must end by themselves."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert all(process.poll() is None for process in processes), [one.communicate() for one in processes]
        if checkpoint.exists():
            position = load_checkpoint(checkpoint)[1].position
            if position.step + 1000 * position.epoch >= steps:
                break
        time.sleep(0.01)
    processes[victim].send_signal(signal.SIGKILL)
    for number, process in enumerate(processes):
        _, err = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if number == victim else 1)
        if number != victim:
            assert f"processes: one of {len(processes)} ended during the training (it was killed" in err


LONG = 5
"""Epochs of a training that is killed."""


@pytest.mark.parametrize("case", ["gru4rec, bpr-max", "sasrec, mixed, sampled", *list(CASES)[::2]])
def test_killed_in_two_processes_and_gone_on_with_in_one_and_in_two(case: str, tmp_path: Path) -> None:
    draw, checkpoint = random.Random(case), tmp_path / "state"
    kill_one(start(2, [case], LONG, checkpoint), checkpoint, 1000 + draw.randrange(2) * 50, draw.randrange(2))
    reached = load_checkpoint(checkpoint)[1].position
    assert reached.epoch < LONG
    kill_one(start(1, [case], LONG, checkpoint), checkpoint, 1000 * (reached.epoch + 1), 0)
    assert reached.epoch < load_checkpoint(checkpoint)[1].position.epoch < LONG
    assert digests(start(2, [case], LONG, checkpoint)) == {case: trained(case, ALONE, LONG)}


def test_another_number_of_micro_batches_is_another_training(tmp_path: Path) -> None:
    case = "gru4rec, bpr-max"
    trained(case, ALONE, 1, tmp_path / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CASES[case][1]["training"], "micro_batches", 2)
        with pytest.raises(ArtifactError, match=r"different parameters"):
            trained(case, ALONE, 1, tmp_path / "state")
