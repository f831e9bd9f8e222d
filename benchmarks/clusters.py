"""Clusters of the attention-clustering network on the demo shop beside the categories of the shop's items.

    python benchmarks/clusters.py

Purity grows with the number of clusters, so the last column shuffles the items among clusters of the same sizes. The
rows differ in where the clusters' vectors come from: from the events of the session, or from a trained table.
"""

from typing import Any

import numpy as np

import segue
from segue.cli.progress import progress_shown
from segue.data.synthetic import shop
from segue.metrics.beyond_accuracy import cluster_purity
from segue.training.runtime import Runtime

ROWS: dict[str, dict[str, Any]] = {
    "pooled": {"training": {"epochs": 8}},
    "trained": {
        "vectors": "trained",
        "anneal": 1.0,
        "training": {"batch_size": 128, "epochs": 8, "learning_rate": 0.01, "loss": {"n_samples": 256}},
    },
}


def main() -> None:
    """Run the comparison."""
    data = segue.prepare(shop(), "session-next", split={"test_days": 2})
    categories = np.unique(data.train.vocabulary.table["category"].to_numpy(), return_inverse=True)[1]
    print(f"protocol {data.hash}, {len(data.train.vocabulary):,} items, {categories.max() + 1} categories")
    for name, settings in ROWS.items():
        model = segue.AttentionClustering(**settings)
        with progress_shown() as progress:
            model.fit(data.train, seed=0, runtime=Runtime("cpu", "bf16", progress=progress))
        clusters = model.clusters()
        by_chance = cluster_purity(np.random.default_rng(0).permutation(clusters), categories)
        recall = segue.evaluate(model, data).metrics["recall@20"]
        print(
            f"{name:8} purity {cluster_purity(clusters, categories):.3f} (by chance {by_chance:.3f})   "
            f"{model.share_in_use():.0%} of the clusters in use   recall@20 {recall:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
