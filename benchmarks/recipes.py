"""The four recipes of Improved GRU4Rec, one at a time, over several seeds.

    python benchmarks/recipes.py LOG FOLDER [--seeds 3] [--epochs 4]

``plain`` learns from every prefix as it is. Each other row adds one recipe of Tan et al. 2016 to it: clicks that are
left out at random, a second training on the most recent sessions, a teacher that sees what comes after the label, and
the loss that predicts the embedding of the next item instead of choosing among the items. Differences are from
``plain``. LOG has a given split, as diginetica has. What is finished is kept in FOLDER, so that a killed
run goes on.
"""

import argparse
from pathlib import Path
from typing import Any

from seeds import Measuring, Row, compare, folder_for

import segue
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

PLAIN: dict[str, Any] = {
    "click_dropout": 0.0,
    "optimizer": "mixed",
    "learning_rate": 3e-3,
    "batch_size": 128,
    "schedule": "linear",
}
RECIPES: dict[str, dict[str, Any]] = {
    "click dropout": {"click_dropout": 0.1},
    "fine-tuning": {"fine_tuning": {"epochs": 1, "recent_share": 0.25, "learning_rate": 6e-4}},
    "privileged information": {"privileged": {"weight": 0.3}},
    "output embedding": {"loss": "cosine"},
}


def row(recipe: dict[str, Any], epochs: int, against: str | None) -> Row:
    """Return the model with one recipe."""

    def fit(data: Dataset, seed: int, runtime: Runtime) -> segue.Model:
        model = segue.ImprovedGRU4Rec(training={**PLAIN, "epochs": epochs, **recipe})
        return model.fit(data.train, seed=seed, runtime=runtime)

    return Row(fit, against)


def main() -> None:
    """Run the ablation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    rows = {"plain": row({}, args.epochs, None)}
    rows |= {name: row(recipe, args.epochs, "plain") for name, recipe in RECIPES.items()}
    data = segue.prepare(segue.read(args.log), split={"valid_share": 0.0})
    folder = folder_for(args.folder, data, epochs=args.epochs, plain=PLAIN, recipes=RECIPES)
    compare(rows, data, Measuring(folder, ("recall@20", "mrr@20"), args.seeds))


if __name__ == "__main__":
    main()
