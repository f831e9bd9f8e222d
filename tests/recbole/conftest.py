import pytest
import yaml

from segue.experiment.model_specs import build_specs
from segue.protocols.protocol import Protocol
from segue.recbole import load_recbole


@pytest.fixture
def translate(tmp_path, monkeypatch):
    """Return a function from a model and its settings to a config that every part of segue accepts."""
    monkeypatch.delenv("SEGUE_DATA", raising=False)

    def translated(model="BPR", settings=None, **options):
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(settings or {}), encoding="utf-8")
        config = load_recbole([file], {"models": [model], "log": "log.inter", **options})
        Protocol.named(config.protocol, config.set["protocol"])
        build_specs(config)
        return config

    return translated
