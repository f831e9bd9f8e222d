"""Training state in one file, replaced atomically: a kill at any moment leaves the old file or the new one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segue.errors import ArtifactError
from segue.storage import replacing_file
from segue.strict_json import dumps
from segue.threads import other_threads
from segue.training.optimizers import Optimizer

THREADS = "threads"
"""Name of the number of threads in the identity of a training."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON-able state; floats survive exactly.

    Raises:
        StorageError: the write failed; the older checkpoint is still there.
    """
    # Two names may share one storage (tied weights); safetensors wants each tensor on its own.
    owned = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    with replacing_file(path) as scratch:
        save_file(owned, scratch, metadata={"state": dumps(state)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        ArtifactError: the file is damaged or foreign.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            # A copy is aligned as a fresh tensor is, without which a matrix product may round otherwise.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no dict)
        return tensors, json.loads(metadata["state"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"{path}: is not a checkpoint of segue, or is damaged ({error}); delete it to start over"
        ) from error


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
        if name == THREADS and before is not None and now is not None and before != now:
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
