"""What makes two sets of figures comparable: the parameters of a protocol that change a figure, and their hash.

A parameter that is idle is left out: one of another split, of a step that is not run, or of candidates that are not
drawn. So are the metrics: the value of one does not depend on which others are measured.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from segue.data.vocabulary import Vocabulary
from segue.protocols.protocol import Protocol
from segue.protocols.steps import CLEANING, SPLITS
from segue.strict_json import digest

_ALWAYS = ("split", "cases", "exclude_seen", "repeats", "candidates")
"""Parameters that are never idle."""

_DRAWN = ("candidate_seed", "ties")
_FULL = ("ties",)
_LABELED = ("label", "label_threshold")
"""Parameters of the candidates; nothing is ranked where they are labeled, so no tie is broken."""

_UNLESS: Mapping[str, Callable[[Protocol], bool]] = {
    "split_seed": lambda protocol: protocol.order == "time",
    "test_share": lambda protocol: protocol.split == "global-time" and protocol.test_from is not None,
    "valid_share": lambda protocol: protocol.split == "global-time" and protocol.test_from is not None,
    "valid_from": lambda protocol: protocol.test_from is None,
    "feed_valid": lambda protocol: not protocol.tests_apart,
}
"""Parameters of a split that another parameter turns off."""


def decisive(protocol: Protocol) -> dict[str, Any]:
    """Return the parameters that change a figure, ready for JSON; ``steps`` holds those that do something."""
    names = dict.fromkeys(_active(protocol))
    steps = [name for name in protocol.steps if _runs(name, protocol)]
    values = {"steps": steps, **protocol.model_dump(mode="json", include=set(names))}
    if "ratios" in values:  # They are on any scale.
        values["ratios"] = [round(share / sum(values["ratios"]), 12) for share in values["ratios"]]
    if "value_among" in values:
        values["value_among"] = {name: sorted(among) for name, among in values["value_among"].items()}
    return values


def protocol_hash(protocol: Protocol, fingerprint: str, catalogue: str | None = None) -> str:
    """Return 12 hex digits for a protocol on the data with that fingerprint.

    Results with different hashes are not comparable. Protocols that prepare the same training and test parts and rank
    the same candidates by the same rule have one hash.

    Args:
        protocol: how the data are prepared and models are measured.
        fingerprint: hash of the raw log.
        catalogue: what ``catalogue_mark`` returned.
    """
    content = {"protocol": decisive(protocol), "data": fingerprint}
    return digest(content if catalogue is None else {**content, "catalogue": catalogue})


def catalogue_mark(given: Vocabulary | None, train: pl.Series) -> str | None:
    """Return what stands for a catalogue that was given, ids and support; None if it is that of the training part.

    Args:
        given: the catalogue of a model that is to be tested on the log, or None.
        train: raw item ids of the training events.
    """
    if given is None:
        return None
    own = Vocabulary.from_items(train)
    if own.hash == given.hash and np.array_equal(own.support, given.support):
        return None
    return digest({"ids": given.hash, "support": given.support.tolist()})


def differences(one: Protocol, other: Protocol) -> dict[str, tuple[Any, Any]]:
    """Return the parameters by which two protocols have different hashes, with the value in each."""
    deciding = decisive(one), decisive(other)
    values = one.model_dump(mode="json"), other.model_dump(mode="json")
    return {
        name: (values[0][name], values[1][name])
        for name in {**deciding[0], **deciding[1]}
        if deciding[0].get(name) != deciding[1].get(name) and values[0][name] != values[1][name]
    }


def _active(protocol: Protocol) -> Iterator[str]:
    yield from _ALWAYS
    yield from {"full": _FULL, "labeled": _LABELED}.get(protocol.candidates, _DRAWN)
    for name in protocol.steps:
        if name in CLEANING:
            yield from CLEANING[name].settings(protocol)
    if "known-items" in protocol.steps:
        yield "min_length"
    split = SPLITS[protocol.split]
    used = split.parameters
    if "hold-out-valid" in protocol.steps and split.validates(protocol):
        used += split.valid_parameters
    yield from (name for name in used if name not in _UNLESS or not _UNLESS[name](protocol))


def _runs(name: str, protocol: Protocol) -> bool:
    """Tell whether a step of the protocol does anything."""
    if name == "hold-out-valid":
        return SPLITS[protocol.split].validates(protocol)
    return name not in CLEANING or CLEANING[name].asked(protocol)
