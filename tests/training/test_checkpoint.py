from pathlib import Path

import pytest
import torch

from largest_tensor import LargestTensor
from segue.errors import ArtifactError, StorageError
from segue.training.checkpoint import all_finite, load_checkpoint, save_checkpoint


def test_it_gives_back_what_it_was_given(tmp_path: Path) -> None:
    table = torch.randn(5, 3)
    tensors = {"table": table, "tied": table, "column": table[:, 1], "count": torch.tensor(7)}
    record = {"epoch": 0, "loss": 0.1 + 0.2, "validation": None, "seconds": 1.5, "kept": True}
    record |= {"train_auc": None, "skipped": None}
    position = {"epoch": 1, "step": 3, "loss_sum": 0.1 + 0.7, "seconds": 0.0, "best_epoch": 0}
    state = {"identity": {"model": "näme"}, "position": position, "best": 1 / 3, "curve": [record]}
    save_checkpoint(tmp_path / "folder" / "state", tensors, state)
    loaded, loaded_state = load_checkpoint(tmp_path / "folder" / "state")
    assert loaded_state.model_dump() == state
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.values())


def test_a_failed_write_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    state = {"identity": {}, "position": {}, "best": None, "curve": []}
    save_checkpoint(path, {"a": torch.ones(2)}, state)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segue.training.checkpoint.save_file", full)
    with pytest.raises(StorageError, match="state"):
        save_checkpoint(path, {"a": torch.zeros(2)}, state)
    assert torch.equal(load_checkpoint(path)[0]["a"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(ArtifactError, match="state: is not a checkpoint of segue, or is damaged"):
        load_checkpoint(tmp_path / "state")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found_wherever_it_is(value: float) -> None:
    assert all_finite(torch.zeros(0))
    assert all_finite(torch.tensor(3))
    for place in range(67):
        tensor = torch.randn(67)
        assert all_finite(tensor)
        tensor[place] = value
        assert not all_finite(tensor)


def test_looking_for_values_that_are_not_finite_copies_nothing() -> None:
    tensor = torch.zeros(1000)
    with LargestTensor() as largest:
        assert all_finite(tensor)
    assert largest.numel == 1
