"""Your first log: read it, look at it, train a model, recommend.

Run it with: python examples/first_log.py [FOLDER]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import segue
from segue.data.synthetic import shop

folder = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp())

# A log is a table with a session (or user), an item and, if possible, a time. This one is a generated shop.
visits = shop(3_000, seed=0)
visits.frame.write_csv(folder / "clicks.csv")
assert visits.items is not None
visits.items.write_csv(folder / "items.csv")

log = segue.read(folder / "clicks.csv", items=folder / "items.csv")
for note in log.notes:
    print(note)

# Clean, split and encode the log. "session-next" predicts every next event of the visits of the last day.
data = segue.prepare(log, "session-next")
print(f"{data.hash}: {len(data.train):,} training sessions, {len(data.test):,} test cases")
for finding in segue.lint(data):
    print(finding)

model = segue.VSTAN().fit(data.train)
evaluation = segue.evaluate(model, data)
low, high = evaluation.confidence["recall@20"]
print(f"Recall@20 {evaluation.metrics['recall@20']:.3f} [{low:.3f}, {high:.3f}]")

visit = log.frame["item"].head(2).to_list()
answer = model.recommend(visit, k=5)
for item, score in zip(answer.items, answer.scores, strict=True):
    print(f"{item}  {score:.3f}")

model.save(folder / "vstan")
assert segue.load(folder / "vstan").recommend(visit, k=5).items == answer.items
