"""What the targets of a test case are ranked among."""

import re
from dataclasses import dataclass
from typing import Literal

from segue.errors import ParameterError


@dataclass(frozen=True)
class Candidates:
    """What the targets of a test case are ranked among.

    Attributes:
        kind: the whole catalogue (``full``), nothing, where held-out events are labelled and only their own scores
            are measured (``labeled``), or items drawn uniformly (``uni``) or by their training events (``pop``).
        size: items drawn per case; 0 where none are drawn.
    """

    kind: Literal["full", "labeled", "uni", "pop"] = "full"
    size: int = 0

    @classmethod
    def parse(cls, text: "str | Candidates") -> "Candidates":
        """Read ``full``, ``labeled``, ``uni100`` or ``pop100``.

        Raises:
            ParameterError: it is none of these.
        """
        if isinstance(text, Candidates):
            return text
        drawn = re.fullmatch(r"(uni|pop)([1-9]\d{0,8})", text)
        if drawn is not None:
            return cls("uni" if drawn[1] == "uni" else "pop", int(drawn[2]))
        if text == "full":
            return cls("full")
        if text == "labeled":
            return cls("labeled")
        raise ParameterError(
            f"candidates: must be full, labeled, uniN or popN with a number N such as uni100, got '{text}'"
        )

    @property
    def drawn(self) -> bool:
        """Whether figures are those of a sample of the catalogue."""
        return self.size > 0

    def __str__(self) -> str:
        return f"{self.kind}{self.size or ''}"
