"""What each change of a recipe contributes, on the validation cases of a log.

    python benchmarks/ablation.py ABLATION.yaml FOLDER [--only NAME,NAME] [--seeds 1] [--precision fp32]

The file names the log, the metrics, the recipe and its variants; files for public logs are in benchmarks/ablations:

    data: {log: beauty, unit: user}             # as in the file of segue run --config
    metrics: [hit@10, ndcg@10]
    recipe: {model: sasrec, preset: beauty}     # and parameters, by their dotted names
    variants:
      dropout 0.5: {dropout: 0.5}               # on top of the recipe
      markov: {model: markov}                   # another model: no parameter of the recipe applies
      rules: {model: sequential-rules, against: markov}

Differences are from the recipe, or from the variant that ``against`` names. Networks that do not stop early
(training.patience none) are fitted without the validation cases and measured after their last epoch. What is finished
is kept in FOLDER, so that a killed run goes on, and variants can be added later.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seeds import Measuring, Row, compare, folder_for

import segue
from segue import strict_yaml
from segue.experiment.prepared_data import prepare_log
from segue.models.registry import model_class
from segue.parameters import nested
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime


def row(settings: Mapping[str, Any], against: str | None) -> Row:
    """Return a model, given its name, its preset, its parameters and what it is compared with."""
    parameters = {name: value for name, value in settings.items() if name not in ("model", "preset", "against")}

    model = model_class(settings["model"])(preset=settings.get("preset"), **nested(parameters))
    stops_early = getattr(getattr(model.config, "training", None), "patience", None) is not None

    def fit(data: Dataset, seed: int, runtime: Runtime) -> segue.Model:
        return model.fit(data.train, valid=data.valid if stops_early else None, seed=seed, runtime=runtime)

    return Row(fit, settings.get("against", against), settings=(model.name, model.config.model_dump(mode="json")))


def main() -> None:
    """Run the ablation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="names of variants, separated by commas")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    args = parser.parse_args()
    plan = strict_yaml.read(args.ablation)
    recipe, variants = plan["recipe"], plan["variants"]
    rows = {"recipe": row(recipe, None)}
    for name in variants if args.only is None else args.only.split(","):
        settings = variants[name] if "model" in variants[name] else {**recipe, **variants[name]}
        rows[name] = row(settings, "recipe")
    data = prepare_log(segue.RunConfig(**plan["data"]))
    folder = folder_for(args.folder, data, precision=args.precision)
    compare(rows, data, Measuring(folder, plan["metrics"], args.seeds, "valid", args.precision))


if __name__ == "__main__":
    main()
