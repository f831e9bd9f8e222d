"""Generated logs: a shop whose best possible prediction is known, and large plain logs for benchmarks."""

from segue.data.synthetic.log import synthetic_log
from segue.data.synthetic.shop import shop
from segue.data.synthetic.structure import Structure, structure

__all__ = ["Structure", "shop", "structure", "synthetic_log"]
