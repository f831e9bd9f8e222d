"""Use segue inside your own program: serve a saved model, event by event.

Run it with: python examples/serve_in_process.py [FOLDER]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import segue
from segue.data.synthetic import shop

folder = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp())


def train(path: Path) -> None:
    """Train a model and save it; a job that runs every night."""
    data = segue.prepare(shop(3_000, seed=0))
    segue.GRU4Rec(hidden_size=32, training={"epochs": 2}).fit(data.train, valid=data.valid, seed=0).save(path)


class Recommender:
    """Recommends products that are in stock; a fitted model is immutable, so threads can share it."""

    def __init__(self, path: Path, in_stock: set[int]) -> None:
        self.model = segue.load(path)
        self.ids = self.model.vocabulary.ids.to_list()
        self.in_stock = self.model.vocabulary.index(sorted(in_stock))

    def recommend(self, visit: list[int], k: int = 5) -> list[int]:
        """Return the ids of k products in stock that fit a visit; unknown ids in the visit are ignored."""
        known = [index for index in self.model.vocabulary.index(visit) if index]
        prefixes = segue.Prefixes.from_lists([known], self.model.vocabulary)
        items, _ = self.model.top_k(prefixes, k, allowed=self.in_stock, exclude=prefixes)
        return [self.ids[index - 1] for index in items[0].tolist() if index]


train(folder / "model")
products = segue.load(folder / "model").vocabulary.ids.to_list()
recommender = Recommender(folder / "model", in_stock=set(products[::2]))

visit: list[int] = []
for product in products[:3]:
    visit.append(product)
    print(visit, "->", recommender.recommend(visit))
assert set(recommender.recommend(visit)) <= set(products[::2]) - set(visit)
