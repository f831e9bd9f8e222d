"""Micro-batches, the order of their sum, and the place of a process among others."""

import re

import pytest
import torch
from torch import Tensor

from segue.errors import ParameterError
from segue.training.config import TrainingConfig
from segue.training.parallel import ALONE, Gradients, Group, Part, tree_sum
from segue.training.processes import Place, device_of, process_group


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 9, 128])
def test_the_parts_are_the_whole_in_order(rows: int) -> None:
    parts = [list(range(rows))[Part(index, 4).of(rows)] for index in range(4)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_processes_take_consecutive_parts(size: int) -> None:
    groups = [Group(rank, size) for rank in range(size)]
    assert [part for group in groups for part in group.parts(8)] == [Part(index, 8) for index in range(8)]


def test_the_sum_is_a_binary_tree() -> None:
    values = [torch.tensor([one]) for one in (1e8, 1.0, -1e8, 1.0, 3e-8, 1.0, 7.0, 1e-8)]
    (found,) = tree_sum(lambda part: [values[part.index].clone()], ALONE.parts(8))
    a, b, c, d, e, f, g, h = values
    assert torch.equal(found, ((a + b) + (c + d)) + ((e + f) + (g + h)))
    # The sum of a process is a branch of the tree, whatever the number of processes.
    halves = [tree_sum(lambda part: [values[part.index].clone()], Group(rank, 2).parts(8))[0] for rank in range(2)]
    assert torch.equal(found, halves[0] + halves[1])


def test_sparse_gradients_are_concatenated_and_none_is_left_out() -> None:
    def sparse(ids: list[int]) -> Tensor:
        return torch.sparse_coo_tensor([ids], torch.tensor(ids).float().unsqueeze(1), (9, 1), check_invariants=True)

    found: dict[int, Gradients] = {
        0: [sparse([3, 1]), None, None],
        1: [None, None, torch.tensor([-0.0])],
        2: [sparse([1]), None, None],
        3: [sparse([8, 8]), None, torch.tensor([2.0])],
    }
    rows, nothing, dense = tree_sum(lambda part: found[part.index], ALONE.parts(4))
    assert rows is not None
    assert rows._indices().tolist() == [[3, 1, 1, 8, 8]]
    assert rows._values().flatten().tolist() == [3, 1, 1, 8, 8]
    assert nothing is None
    assert dense is not None
    assert dense.tolist() == [2.0]


def test_alone_nothing_is_exchanged() -> None:
    gradients: Gradients = [torch.ones(2), None]
    assert ALONE.sum_gradients(gradients, [torch.zeros(2), torch.zeros(3)]) is gradients
    rows = torch.ones(3, 2)
    assert ALONE.gather_rows(rows) is rows
    assert ALONE.agree(0.1) == 0.1
    assert ALONE.agrees(b"x")
    with process_group(torch.device("cpu"), Place()) as group:
        assert group == ALONE


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, "micro_batches: must be greater than or equal to 1, got 0"),
        (6, r"micro_batches: must be a power of two (for example 4 or 8), got 6"),
        (64, "micro_batches: must be at most training.batch_size, 32 (they are parts of a step), got 64"),
    ],
)
def test_numbers_of_micro_batches_that_cannot_be(number: int, message: str) -> None:
    from segue.models.sasrec import SASRec

    with pytest.raises(ParameterError, match=re.escape(message)):
        SASRec(training={"batch_size": 32, "micro_batches": number})
    assert TrainingConfig().micro_batches == 1


def test_processes_that_cannot_share_a_training_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"processes: must be 1 for als, whose training is not divided .* got 2$"):
        Group(1, 2).check("als", None)
    with pytest.raises(ParameterError, match=r"sasrec.training.micro_batches: must be a multiple of the 3 .* got 4;"):
        Group(1, 3).check("sasrec", 4)
    for size in (1, 2, 4):
        Group(0, size).check("sasrec", 4)
    ALONE.check("als", None)


ENVIRONMENT = {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "node-1", "MASTER_PORT": "29500"}


def test_the_environment_says_where_a_process_is() -> None:
    assert Place.of({}) == Place.of({"WORLD_SIZE": "1", "RANK": "0"}) == Place(0, 1, 0)
    assert Place.of(ENVIRONMENT) == Place(2, 4, 1)
    assert device_of("cuda", Place(2, 4, 1)) == "cuda:1"
    assert device_of("cpu", Place(2, 4, 1)) == "cpu"
    assert device_of("cuda", Place()) == "cuda"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"WORLD_SIZE": "two"},
            "WORLD_SIZE: must be a number, at least 1, in the environment, got 'two'; use torchrun",
        ),
        ({"RANK": "4"}, "RANK: must be a number, between 0 and 3, in the environment, got '4'"),
        ({"RANK": None}, "RANK: must be set in the environment of each of the 4 processes"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR: must be set in the environment"),
        ({"MASTER_PORT": "0"}, "MASTER_PORT: must be a number, between 1 and 65535, in the environment, got '0'"),
    ],
)
def test_an_incomplete_environment_is_refused(change: dict[str, str | None], message: str) -> None:
    changed = {name: value for name, value in {**ENVIRONMENT, **change}.items() if value is not None}
    with pytest.raises(ParameterError, match=re.escape(message)):
        Place.of(changed)
