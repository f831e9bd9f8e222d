"""What the targets of a test case are ranked among."""

import re
from dataclasses import dataclass
from typing import Literal

from segue.data.indices import whole_number
from segue.errors import ParameterError


@dataclass(frozen=True)
class Candidates:
    """What the targets of a test case are ranked among.

    Attributes:
        kind: the whole catalogue (``full``), nothing, where held-out events are labelled and only their own scores
            are measured (``labeled``), or items drawn uniformly (``uni``) or by their training events (``pop``).
        size: items drawn per case; 0 where none are drawn.

    Raises:
        ParameterError: the kind is none of these, or the size does not go with it.
    """

    kind: Literal["full", "labeled", "uni", "pop"] = "full"
    size: int = 0

    def __post_init__(self) -> None:
        drawn = self.kind in ("uni", "pop")
        size = whole_number(self.size, "candidates.size", "must not be negative", 0)
        if (drawn and not size) or (not drawn and (size or self.kind not in ("full", "labeled"))):
            raise _refusal(f"kind {self.kind!r} with size {size}")

    @classmethod
    def parse(cls, text: object) -> "Candidates":
        """Read ``full``, ``labeled``, ``uni100`` or ``pop100``.

        Raises:
            ParameterError: it is none of these.
        """
        if isinstance(text, Candidates):
            return text
        if not isinstance(text, str):
            raise _refusal(repr(text))
        drawn = re.fullmatch(r"(uni|pop)([1-9]\d{0,8})", text)
        if drawn is not None:
            return cls("uni" if drawn[1] == "uni" else "pop", int(drawn[2]))
        if text == "full":
            return cls("full")
        if text == "labeled":
            return cls("labeled")
        raise _refusal(f"'{text}'")

    @property
    def drawn(self) -> bool:
        """Whether figures are those of a sample of the catalogue."""
        return self.size > 0

    def __str__(self) -> str:
        return f"{self.kind}{self.size or ''}"


def _refusal(got: str) -> ParameterError:
    rule = "must be full, labeled, uniN or popN with a number N such as uni100"
    return ParameterError(f"candidates: {rule}, got {got}")
