"""How much a series of consecutive measurements knows: neighbours under load are alike, so n of them are worth fewer than n.

A request that waits behind a slow one is slow as well. Intervals that take requests as independent are too narrow by a factor that grows
without bound towards saturation. Here every interval uses the effective number n / τ, where τ is the series' integrated autocorrelation
time, and a Student factor for how badly τ itself is known. `tests/unit/evaluation/load/test_series.py` checks the coverage on queues whose
distribution is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betainc, ndtri, stdtrit
from scipy.stats import rankdata

from workbench.evaluation.statistics import Interval, wilson_interval

Floats = NDArray[np.float64]
OpenInterval = tuple[float | None, float | None]
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
STRETCHES = 10


def autocorrelation_time(series: ArrayLike) -> float:
    """τ = 1 + 2 Σ ρ_k, in measurements, at least 1: how many consecutive ones are worth one independent.

    The sum stops where pairs of neighbouring autocorrelations are no longer positive, and the pairs are made non-increasing.

    Source: C. J. Geyer, Practical Markov Chain Monte Carlo, Statistical Science 7 (1992), section 3.3 (initial monotone sequence).

    Example:
        >>> round(autocorrelation_time([0.0] * 50 + [1.0] * 50))
        33
    """
    values = np.asarray(series, dtype=np.float64)
    centred = values - values.mean() if len(values) else values
    power = float(centred @ centred)
    if len(values) < 4 or power <= 1e-24 * max(1.0, float(values @ values)):
        return 1.0
    n, size = len(values), 1 << (2 * len(values) - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[: 2 * (n // 2)] / power
    pairs = correlation[0::2] + correlation[1::2]
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if len(ends) else pairs
    return max(1.0, 2.0 * float(np.minimum.accumulate(positive).sum()) - 1.0)


def effective_n(n: int, tau: float, confidence: float = 0.95) -> float:
    """n / τ, lowered once more by (normal / Student quantile)², at least 1; the whole n where nothing is correlated."""
    count = max(1.0, n / tau)
    if tau <= 1.0:
        return count
    level = 0.5 + confidence / 2
    return max(1.0, count * float(ndtri(level) / stdtrit(count, level)) ** 2)


def quantile_interval(values: ArrayLike, q: float, confidence: float = 0.95) -> OpenInterval:
    """Interval of a quantile of a correlated series; None at an end that so few measurements cannot bound.

    The share of values below the quantile is what has a known spread, at the effective number of measurements; its interval is read back
    through the values in order. No assumption about their distribution. With 100 independent requests the upper end of p99 is unknown:
    any larger value might be missing, and the largest one seen would be a guess.

    Args:
        values: in the order of the intended starts.
        q: in 0..1.
        confidence: nominal coverage.

    Source: R. S. Woodruff, Confidence Intervals for Medians and Other Position Measures, JASA 47 (1952), 635-646, with Beta order
        statistics in place of the normal approximation.
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2:
        return None, None
    below = (series <= np.quantile(series, q)).astype(np.float64)
    tau = max(autocorrelation_time(below), _kindred_time(series))
    count = effective_n(len(series), tau, confidence)
    in_order, tail = np.sort(series), (1 - confidence) / 2
    ranks = (_rank(q, count, 1 - tail), _rank(q, count, tail))
    low, high = (None if rank is None else rank / (count + 1) * (len(series) + 1) for rank in ranks)
    return _at(in_order, low), _at(in_order, high)


def percentiles(values: ArrayLike, confidence: float = 0.95) -> dict[str, Any]:
    """p50, p90, p95 and p99 with their intervals, mean and n, as documents hold them; None throughout without values."""
    series = np.asarray(values, dtype=np.float64)
    if not len(series):
        return {**dict.fromkeys(PERCENTILES), "ci": {name: [None, None] for name in PERCENTILES}, "mean": None, "n": 0}
    points: dict[str, Any] = {name: float(np.quantile(series, q)) for name, q in PERCENTILES.items()}
    intervals = {name: list(quantile_interval(series, q, confidence)) for name, q in PERCENTILES.items()}
    return {**points, "ci": intervals, "mean": float(series.mean()), "n": len(series)}


def share_interval(successes: ArrayLike, kindred: ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """Wilson interval of a share in a correlated series, at the effective number of measurements.

    Args:
        successes: 0 or 1 each, in order.
        kindred: the seconds that decided them, in the same order; their correlation stands in where the series itself shows none,
            above all when every request was good.
        confidence: nominal coverage.
    """
    series = np.asarray(successes, dtype=np.float64)
    if not len(series):
        return 0.0, 1.0
    tau = autocorrelation_time(series)
    if kindred is not None and len(np.asarray(kindred)):
        tau = max(tau, _kindred_time(np.asarray(kindred, dtype=np.float64)))
    count = effective_n(len(series), tau, confidence)
    return wilson_interval(min(count, float(series.mean()) * count), count, confidence)


def least_requests(share: float, confidence: float = 0.95) -> float:
    """How many independent requests, all good, put the lower end of Wilson's interval at `share`: z² · share / (1 − share).

    Example:
        >>> round(least_requests(0.95))
        73
    """
    return float(ndtri(0.5 + confidence / 2)) ** 2 * share / (1 - share)


def rate_interval(
    events_s: ArrayLike, weights: ArrayLike, start_s: float, end_s: float, confidence: float = 0.95
) -> tuple[float, OpenInterval]:
    """Weighted events a second inside a window, with a t interval over ten equal stretches of it, taken as independent.

    Args:
        events_s: when each event was.
        weights: how much each counts (tokens).
        start_s, end_s: the window; what lies outside does not count, whichever request it belongs to.
    """
    at, counted = np.asarray(events_s, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    inside = (at >= start_s) & (at < end_s)
    counts, _ = np.histogram(at[inside], bins=STRETCHES, range=(start_s, end_s), weights=counted[inside])
    rates = counts / ((end_s - start_s) / STRETCHES)
    mean = float(rates.mean())
    half = float(rates.std(ddof=1) / np.sqrt(STRETCHES) * stdtrit(STRETCHES - 1, 0.5 + confidence / 2))
    return mean, (max(0.0, mean - half), mean + half)


def _kindred_time(seconds: Floats) -> float:
    """The longer of two correlation times, of the values and of their ranks: tails hide the first, ties the second."""
    to_the_ns = np.round(seconds, 9)
    return max(autocorrelation_time(to_the_ns), autocorrelation_time(rankdata(to_the_ns)))


def _rank(q: float, count: float, probability: float) -> float | None:
    """The rank r in 1..count with P(r-th of `count` values <= quantile q) = probability; None when there is none."""

    def excess(rank: float) -> float:
        return float(betainc(rank, count - rank + 1, q)) - probability

    low, high = 1e-9, count + 1 - 1e-9
    if excess(low) < 0 or excess(high) > 0:
        return None
    rank = float(brentq(excess, low, high))
    return rank if 1 <= rank <= count else None


def _at(in_order: Floats, rank: float | None) -> float | None:
    if rank is None or not 1 <= rank <= len(in_order):
        return None
    return float(np.interp(rank, np.arange(1, len(in_order) + 1), in_order))
