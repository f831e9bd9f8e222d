"""Records tests/fixtures/core.json: the scores of RecBole's CORE with drawn weights, in evaluation mode.

    PYTHON benchmarks/core_fixture.py

PYTHON is an interpreter that can import RecBole 1.2.1; see ``recbole_metrics.py``. It needs no segue. RecBole's module
computes what the authors' (RUCAIBox/CORE) computes. RecBole pads sessions at the right, so that positions count from
the first event; padded at the left, they count back from the last one, as in segue.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from recbole.model.sequential_recommender.core import CORE
from torch import Tensor

FIXTURE = Path(__file__).parent.parent / "tests" / "fixtures" / "core.json"
N_ITEMS, SIZE, LENGTH = 12, 8, 6
SESSIONS = [[3], [5, 1, 9], [2, 7, 2, 11, 4, 7], [6, 6, 12, 6], [12, 8, 5, 3, 10, 1]]
SETTINGS = {
    **{"USER_ID_FIELD": "user", "ITEM_ID_FIELD": "item", "LIST_SUFFIX": "_list", "NEG_PREFIX": "neg_"},
    **{"ITEM_LIST_LENGTH_FIELD": "length", "MAX_ITEM_LIST_LENGTH": LENGTH, "device": "cpu", "loss_type": "CE"},
    **{"embedding_size": SIZE, "inner_size": 16, "n_layers": 2, "n_heads": 2, "hidden_act": "gelu"},
    **{"hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5, "layer_norm_eps": 1e-12, "initializer_range": 0.02},
    **{"sess_dropout": 0.2, "item_dropout": 0.2, "temperature": 0.07},
}


class Catalogue:
    """What the module asks of a data set."""

    field2seqlen: Mapping[str, int] = {"item_list": LENGTH}

    def num(self, field: str) -> int:
        """Return the number of items and the padding."""
        return N_ITEMS + 1


def main() -> None:
    """Draw weights of three decimals and write the fixture."""
    torch.manual_seed(0)
    trm, ave = (CORE({**SETTINGS, "dnn_type": kind}, Catalogue()).eval() for kind in ("trm", "ave"))
    for name, weight in trm.named_parameters():
        center = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        weight.data = ((torch.rand_like(weight) - 0.5 + center) * 1000).round() / 1000
    trm.item_embedding.weight.data[0] = 0.0
    ave.load_state_dict({"item_embedding.weight": trm.item_embedding.weight.data})
    right = torch.tensor([[*session, *[0] * (LENGTH - len(session))] for session in SESSIONS])
    left = torch.tensor([[*[0] * (LENGTH - len(session)), *session] for session in SESSIONS])
    outputs = {"ave": scores(ave, right), "trm": scores(trm, right), "trm, left-padded": scores(trm, left)}
    weights = {name: rounded(weight, 3) for name, weight in trm.state_dict().items()}
    fixture = {"oracle": "RecBole 1.2.1 core.py", "sessions": SESSIONS, "weights": weights, "scores": outputs}
    FIXTURE.write_text(json.dumps(fixture, separators=(",", ":")) + "\n", encoding="utf-8")


@torch.no_grad()
def scores(model: CORE, items: Tensor) -> list[list[float]]:
    """Return the score of each item after each session, without that of the padding."""
    return rounded(model.full_sort_predict({"item_list": items})[:, 1:], 6)


def rounded(values: Tensor, digits: int) -> Any:
    """Return numbers ready for JSON."""
    if values.ndim == 0:
        return round(values.item(), digits)
    return [rounded(one, digits) for one in values]


if __name__ == "__main__":
    main()
