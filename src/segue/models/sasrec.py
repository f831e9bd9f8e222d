"""SASRec: a causal transformer over the session's most recent events."""

import math

from pydantic import Field

from segue.models.sequence import BEAUTY_PREFIXES, SESSIONS
from segue.models.transformer import TransformerConfig, TransformerModel
from segue.nn.encoders.layers import Activation
from segue.nn.encoders.transformer import NormOrder, TransformerEncoder
from segue.training.config import SequenceTraining


class SASRecConfig(TransformerConfig):
    """Parameters of SASRec."""

    activation: Activation = "relu"
    """Activation of the feed-forward layers."""
    norm_order: NormOrder = "query"
    """Layer normalisation: of the query only, as in the authors' code (query), before (pre) or after (post) each
    sub-layer, or gated as in eSASRec (gated)."""
    layer_norm_eps: float = Field(1e-8, gt=0)
    """Epsilon of the layer normalisations."""
    training: SequenceTraining = SequenceTraining(epochs=30, learning_rate=1e-3, metric="ndcg@10")
    """Training parameters."""

    presets = {
        "recbole": {
            "inner_size": 256,
            "heads": 2,
            "activation": "gelu",
            "norm_order": "post",
            "dropout": 0.5,
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
            "training": {"positions": "last"},
        },
        "authors": {
            "embedding_size": 50,
            "inner_size": 50,
            "max_length": 200,
            "training": {
                "windows": "recent",
                "epochs": 201,
                "loss": {"kind": "bce", "n_samples": 1, "targets_per_draw": 1, "alpha": 0.0},
            },
        },
        "beauty": {"dropout": 0.5, "similarity": "cosine", "training": BEAUTY_PREFIXES},
        "sessions": {
            "embedding_size": 100,
            "inner_size": 100,
            "max_length": 10,
            "dropout": 0.3,
            "training": {**SESSIONS, "metric": "mrr@20"},
        },
        "ml-1m": {
            "embedding_size": 128,
            "inner_size": 256,
            "heads": 2,
            "max_length": 100,
            "training": {
                "epochs": 25,
                "patience": None,
                "learning_rate": 2e-3,
                "schedule": "linear",
                "warmup": 0.05,
            },
        },
    }


class SASRec(TransformerModel):
    """Causal self-attention over the session; predicts the next item at every position.

    With equal weights, the outputs equal those of pmixer's PyTorch code; queries are normalised and keys are not, as in
    the authors' code. Where we differ: positions count back from the end, padding is masked, and the default loss is
    the full cross-entropy instead of one negative per event. The preset ``recbole`` uses RecBole's sizes, blocks and
    training after the last event of every prefix; RecBole normalises the input in addition, and not the output.
    """

    name = "sasrec"
    paper = "Kang and McAuley 2018, arXiv 1808.09781"
    Config = SASRecConfig
    config: SASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
        """Return a network with fresh weights."""
        stack = self.stack(activation=self.config.activation, norm_order=self.config.norm_order, final_norm=True)
        return TransformerEncoder(**self.sizes(n_items), stack=stack, scale=math.sqrt(self.config.embedding_size))
