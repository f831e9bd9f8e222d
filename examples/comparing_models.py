"""Compare models: one run with baselines, significance tests, and a second run.

Run it with: python examples/comparing_models.py [FOLDER]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import segue
from segue.data.synthetic import shop

folder = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp())
visits = shop(3_000, seed=0)

# A run trains the named models and the baselines under one protocol and writes a report.
network = {"hidden_size": 32, "training": {"epochs": 2}}
config = segue.RunConfig(log="shop", models=["stan", "gru4rec"], set={"gru4rec": network})
results = segue.run(config, folder / "first", events=visits)

for row in results.models:
    print(f"{row.label:18} recall@20 {row.metrics['recall@20']:.3f}  mrr@20 {row.metrics['mrr@20']:.3f}")
for verdict in results.verdicts:
    print("!", verdict)

# Another run on the same log and protocol can be compared with it, by paired tests on the same cases.
segue.run(segue.RunConfig(log="shop", models=["vstan"], baselines=False), folder / "second", events=visits)
comparison = segue.compare(folder / "first", folder / "second")
print("\n".join(comparison.lines))
print("Report:", folder / "first" / "report.html")
