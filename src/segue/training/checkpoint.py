"""Training state in one file, replaced atomically: a kill at any moment leaves the old file or the new one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from segue.errors import ArtifactError
from segue.storage import replacing_file
from segue.strict_json import dumps


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
            f"{path}: is no checkpoint of segue or is damaged ({error}); delete it to start over"
        ) from error
