"""How much of its saturated throughput a machine may be given so that requests that come at random still do not wait long."""

from __future__ import annotations

import math

from workbench.core import ConfigError


def waiting_share(slots: int, offered_load: float) -> float:
    """Share of requests that find every slot busy and wait, when they come at random (Erlang C).

    Args:
        slots: requests answered at the same time.
        offered_load: arrival rate times mean service time; below `slots`.

    Source: A. K. Erlang (1917); computed by the recursion of the Erlang B formula.

    Example:
        >>> waiting_share(1, 0.5)
        0.5
    """
    if not 0 <= offered_load < slots:
        raise ValueError(
            f"offered load {offered_load} must lie in 0..{slots} (not included): the queue grows without end"
        )
    blocked = 1.0
    for busy in range(1, slots + 1):
        blocked = offered_load * blocked / (busy + offered_load * blocked)
    return slots * blocked / (slots - offered_load * (1 - blocked))


def rate_within_wait(slots: int, service_s: float, wait_s: float, share: float = 0.95) -> float:
    """Highest rate of random arrivals at which at least `share` of the requests wait no longer than `wait_s`.

    P(wait ≤ t) = 1 − C(slots, a) · exp(−(slots − a) · t / service_s) with a = rate · service_s: Poisson arrivals, service times
    spread exponentially. Real answers vary less, which makes this careful; a server whose speed falls with every further request
    in flight is already seen at its slowest in a closed loop.

    Args:
        slots: requests in flight at saturation (the closed loop's concurrency).
        service_s: mean latency at that concurrency, seconds.
        wait_s: what is left of the SLO, seconds; 0 means that nobody may wait.
        share: of requests that must not wait longer, above 0 and below 1.

    Returns:
        Requests a second; 0 where `wait_s` is negative.

    Raises:
        ConfigError: a slot, time or share that cannot be.

    Source: M/M/c queue; D. Gross, C. Harris, Fundamentals of Queueing Theory, section 2.3.

    Example:
        >>> round(rate_within_wait(slots=1, service_s=1.0, wait_s=0.0, share=0.95), 6)
        0.05
    """
    if slots < 1 or not (math.isfinite(service_s) and service_s > 0) or not 0 < share < 1:
        raise ConfigError(
            f"{slots} slots, {service_s} s a request and a share of {share}: at least 1 slot, a time above 0 and a share between "
            "0 and 1 are expected"
        )
    if wait_s < 0:
        return 0.0
    low, high = 0.0, slots * (1 - 1e-12)
    for _ in range(80):
        middle = (low + high) / 2
        late = waiting_share(slots, middle) * math.exp(-(slots - middle) * wait_s / service_s)
        low, high = (middle, high) if late <= 1 - share else (low, middle)
    return low / service_s
