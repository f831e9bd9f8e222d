"""Which presets suit a log, by its statistics."""

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.data.synthetic import shop
from segue.experiment.suggestions import NETWORKS, Traits, preset_hint, suggested_presets


def sequences(length: int, *, repeats: bool) -> segue.Events:
    """Return a log of 40 users; with repeats, each has every second item twice in a row."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(40):
        items = rng.permutation(30)[:length] if not repeats else np.repeat(rng.permutation(30)[: length // 2], 2)
        rows += [(user, int(item), 1_000_000 + 1000 * user + place) for place, item in enumerate(items)]
    frame = pl.DataFrame(rows, schema=["session", "item", "time"], orient="row")
    return segue.read(frame)


def test_traits_are_those_of_the_training_part() -> None:
    data = segue.prepare(sequences(8, repeats=True), "session-next", split="last-event", cleaning={"min_support": 1})
    train = data.train
    traits = Traits.of(data)
    seen, again = set(), 0
    for session in range(len(train)):
        for item in train.items[train.offsets[session] : train.offsets[session + 1]]:
            again += (session, item) in seen
            seen.add((session, item))
    assert traits.mean_length == pytest.approx(len(train.items) / len(train))
    assert traits.repeats == pytest.approx(again / len(train.items))
    assert traits.items == len(train.vocabulary)


def test_kind_of_a_log() -> None:
    sessions = Traits(5.0, 100, 0.2, excludes_seen=False)
    assert (sessions.kind, sessions.preset) == ("sessions", "sessions")
    long = Traits(50.0, 100, 0.2, excludes_seen=False)
    assert (long.kind, long.preset) == ("histories", "ml-1m")
    short = Traits(5.0, 100, 0.0, excludes_seen=True)
    assert (short.kind, short.preset) == ("histories", "beauty")


def test_presets_are_those_of_the_kind() -> None:
    found = suggested_presets(["sasrec", "v-sknn", "blend"], "sessions")
    assert found == {"sasrec": "sessions"}


@pytest.mark.parametrize("preset", NETWORKS)
def test_networks_that_are_tried_have_the_preset(preset: str) -> None:
    assert suggested_presets(NETWORKS[preset], preset) == dict.fromkeys(NETWORKS[preset], preset)


def test_each_kind_of_log_has_networks() -> None:
    logs = [Traits(length, 100, 0.2, excludes_seen=seen) for length in (5.0, 50.0) for seen in (False, True)]
    assert {log.preset for log in logs} == NETWORKS.keys()


def test_run_names_the_presets_that_suit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="segue")
    config = segue.RunConfig(log="shop.csv", models=["sasrec"], set={"sasrec": {"training": {"epochs": 1}}})
    data = segue.prepare(shop(300, 0))
    assert preset_hint(config, data) is None  # It has parameters of its own.
    hint = preset_hint(config.model_copy(update={"set": {}}), data)
    assert hint is not None
    assert hint.endswith("--preset sasrec=sessions")
    assert "sessions of " in hint
    assert preset_hint(segue.RunConfig(log="shop.csv", models=["vstan"]), data) is None
