"""When requests are meant to start: drawn before the run, from a seed, so that nothing the server does can move it."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean

Floats = NDArray[np.float64]
Arrivals = Literal["poisson", "gamma", "constant"]
MOST_REQUESTS = 2_000_000
"""A schedule is drawn whole; beyond this many starts the rate is a typing error, or work for several machines."""


def check_arrivals(arrivals: str, rate_rps: float, burstiness: float, horizon_s: float) -> None:
    """Refuse what no schedule can be drawn from.

    Raises:
        ConfigError: an unknown kind, a rate or burstiness that is not above 0, or more requests than one generator can hold.
    """
    if arrivals not in get_args(Arrivals):
        raise ConfigError(f"unknown arrivals {arrivals!r}: {did_you_mean(arrivals, get_args(Arrivals))}")
    if not 0 < rate_rps < float("inf"):
        raise ConfigError(f"a rate is a number of requests a second above 0, found {rate_rps:g}")
    if not 0 < burstiness < float("inf"):
        raise ConfigError(f"burstiness is the gamma shape, a number above 0 (1 is Poisson), found {burstiness:g}")
    if burstiness != 1 and arrivals != "gamma":
        raise ConfigError(f"burstiness {burstiness:g} needs gamma arrivals; {arrivals} arrivals have none")
    if rate_rps * horizon_s > MOST_REQUESTS:
        raise ConfigError(
            f"{rate_rps:g} requests/s for {horizon_s:g} s are {rate_rps * horizon_s:.3g} requests; one generator holds "
            f"{MOST_REQUESTS:,} and sends some hundreds a second: lower the rate or the duration"
        )


def drawn_gaps_s(arrivals: str, rate_rps: float, n: int, rng: np.random.Generator, burstiness: float = 1.0) -> Floats:
    """Seconds between consecutive starts, with mean 1 / rate.

    Args:
        arrivals: poisson (exponential gaps), gamma (shape `burstiness`; below 1 clumps, above 1 evens out) or constant.
        rate_rps: requests a second, on average.
        n: how many gaps.
        rng: draws them.
        burstiness: gamma shape; the gaps' coefficient of variation is 1 / sqrt(burstiness).

    Example:
        >>> drawn_gaps_s("constant", 4.0, 3, np.random.default_rng(0)).tolist()
        [0.25, 0.25, 0.25]
    """
    if arrivals == "constant":
        return np.full(n, 1.0 / rate_rps)
    shape = burstiness if arrivals == "gamma" else 1.0
    return rng.gamma(shape, 1.0 / (rate_rps * shape), n)


def intended_starts_s(
    arrivals: str,
    rate_rps: float,
    horizon_s: float,
    rng: np.random.Generator,
    *,
    burstiness: float = 1.0,
    rescaled: bool = False,
) -> Floats:
    """Intended starts in seconds from the start of the run, ascending, all before `horizon_s`.

    The number of arrivals is random, as it is in life, unless `rescaled`: then exactly rate · horizon gaps are drawn and stretched so that
    the last start falls on the horizon, which is what `vllm bench serve` does to make throughputs of different seeds comparable. It takes
    away the variance of the offered load, so it is an option here and not the rule.

    Example:
        >>> intended_starts_s("constant", 2.0, 2.1, np.random.default_rng(0)).tolist()
        [0.5, 1.0, 1.5, 2.0]
    """
    if rescaled:
        gaps = drawn_gaps_s(arrivals, rate_rps, max(1, round(rate_rps * horizon_s)), rng, burstiness)
        starts = np.cumsum(gaps)
        return np.asarray(np.minimum(starts * (len(gaps) / rate_rps / starts[-1]), horizon_s))
    starts = np.empty(0)
    last_s = 0.0
    while last_s < horizon_s:
        n = int((horizon_s - last_s) * rate_rps * 1.1) + 16
        more = last_s + np.cumsum(drawn_gaps_s(arrivals, rate_rps, n, rng, burstiness))
        starts, last_s = np.concatenate([starts, more]), float(more[-1])
    return starts[starts < horizon_s]
