"""The hash of a protocol: two sets of results are comparable if their hashes are equal.

The hash covers the parameters that affect results. It omits the list of metrics, because the value of a metric does not
depend on the other metrics, and parameters without effect: steps that are turned off, and the length of a validation
part that is not held out.
"""

from typing import Any

import numpy as np

from segue.data.vocabulary import Vocabulary
from segue.parameters import flatten
from segue.protocols.protocol import Protocol
from segue.strict_json import digest


def protocol_hash(protocol: Protocol, fingerprint: str, catalogue: str | None = None) -> str:
    """Return 12 hex digits for a protocol on the data with that fingerprint.

    Results with different hashes are not comparable. Protocols that prepare the same training and test parts and rank
    the same candidates by the same rule have one hash.

    Args:
        protocol: the protocol that the data were prepared with.
        fingerprint: hash of the raw log.
        catalogue: result of ``catalogue_hash``.
    """
    content = {"protocol": protocol.hashed_parameters(), "data": fingerprint}
    return digest(content if catalogue is None else {**content, "catalogue": catalogue})


def catalogue_hash(given: Vocabulary | None, own: Vocabulary) -> str | None:
    """Return the hash of a given catalogue (ids and support); None if it equals the catalogue of the training part.

    Args:
        given: the catalogue of a model to test on the log, or None.
        own: the catalogue of the training part.
    """
    if given is None:
        return None
    if own.hash == given.hash and np.array_equal(own.support, given.support):
        return None
    return digest({"ids": given.hash, "support": given.support.tolist()})


def differences(one: Protocol, other: Protocol) -> dict[str, tuple[Any, Any]]:
    """Return the parameters that give two protocols different hashes, with both values.

    If the kinds of split differ, only the kinds are returned, as ``split``.
    """
    hashed = flatten(one.hashed_parameters()), flatten(other.hashed_parameters())
    values = flatten(one.model_dump(mode="json")), flatten(other.model_dump(mode="json"))
    found = {
        name: (values[0].get(name), values[1].get(name))
        for name in {**hashed[0], **hashed[1]}
        if hashed[0].get(name) != hashed[1].get(name) and values[0].get(name) != values[1].get(name)
    }
    if one.split.kind == other.split.kind:
        return found
    others = {name: pair for name, pair in found.items() if not name.startswith("split.")}
    return {**others, "split": (one.split.kind, other.split.kind)}
