"""eSASRec: SASRec with gated blocks and a sampled softmax."""

from pydantic import Field

from segue.models.transformer import Heads, TransformerConfig, TransformerModel
from segue.nn.encoders.transformer import TransformerEncoder
from segue.nn.losses.config import SampledSoftmax
from segue.training.config import SequenceTraining


class ESASRecConfig(TransformerConfig):
    """Parameters of eSASRec."""

    heads: Heads = 2
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layers."""
    training: SequenceTraining = SequenceTraining(
        epochs=30, batch_size=32, metric="ndcg@10", loss=SampledSoftmax(n_samples=512, alpha=0.0)
    )
    """Training parameters."""

    presets = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 16,
                "patience": None,
                "learning_rate": 1.5e-3,
                "schedule": "linear",
                "warmup": 0.02,
            },
        },
    }


class ESASRec(TransformerModel):
    """SASRec with LiGR layers: gated residual connections and a SwiGLU feed-forward.

    With equal weights, the outputs equal those of RecTools' code, provided that padding is masked; the published code
    attends to its padding. Where we differ: the negatives of a step, which are uniform as in the original, are shared
    by its targets, and the logQ correction uses their expected counts.
    """

    name = "esasrec"
    paper = "Tikhonovich et al. 2025, arXiv 2508.06450"
    Config = ESASRecConfig
    config: ESASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
        """Return a network with fresh weights."""
        return TransformerEncoder(**self.sizes(n_items), stack=self.stack(activation="swiglu", norm_order="gated"))
