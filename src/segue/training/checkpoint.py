"""Training state in one file, replaced atomically: a kill at any moment leaves the old file or the new one."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segue.errors import ArtifactError
from segue.storage import replacing_file
from segue.strict_json import dumps
from segue.threads import other_threads
from segue.training.optimizers import Optimizer
from segue.training.parallel import Group
from segue.training.runtime import EpochRecord

THREADS = "threads"
"""Name of the number of threads in the identity of a training."""

Count = Annotated[int, Field(ge=0)]


@dataclass
class Position:
    """Where training stands: the next step to take.

    Attributes:
        epoch: epochs that are finished.
        step: steps of the next epoch that are taken.
        loss_sum: sum of their losses.
        seconds: their time.
        best_epoch: the epoch whose weights are kept; -1 for none.
    """

    epoch: Count = 0
    step: Count = 0
    loss_sum: float = 0.0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    best_epoch: Annotated[int, Field(ge=-1)] = -1


class TrainingState(BaseModel):
    """What a checkpoint holds besides tensors."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    identity: dict[str, str]
    """Values that tell this training from others, by name."""
    position: Position
    best: float | None
    """Validation metric of the best weights; None without them."""
    curve: list[EpochRecord]
    """The epochs that are finished."""

    def require_possible(self, epochs: int) -> None:
        """Refuse a position that no training of so many epochs has.

        Raises:
            ValueError: the first rule that is broken.
        """
        position = self.position
        if position.epoch > epochs or (position.epoch == epochs and position.step):
            raise ValueError(f"position.epoch: must be at most {epochs}, got {position.epoch} and step {position.step}")
        if [record.epoch for record in self.curve] != list(range(position.epoch)):
            raise ValueError(f"curve: must have each of the {position.epoch} finished epochs")
        if position.best_epoch >= position.epoch:
            raise ValueError(f"position.best_epoch: must be below {position.epoch}, got {position.best_epoch}")


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able state; floats survive exactly.

    Raises:
        StorageError: the write failed; the older checkpoint is still there.
    """
    # Two names may share one storage (tied weights); safetensors wants each tensor on its own.
    owned = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    with replacing_file(path) as scratch:
        save_file(owned, scratch, metadata={"state": dumps(state)})


def found(path: Path, group: Group) -> bool:
    """Return whether there is a checkpoint; no process of a group writes another one before all have looked.

    Raises:
        ArtifactError: the processes do not see the same file.
    """
    content = path.read_bytes() if group.size > 1 and path.exists() else b""
    if not group.agrees(hashlib.sha256(content).digest()):
        raise ArtifactError(
            f"{path}: must be the same file for all {group.size} processes; choose a folder that all machines share"
        )
    return path.exists()


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], TrainingState]:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        ArtifactError: the file is damaged or foreign.
    """
    with damage(path), safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        # A copy is aligned as a fresh tensor is, without which a matrix product may round otherwise.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no dict)
        return tensors, TrainingState.model_validate_json(metadata["state"])


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn an error in the content of a checkpoint into an ``ArtifactError``."""
    try:
        yield
    except ArtifactError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc'])) or 'state'}: {first['msg']}"
        raise ArtifactError(
            f"{path}: is not a checkpoint of segue, or is damaged ({reason}); delete it to start over"
        ) from error


def require_like(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], part: str) -> None:
    """Refuse tensors that differ from the expected ones in name, dtype or shape, or are not finite.

    Args:
        tensors: the tensors by name.
        expected: tensors of the right dtype and shape.
        part: which part of the checkpoint they are, for messages.

    Raises:
        ValueError: the first one.
    """
    for name in (*expected, *tensors):
        if name not in tensors or name not in expected:
            raise ValueError(f"{part}.{name}: is {'unknown' if name in tensors else 'missing'}")
        tensor, like = tensors[name], expected[name]
        if (tensor.dtype, tensor.shape) != (like.dtype, like.shape):
            right, found = (f"{one.dtype} {tuple(one.shape)}".removeprefix("torch.") for one in (like, tensor))
            raise ValueError(f"{part}.{name}: must be {right}, got {found}")
        if not all_finite(tensor):
            raise ValueError(f"{part}.{name}: must be finite")


def all_finite(tensor: Tensor) -> bool:
    """Say whether all values are finite. The extremes show it, and take no copy of the tensor, as ``isfinite`` does."""
    return tensor.numel() == 0 or all(bool(bound.isfinite()) for bound in tensor.aminmax())


def require_squares(tensors: Mapping[str, Tensor], part: str) -> None:
    """Refuse negative sums or means of squared gradients in the state of an optimiser.

    Raises:
        ValueError: the first one.
    """
    for name, tensor in tensors.items():
        if name.rpartition(".")[2] in ("exp_avg_sq", "sum") and (tensor < 0).any():
            raise ValueError(f"{part}.{name}: must not be negative")


def require_same_training(path: Path, saved: Mapping[str, str], identity: Mapping[str, str]) -> None:
    """Refuse the checkpoint of another training.

    Args:
        path: the checkpoint.
        saved: identity of the training that wrote it.
        identity: identity of the training that reads it.

    Raises:
        ArtifactError: they differ.
    """
    for name in {**identity, **saved}:
        before, now = saved.get(name), identity.get(name)
        if name == THREADS and before != now and all(re.fullmatch(r"\d{1,9}", one or "") for one in (before, now)):
            assert before is not None
            assert now is not None
            raise ArtifactError(
                f"{path}: was started with {other_threads(int(before), int(now))}, or delete it to start over"
            )
        if before != now:
            raise ArtifactError(
                f"{path}: is the checkpoint of another training (different {name}); "
                "delete it to start over, or resume with the settings it was started with"
            )


def section(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``name`` and a dot, without these."""
    prefix = name + "."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimiser as tensors by name."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load what ``optimizer_tensors`` returned."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, entry = name.split(".", 1)
        entries.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})


def weights_hash(module: nn.Module) -> str:
    """Return a short hash of the weights of a module."""
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()[:16]
