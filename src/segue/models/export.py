"""Export of networks to ONNX, checked in onnxruntime against the model itself."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from segue.data.batches.windows import Window, window_of
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.errors import ParameterError, SegueError, import_extra, require_extra
from segue.models.base import Model
from segue.models.measured_search import sample_sessions
from segue.models.neural import NeuralModel
from segue.nn.encoders.base import SequenceEncoder
from segue.storage import replacing_file
from segue.strict_json import dumps
from segue.version import __version__

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
EXTRA = "onnx"

METADATA = "segue"
"""Key of the metadata of the file: JSON with the ids and how sessions are encoded."""

_OPSET = 18
_SESSIONS = 100
_TOLERANCE = 1e-5


class _Network(nn.Module):
    """Items of the most recent events in; scores, or the best items and their scores, out.

    Args:
        network: the network.
        listed: whether each item may be listed, [N+1].
        k: length of the lists; None for the scores of all items.
    """

    last: Tensor
    """The items that are ranked behind all others."""

    def __init__(self, network: SequenceEncoder, listed: Tensor, k: int | None) -> None:
        super().__init__()
        self.network, self.k = network, k
        self.register_buffer("last", ~listed)

    def forward(self, items: Int64[Tensor, "B L"]) -> Float32[Tensor, "B M"] | tuple[Tensor, Tensor]:
        """Return scores with -inf for padding, or item indices and scores."""
        scores = self.network.logits(self.network.scaled(self.network.last(Window(items)))).float()
        scores = scores.masked_fill(self.last, torch.finfo(torch.float32).min)
        scores = torch.cat((torch.full_like(scores[:, :1], -torch.inf), scores[:, 1:]), dim=1)
        if self.k is None:
            return scores
        best = scores.topk(self.k, dim=1)
        return best.indices, best.values


def export_onnx(model: Model, path: Path, *, top_k: int | None = None, version: str = "") -> float:
    """Write a network as an ONNX file, after onnxruntime has given the scores of the model on 100 random sessions.

    Args:
        model: a fitted model.
        path: the file, which is replaced in one step.
        top_k: length of the lists that the file computes; None for the scores of all items.
        version: the version of the model's artifact, for the metadata.

    Returns:
        The greatest difference of two scores, relative to the greatest score of the session.

    Raises:
        ParameterError: the model is no network that can be exported, or it knows fewer items than ``top_k``.
        SegueError: the export fails, or the exported network gives other scores; nothing is written.
        MissingExtraError: the extra ``onnx`` is missing.
    """
    network = _exportable(model)
    known = int(model.vocabulary.known.sum())
    if top_k is not None and not 1 <= top_k <= known:
        raise ParameterError(f"--top-k: must be between 1 and the {known} items that the model knows, got {top_k}")
    require_extra(PACKAGES, "the export to ONNX", EXTRA)
    wrapped = _Network(network, torch.from_numpy(model.vocabulary.known), top_k).eval()
    content = _converted(wrapped, network, _metadata(model, network, top_k, version))
    difference = _verify(content, model, network, top_k)
    with replacing_file(path) as scratch:
        scratch.write_bytes(content)
    return difference


def _exportable(model: Model) -> SequenceEncoder:
    """Return the network of a model that can be exported."""
    network = model.network if isinstance(model, NeuralModel) else None
    if isinstance(network, SequenceEncoder):
        if columns := [*model.context_columns, *model.upcoming_columns]:
            raise ParameterError(
                f"{model.name}: cannot be exported to ONNX: it reads {', '.join(dict.fromkeys(columns))} besides the "
                "items; train it without, or serve it with segue serve"
            )
        return network
    if network is not None:
        reason = "carries a state from event to event; export improved-gru4rec instead, or serve it with segue serve"
    else:
        reason = "is no network; export one of the sequence encoders (segue models), or serve it with segue serve"
    raise ParameterError(f"{model.name}: cannot be exported to ONNX: it {reason}")


def _metadata(model: Model, network: SequenceEncoder, top_k: int | None, version: str) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": version,
        "segue": __version__,
        "max_length": network.max_length,
        "fixed_length": network.fixed_width,
        "top_k": top_k,
        # Cold items without similar ones have none: the model neither reads nor lists them.
        "ids": [
            raw if known else None
            for raw, known in zip(model.vocabulary.raw_ids, model.vocabulary.known.tolist(), strict=True)
        ],
        "preprocessing": "drop ids that are not in ids; replace the others by their place in ids; keep the last "
        "max_length; pad on the left with 0" + (" to max_length" if network.fixed_width else ""),
    }


def _converted(wrapped: _Network, network: SequenceEncoder, metadata: dict[str, Any]) -> bytes:
    """Return an ONNX file with the network and its metadata."""
    example = torch.ones((2, network.max_length), dtype=torch.int64)
    dynamic = torch.export.Dim.DYNAMIC
    axes = {0: dynamic} if network.fixed_width or network.max_length == 1 else {0: dynamic, 1: dynamic}
    outputs = ["scores"] if wrapped.k is None else ["best", "scores"]
    try:
        _forget_traces()
        with _silent(), torch.no_grad():
            program: Any = torch.onnx.export(
                wrapped,
                (example,),
                dynamo=True,
                dynamic_shapes={"items": axes},
                input_names=["items"],
                output_names=outputs,
                opset_version=_OPSET,
                verbose=False,
            )
        proto = program.model_proto
        entry = proto.metadata_props.add()
        entry.key, entry.value = METADATA, dumps(metadata)
        content: bytes = proto.SerializeToString()
    except Exception as error:  # Torch has no common class of its errors.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SegueError(f"the network cannot be exported to ONNX by torch {torch.__version__}: {first}") from error
    return content


def _forget_traces() -> None:
    """Have torch look up how it traces a recurrent layer.

    For an export, torch traces it as a loop over any number of events. An export or a trace before leaves the usual
    one, with a fixed number of events, in a cache that torch does not empty.
    """
    getattr(torch.ops.aten.gru.input, "_dispatch_cache", {}).clear()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the progress and the warnings of torch's exporter from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings(), Path(os.devnull).open("w", encoding="utf-8") as nothing, redirect_stdout(nothing):
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)


def _verify(content: bytes, model: Model, network: SequenceEncoder, top_k: int | None) -> float:
    """Compare an exported network with the model; see ``export_onnx``."""
    runtime = import_extra("onnxruntime", "the export to ONNX", EXTRA)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    sessions = sample_sessions(model.vocabulary, _SESSIONS)
    width, worst = network.max_length if network.fixed_width else None, 0.0
    for size in (1, 7, len(sessions)):  # Several numbers of sessions and of events.
        prefixes = Prefixes.from_lists(sessions[:size], model.vocabulary)
        items = window_of(prefixes, network.max_length, width=width).items.numpy()
        output = session.run(None, {"items": items})
        wanted = model.score(prefixes).numpy()
        real = np.broadcast_to(model.vocabulary.known, wanted.shape)
        scale = np.abs(np.where(real, wanted, 0.0)).max(axis=1, keepdims=True) + np.finfo(np.float32).tiny
        if top_k is None:
            found, compared = output[0], wanted
        else:
            # An item of the list must have the score of the model, and no better item may be missing.
            listed, found = output
            compared = np.take_along_axis(wanted, listed, axis=1)
            real = np.take_along_axis(real, listed, axis=1)
            best = -np.sort(-np.where(np.arange(wanted.shape[1]) == PADDING, -np.inf, wanted), axis=1)[:, :top_k]
            worst = max(worst, float(np.max(np.where(real, np.abs(best - compared) / scale, 0.0))))
        worst = max(worst, float(np.max(np.where(real, np.abs(found - compared) / scale, 0.0))))
    if not worst <= _TOLERANCE:
        raise SegueError(
            f"the exported network gives other scores than {model.name}: they differ by {worst:.1e} of the greatest "
            f"score of a session, and {_TOLERANCE:.0e} is allowed; nothing was written"
        )
    return worst
