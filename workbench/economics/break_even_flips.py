"""What would have to be different for the answer to change: the flip point of every input, and how much each one moves the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SCANNED = 160
"""Values between here and a bound that are looked at for a change of sign where the margin is no straight line."""

Margin = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Lever:
    """One input of a decision and how far it may be off.

    Args:
        name: with its unit.
        now: the value that was measured or looked up.
        low, high: plausible ends, for the tornado.
        because: where the ends come from.
        least, most: values outside of which it has no meaning.
        margin: USD a month by which the answer is "yes" (positive) as a function of this input alone.
    """

    name: str
    now: float
    low: float
    high: float
    because: str
    least: float
    most: float
    margin: Margin


@dataclass(frozen=True, slots=True)
class Flip:
    """What one input does to the answer.

    Args:
        lever: the input.
        flips_at: nearest value at which the answer changes; None when no value between its bounds changes it.
        at_low, at_high: the margin at the plausible ends, USD a month.
    """

    lever: Lever
    flips_at: float | None
    at_low: float
    at_high: float

    @property
    def factor(self) -> float | None:
        """`flips_at` over the present value; None without a flip, or where the present value is 0."""
        return None if self.flips_at is None or self.lever.now == 0 else self.flips_at / self.lever.now

    @property
    def swing_usd(self) -> float:
        """USD a month between the plausible ends."""
        return abs(self.at_high - self.at_low)


def flips(levers: Sequence[Lever]) -> list[Flip]:
    """The flip of every lever, the one that moves most first."""
    found = [Flip(x, flip_point(x.margin, x.now, x.least, x.most), x.margin(x.low), x.margin(x.high)) for x in levers]
    return sorted(found, key=lambda flip: -flip.swing_usd)


def flip_point(margin: Margin, now: float, least: float, most: float) -> float | None:
    """The value nearest to `now`, within the bounds, at which the margin changes its sign.

    A straight line is solved exactly. Otherwise (machines come in whole numbers) each side is scanned outwards and the first change is
    closed in to 1e-12 of its size; two changes between two neighbouring scanned values can be missed.

    Returns:
        None when the sign is the same everywhere; `now` when the margin is 0 there.

    Example:
        >>> flip_point(lambda price: 2.0 * price - 3.0, now=4.0, least=0.0, most=100.0)
        1.5
    """
    here = margin(now)
    if here == 0:
        return now
    if least < most and _is_straight(margin, least, most):
        return _straight(margin, now, here, least, most)
    found = [value for bound in (least, most) if (value := _first_change(margin, now, here, bound)) is not None]
    return min(found, key=lambda value: _distance(value, now), default=None)


def _is_straight(margin: Margin, least: float, most: float) -> bool:
    ends = margin(least), margin(most)
    scale = max(abs(ends[0]), abs(ends[1]))
    inner = (0.113, 0.371, 0.5, 0.789)
    return all(
        abs(margin(least + part * (most - least)) - (ends[0] + part * (ends[1] - ends[0]))) <= 1e-9 * scale
        for part in inner
    )


def _straight(margin: Margin, now: float, here: float, least: float, most: float) -> float | None:
    slope = (margin(most) - margin(least)) / (most - least)
    if slope == 0:
        return None
    crossing = now - here / slope
    return crossing if least <= crossing <= most else None


def _first_change(margin: Margin, now: float, here: float, bound: float) -> float | None:
    previous = now
    for value in _outwards(now, bound):
        if margin(value) * here <= 0:
            return _closed_in(margin, previous, value, here)
        previous = value
    return None


def _outwards(now: float, bound: float) -> list[float]:
    """From `now` to the bound: in equal ratios where both are above 0, in equal steps otherwise."""
    if now == bound:
        return []
    if now > 0 and bound > 0:
        return [now * (bound / now) ** (step / SCANNED) for step in range(1, SCANNED)] + [bound]
    return [now + (bound - now) * step / SCANNED for step in range(1, SCANNED)] + [bound]


def _closed_in(margin: Margin, same: float, changed: float, here: float) -> float:
    for _ in range(200):
        middle = (same + changed) / 2
        if abs(changed - same) <= 1e-12 * max(abs(same), abs(changed)):
            break
        same, changed = (same, middle) if margin(middle) * here <= 0 else (middle, changed)
    return changed


def _distance(value: float, now: float) -> float:
    """In ratios, so that half and double are equally far; in differences where a ratio has no meaning."""
    return abs(math.log(value / now)) if value > 0 and now > 0 else abs(value - now)
