"""gSASRec: SASRec with a loss that corrects the overconfidence due to negative sampling."""

from segue.models.transformer import TransformerConfig, TransformerModel
from segue.nn.encoders.transformer import TransformerEncoder
from segue.nn.losses.config import GBCE
from segue.spaces import Range
from segue.training.config import SequenceTraining


class GSASRecConfig(TransformerConfig):
    """Parameters of gSASRec."""

    training: SequenceTraining = SequenceTraining(
        epochs=30,
        batch_size=32,
        metric="ndcg@10",
        loss=GBCE(n_samples=256, targets_per_draw=20, alpha=0.0, gbce_t=0.75),
    )
    """Training parameters."""

    presets = {
        "ml-1m": {
            "embedding_size": 128,
            "inner_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 24,
                "patience": None,
                "learning_rate": 1.5e-3,
                "schedule": "linear",
                "warmup": 0.02,
            },
        },
        "authors": {
            "embedding_size": 128,
            "inner_size": 128,
            "max_length": 200,
            "dropout": 0.5,
            "training": {"windows": "recent", "batch_size": 128, "epochs": 10000, "patience": 200},
        },
    }

    search = {**TransformerConfig.search, "training.loss.gbce_t": Range(0.0, 1.0)}


class GSASRec(TransformerModel):
    """SASRec trained with generalised binary cross-entropy and many negatives.

    With equal weights, the outputs equal those of the authors' code, provided that input and output share their item
    table, as in the paper; the published code has two tables. Its transformer differs from SASRec's in three details,
    which segue follows: the item embeddings are not scaled, no projection mixes the heads, and the layer normalisations
    add 1e-5. Where we differ: positions count back from the end; negatives are sampled for every 20 targets
    (``targets_per_draw``) instead of every target, which learns equally well at a fraction of the cost; and negatives
    that equal the target are dropped. Use small batches: this loss needs some thousand steps before it learns anything
    but popularity.
    """

    name = "gsasrec"
    paper = "Petrov and Macdonald 2023, arXiv 2308.07192"
    Config = GSASRecConfig
    config: GSASRecConfig

    def build(self, n_items: int) -> TransformerEncoder:
        """Return a network with fresh weights."""
        stack = self.stack(activation="relu", norm_order="query", mix_heads=False, final_norm=True)
        return TransformerEncoder(**self.sizes(n_items), stack=stack)
