"""Whether a queue grows without bound: then no longer run helps, and the seconds tell only how long one has waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

BLOCKS = 10
LEAST_S = 10.0
LEAST_ARRIVALS = 50
CONFIDENCE = 0.99
LEAST_SHARE = 0.05


class Slope(NamedTuple):
    """A line through block means: its slope and the lower end of its one-sided interval, both a second."""

    per_s: float
    low_per_s: float


def slope_of(times_s: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Slope | None:
    """Slope of values over time, by least squares through the means of ten equal stretches; None where a stretch is empty.

    Neighbouring requests are alike, so the points of the regression are means over stretches and not requests.

    Example:
        >>> slope = slope_of([0.1 * i for i in range(100)], [0.2 * i for i in range(100)])
        >>> round(slope.per_s, 6)
        2.0
    """
    at, seen = np.asarray(times_s, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if len(at) < BLOCKS or at[-1] <= at[0]:
        return None
    block = np.minimum(((at - at[0]) / (at[-1] - at[0]) * BLOCKS).astype(np.int64), BLOCKS - 1)
    counts = np.bincount(block, minlength=BLOCKS)
    if not counts.all():
        return None
    x, y = np.bincount(block, at) / counts, np.bincount(block, seen) / counts
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    se = float(np.sqrt(residual @ residual / (BLOCKS - 2) / (centred @ centred)))
    return Slope(slope, slope - se * float(stdtrit(BLOCKS - 2, confidence)))


def saturation(
    sent_s: Sequence[float],
    in_flight: Sequence[int],
    first_token_s: Sequence[float],
    ttft_s: Sequence[float],
    rate_rps: float,
) -> str | None:
    """Why this load is more than the server can take; None while it is not shown to be.

    Concurrency and TTFT must both climb, significantly, and concurrency by at least 5 % of the offered rate: so many of the requests that
    arrive are never caught up with. A busy but stable queue wanders up and down; it is told apart by the blocks and the 5 %.

    Args:
        sent_s, in_flight: when each request was sent and how many were in flight then.
        first_token_s, ttft_s: when each first token came and how long it took.
        rate_rps: offered.

    Source: the rule of two slopes is that of GuideLLM's over-saturation constraint; blocks and the 5 % are ours.
    """
    if len(sent_s) < LEAST_ARRIVALS or sent_s[-1] - sent_s[0] < LEAST_S:
        return None
    flight, waiting = slope_of(sent_s, in_flight), slope_of(first_token_s, ttft_s)
    if flight is None or waiting is None or waiting.low_per_s <= 0 or flight.low_per_s < LEAST_SHARE * rate_rps:
        return None
    served_rps = max(0.0, rate_rps - flight.per_s)
    return (
        f"over-saturated: at {rate_rps:g} requests/s the number in flight grows by {flight.per_s:.2g} a second and the time to the first "
        f"token by {1000 * waiting.per_s:.3g} ms a second; the server keeps up with about {served_rps:.3g} requests/s"
    )
