"""When a model is not asked: one circuit breaker a model. Pure logic; the time is an argument.

closed ──(failures in a row, or a share of the last calls, or a server's retry-after)──▶ open
open ──(cooldown over)──▶ half-open: one probe at a time, everyone else is sent elsewhere
half-open ──(probe succeeds)──▶ closed          half-open ──(probe fails)──▶ open, twice as long
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from workbench.core.price import Strict

BreakerState = Literal["closed", "open", "half_open"]


class BreakerConfig(Strict):
    """When a model is left alone, and for how long."""

    consecutive_failures: Annotated[int, Field(ge=1, description="failures in a row that open the circuit")] = 3
    failure_rate: Annotated[float, Field(gt=0, le=1, description="share of failures in the window that opens it")] = 0.5
    window: Annotated[
        int, Field(ge=1, description="calls the share is taken over; it says nothing before there were as many")
    ] = 20
    cooldown_s: Annotated[float, Field(gt=0, description="seconds until the first probe")] = 15.0
    longest_cooldown_s: Annotated[
        float, Field(gt=0, description="bound of the doubling after failed probes, and of what a server may ask for")
    ] = 60.0
    jitter: Annotated[
        float, Field(ge=0, lt=1, description="a cooldown is drawn up to this share longer, so that probes spread out")
    ] = 0.2


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. Hand it back to `succeeded`, `failed` or `abandoned` exactly once.

    Args:
        era: of the breaker when it was given; what an earlier era's call comes to no longer counts.
        is_probe: whether this call decides if the circuit closes.
    """

    era: int
    is_probe: bool


class CircuitBreaker:
    """The breaker of one model. Times are monotonic seconds; use it from one event loop.

    Args:
        config: when it opens and for how long.
        rng: draws the jitter.

    Source: the pattern is M. Nygard's, "Release It!" (2007), chapter 5.

    Example:
        >>> breaker = CircuitBreaker(BreakerConfig(consecutive_failures=1, cooldown_s=10, jitter=0), random.Random(0))
        >>> breaker.failed(breaker.ask(0.0), 0.0)
        >>> breaker.state(5.0), breaker.ask(5.0), breaker.state(10.0)
        ('open', None, 'half_open')
        >>> breaker.succeeded(breaker.ask(10.0))
        >>> breaker.state(10.0)
        'closed'
    """

    def __init__(self, config: BreakerConfig, rng: random.Random) -> None:
        self.config = config
        self.because = ""
        self.n_openings = 0
        self._rng = rng
        self._in_a_row = 0
        self._failures: deque[bool] = deque(maxlen=config.window)
        self._until_s: float | None = None
        self._failed_probes = 0
        self._is_probing = False
        self._era = 0

    def state(self, now_s: float) -> BreakerState:
        """Closed, open, or half-open once the cooldown is over."""
        if self._until_s is None:
            return "closed"
        return "open" if now_s < self._until_s else "half_open"

    def may_ask(self, now_s: float) -> bool:
        """Whether `ask` would say yes; changes nothing."""
        return self.state(now_s) == "closed" or (self.state(now_s) == "half_open" and not self._is_probing)

    def wait_s(self, now_s: float) -> float:
        """Seconds until a probe is allowed; 0 when one is."""
        return 0.0 if self._until_s is None else max(0.0, self._until_s - now_s)

    def ask(self, now_s: float) -> Permit | None:
        """Leave to make a call; None while the circuit is open or another call is the probe."""
        if not self.may_ask(now_s):
            return None
        is_probe = self._until_s is not None
        self._is_probing |= is_probe
        return Permit(self._era, is_probe)

    def succeeded(self, permit: Permit) -> None:
        """The call was answered. A probe closes the circuit."""
        if permit.era != self._era:
            return
        if permit.is_probe:
            self._close()
        self._in_a_row = 0
        self._failures.append(False)

    def failed(self, permit: Permit, now_s: float, retry_after_s: float | None = None) -> None:
        """The model failed. A failed probe, or a server that says when to come again, opens the circuit at once."""
        if permit.era != self._era:
            return
        self._in_a_row += 1
        self._failures.append(True)
        if permit.is_probe:
            self._failed_probes += 1
            self._open(now_s, "its probe failed", retry_after_s)
        elif retry_after_s:
            self._open(now_s, "its server asked to be left alone", retry_after_s)
        elif (because := self._enough()) is not None:
            self._open(now_s, because, None)

    def abandoned(self, permit: Permit) -> None:
        """The call was cancelled, or failed for a reason that is not the model's: it says nothing; another may probe."""
        if permit.era == self._era and permit.is_probe:
            self._is_probing = False

    def _enough(self) -> str | None:
        if self._in_a_row >= self.config.consecutive_failures:
            return f"{self._in_a_row} failures in a row"
        n = len(self._failures)
        if n == self.config.window and sum(self._failures) >= self.config.failure_rate * n:
            return f"{sum(self._failures)} of its last {n} calls failed"
        return None

    def _open(self, now_s: float, because: str, asked_s: float | None) -> None:
        cooldown_s = self.config.cooldown_s * 2.0 ** min(self._failed_probes, 30)
        cooldown_s = min(self.config.longest_cooldown_s, max(cooldown_s if asked_s is None else 0.0, asked_s or 0.0))
        self._until_s = now_s + cooldown_s * (1.0 + self.config.jitter * self._rng.random())
        self.because = because
        self.n_openings += 1
        self._is_probing = False
        self._era += 1

    def _close(self) -> None:
        self._until_s = None
        self._failed_probes = 0
        self._is_probing = False
        self._failures.clear()
        self._era += 1
