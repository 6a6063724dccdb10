"""How often a tenant may ask: a token bucket a tenant, in process, with time as a parameter."""

from __future__ import annotations

import math
import threading
from typing import Annotated

from pydantic import Field

from workbench.core import BudgetExceeded, Clock
from workbench.core.price import Strict


class RateLimitConfig(Strict):
    """How many requests a tenant may send."""

    requests_per_minute: Annotated[float, Field(gt=0, description="long-run rate of one tenant")]
    burst: Annotated[
        int | None, Field(gt=0, description="most requests at once after a quiet time; null: one minute's worth")
    ] = None


class RateLimit:
    """A token bucket a tenant: full at first, refilled evenly. Safe to use from several threads.

    Args:
        config: rate and burst.
        clock: what tells the time.

    Example:
        >>> from workbench.core import SystemClock
        >>> limit = RateLimit(RateLimitConfig(requests_per_minute=60, burst=1), SystemClock())
        >>> limit.take("team-a")
    """

    def __init__(self, config: RateLimitConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._capacity = float(config.burst or max(1, math.floor(config.requests_per_minute)))
        self._per_second = config.requests_per_minute / 60
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, tenant: str) -> None:
        """Count one request of `tenant`.

        Raises:
            BudgetExceeded: scope "rate", with the seconds until one more is allowed; nothing was counted.
        """
        now_s = self._clock.monotonic_s()
        with self._lock:
            level, since_s = self._levels.get(tenant, (self._capacity, now_s))
            level = min(self._capacity, level + (now_s - since_s) * self._per_second)
            if level < 1:
                self._levels[tenant] = (level, now_s)
                raise self._refusal(tenant, (1 - level) / self._per_second)
            self._levels[tenant] = (level - 1, now_s)
            self._forget_full(now_s)

    def _forget_full(self, now_s: float, most: int = 10_000) -> None:
        """Keep memory bounded: a full bucket is the same as none."""
        if len(self._levels) <= most:
            return
        for tenant, (level, since_s) in list(self._levels.items()):
            if level + (now_s - since_s) * self._per_second >= self._capacity:
                del self._levels[tenant]

    def _refusal(self, tenant: str, wait_s: float) -> BudgetExceeded:
        rate = self.config.requests_per_minute
        return BudgetExceeded(
            f"tenant {tenant!r} may send {rate:g} requests a minute and has used them; try again in {wait_s:.1f} s",
            scope="rate",
            retry_after_s=wait_s,
        )
