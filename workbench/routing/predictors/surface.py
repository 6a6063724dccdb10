"""How a prompt is written: digits, capitals, lines, formulas, code; what an embedding of meaning passes over.

A model that cannot carry digits fails on `780 + 572` and not on `7 + 5`; to an embedder both are a sum. Counts come from one pass of C
over the text's bytes, a few microseconds a prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from workbench.routing.exact import FINE
from workbench.routing.predictors.predictor import State
from workbench.routing.queries import FloatArray

MOST_CHARACTERS = 2000
"""Only the beginning of a longer prompt is read, so that it costs no more than a few microseconds either."""
SCALE = 0.3
"""How much a feature one standard deviation from the mean weighs beside a unit vector's coordinates; not tuned."""
_CLIP = 3.0
_LARGEST = np.array(_CLIP * SCALE * FINE)
_LEAST = -_LARGEST

_CLASSES = {
    "digits": b"0123456789",
    "capitals": bytes(range(65, 91)),
    "small letters": bytes(range(97, 123)),
    "spaces": b" ",
    "lines": b"\n",
    "questions": b"?",
    "formulas": b"$\\",
    "stops": b".,;:!",
    "quotes": b"'\"`",
    "operators": b"+-*/=<>^%&|~",
    "brackets": b"()[]{}",
    "beyond ASCII": bytes(range(128, 256)),
}
_OTHER = 0
_CLASS_OF = bytes(
    next((code for code, members in enumerate(_CLASSES.values(), 1) if byte in members), _OTHER) for byte in range(256)
)
_DIGITS_ALONE = bytes(byte if byte in b"0123456789" else 32 for byte in range(256))

_LOG = [math.log1p(count) for count in range(4 * MOST_CHARACTERS + 1)]
"""Of every count that so many characters in UTF-8 can have."""

NAMES = (
    *(f"log {name}" for name in _CLASSES if name != "small letters"),
    "log other",
    "log numbers",
    "digits a number",
    "bytes a word",
    "share of digits",
    "share of capitals",
    "share of small letters",
    "share of signs",
    "share beyond ASCII",
)
"""What each feature is; log is log(1 + count), counts and shares are of bytes in UTF-8."""


def surface(text: str) -> list[float]:
    """The features of one text, in the order of `NAMES`.

    Example:
        >>> found = dict(zip(NAMES, surface("Give me 780 + 572."), strict=True))
        >>> round(found["share of digits"], 3), found["digits a number"], round(found["bytes a word"], 1)
        (0.333, 3.0, 3.6)
    """
    data = text[:MOST_CHARACTERS].encode("utf-8", "replace")
    classes = data.translate(_CLASS_OF)
    counts = np.bincount(np.frombuffer(classes, np.uint8), minlength=len(_CLASSES) + 1).tolist()
    digits, capitals, small, spaces, lines, *rest = counts[1:] + counts[:1]  # what is of no class comes last
    numbers = len(data.translate(_DIGITS_ALONE).split())
    size = max(len(data), 1)
    _, _, stops, quotes, operators, brackets, beyond, other = rest
    logs = [_LOG[count] for count in (digits, capitals, spaces, lines, *rest, numbers)]
    signs = stops + quotes + operators + brackets + other
    shares = [digits / size, capitals / size, small / size, signs / size, beyond / size]
    return [*logs, digits / max(numbers, 1), size / (spaces + lines + 1), *shares]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The features of prompts beside those of the recorded ones: standardised, cut at three deviations, whole multiples of 1 / `FINE`.

    Args:
        centre: mean of each feature over the recorded prompts, shape (s,).
        factor: what a deviation is multiplied with; 0 for a feature that was the same everywhere, shape (s,).
    """

    centre: FloatArray
    factor: FloatArray
    _whole_factor: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_whole_factor", self.factor * FINE)

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Self:
        """Means and spreads of these texts."""
        found = _rows(texts)
        spread = found.std(axis=0)
        varies = spread > 1e-9
        return cls(found.mean(axis=0), np.where(varies, SCALE / np.where(varies, spread, 1.0), 0.0))

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def largest(self) -> float:
        """Bound of a feature's absolute value."""
        return _CLIP * SCALE

    def whole(self, texts: Sequence[str], out: FloatArray | None = None) -> FloatArray:
        """The features times `FINE`, whole numbers, shape (n, s). Each row depends on its own text alone, to the last bit."""
        found = _rows(texts)
        found -= self.centre
        found *= self._whole_factor
        np.minimum(np.maximum(found, _LEAST, out=found), _LARGEST, out=found)
        return np.rint(found, out=found if out is None else out)

    def to_state(self) -> State:
        """Means and factors."""
        return State(arrays={"centre": self.centre, "factor": self.factor})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The features again."""
        return cls(state.arrays["centre"], state.arrays["factor"])


def _rows(texts: Sequence[str]) -> FloatArray:
    return np.array([surface(text) for text in texts] or np.empty((0, len(NAMES))), np.float64)
