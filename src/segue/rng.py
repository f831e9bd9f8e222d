"""Independent random streams from one seed.

A stream is named by its use (``"shuffle"``, ``"dropout"``, ...) and by numbers such as the epoch, so that draws in one
part of the program never shift those in another. No global generator is seeded.
"""

import hashlib

import numpy as np


def derive(seed: int, *use: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every part of ``use``."""
    text = "/".join(str(part) for part in (seed, *use))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *use: str | int) -> np.random.Generator:
    """Return the numpy generator of one use."""
    return np.random.Generator(np.random.PCG64(derive(seed, *use)))
