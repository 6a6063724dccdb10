"""The grader of numbers: exact decimals, thousands separators and fractions, no floating-point surprises."""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from typing import Literal

from workbench.core import ConfigError

Which = Literal["last", "first", "only"]

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"(?<![\w.])[-+]?[$€£]?(?:{_DIGITS})(?:[eE][-+]?\d{{1,4}}(?!\w))?(?:/\d+(?![\d.]))?")
_MARKED = re.compile(r"####\s*([^\n]*)|\\boxed\{([^{}]*)\}")


def find_number(text: str, which: Which = "last") -> Decimal | None:
    """A number in a text: the one marked by `####` or `\\boxed{}` where there is a mark, else the last, first or only one.

    Example:
        >>> find_number("First 3, then 1,250.50 dollars."), find_number("#### 7 (of 12)"), find_number("none")
        (Decimal('1250.50'), Decimal('7'), None)
    """
    marked = [left or right for left, right in _MARKED.findall(text)]
    if marked:
        text, which = marked[-1], "first"
    found = _NUMBER.findall(text.replace("−", "-"))
    if not found or (which == "only" and len(found) > 1):
        return None
    return _parse(found[0 if which == "first" else -1])


def _parse(token: str) -> Decimal | None:
    numerator, _, denominator = re.sub(r"[,$€£]", "", token).partition("/")
    try:
        return Decimal(numerator) / Decimal(denominator) if denominator else Decimal(numerator)
    except DecimalException:  # division by zero
        return None


def grade_numeric(
    answer: str, reference: str, tolerance: float = 0.0, relative: float = 1e-9, which: Which = "last"
) -> float:
    """1 when the answer's number is the reference's, within the larger of both tolerances.

    Args:
        answer: what the model said.
        reference: text with the right number.
        tolerance: largest absolute difference.
        relative: largest difference as a share of the reference; whole numbers without exponent must be equal
            regardless, unless a tolerance above the default is asked for.
        which: the number looked at when several stand in the answer.
    """
    said, expected = find_number(answer, which), find_number(reference, which)
    if said is None or expected is None:
        return 0.0
    try:
        allowed = max(Decimal(repr(tolerance)), Decimal(repr(relative)) * abs(expected))
        is_whole = said == said.to_integral_value() and expected == expected.to_integral_value()
        if is_whole and tolerance == 0 and relative <= 1e-9:
            return float(said == expected)
        return float(abs(said - expected) <= allowed)
    except DecimalException:  # exponents beyond what decimals hold
        return 0.0


def check_numeric(reference: str, tolerance: float = 0.0, relative: float = 1e-9, which: Which = "last") -> None:
    """Raise ConfigError where the reference holds no number or an option is out of range."""
    if which not in ("last", "first", "only"):
        raise ConfigError(f"which must be last, first or only, found {which!r}")
    if not (tolerance >= 0 and relative >= 0):
        raise ConfigError(f"tolerances must not be negative, found {tolerance} and {relative}")
    if find_number(reference, which) is None:
        raise ConfigError(f"the answer {reference[:60]!r} holds no number, which the grader 'numeric' needs")
