"""RecBole's half of ``scale.py``: what it holds in memory before the first epoch; runs in its environment.

    PYTHON benchmarks/scale_recbole.py FOLDER/NAME/NAME.inter OUT

The environment has ``recbole==1.2.1 "numpy<2" "pandas<3"``. RecBole keeps items and sessions with 5 events, holds
out the last two events of each session, and writes down the input of every training event (``data_augmentation``).
"""

import json
import sys
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset, data_preparation


def main() -> None:
    """Prepare the log, and write the numbers of training events and sessions."""
    log, out = Path(sys.argv[1]), Path(sys.argv[2])
    sys.argv = sys.argv[:1]
    settings = {
        "data_path": str(log.parent.parent),
        "use_gpu": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "user_inter_num_interval": "[5,inf)",
        "item_inter_num_interval": "[5,inf)",
        "train_neg_sample_args": None,
        "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
        "state": "WARNING",
    }
    config = Config(model="SASRec", dataset=log.stem, config_dict=settings)
    train, sessions, _ = (len(part.dataset) for part in data_preparation(config, create_dataset(config)))
    out.mkdir()
    # The first event of a session is the input of the second one, and no case of its own. The held-out parts differ:
    # segue drops their events of items that training does not have.
    counts = {"train": [train + sessions, sessions]}
    (out / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


if __name__ == "__main__":
    main()
