"""Whether and when to ask a server again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from workbench.core import Clock, ModelError, RateLimited, Request


@dataclass(frozen=True, slots=True)
class Retrying:
    """Exponential pauses with jitter; a server's own `retry-after` comes first.

    Args:
        attempts: further attempts after the first.
        first_pause_s: before the second attempt; doubles each time.
        longest_pause_s: bound of the doubling, and of what a server may ask for.
    """

    attempts: int
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0

    def pause_s(self, error: ModelError, n_failed: int, left_s: float | None, rng: random.Random) -> float | None:
        """Seconds to wait before the next attempt; None when there should be none.

        Args:
            error: of the last attempt.
            n_failed: attempts so far.
            left_s: seconds until the request's deadline; None without one.
            rng: draws the jitter, so that many clients do not come back together.
        """
        if not error.retryable or n_failed > self.attempts:
            return None
        pause_s = self._wanted_s(error, n_failed, rng)
        in_time = left_s is None or pause_s < left_s
        return pause_s if in_time and pause_s <= self.longest_pause_s else None

    def _wanted_s(self, error: ModelError, n_failed: int, rng: random.Random) -> float:
        if isinstance(error, RateLimited) and error.retry_after_s is not None:
            return error.retry_after_s
        doubled_s = self.first_pause_s * 2.0 ** (n_failed - 1)
        return min(self.longest_pause_s, doubled_s) * rng.uniform(0.5, 1.0)


class Patience:
    """The time of one request: since when it is under way, until when an attempt may take, when the next one begins.

    Args:
        request: its deadline bounds everything.
        timeout_s: longest attempt.
        retrying: how often and after which pauses.
        clock: what tells the time.
        rng: draws the jitter.
    """

    def __init__(
        self, request: Request, timeout_s: float, retrying: Retrying, clock: Clock, rng: random.Random
    ) -> None:
        self.start_s = clock.monotonic_s()
        self._end_s = None if request.deadline_s is None else self.start_s + request.deadline_s
        self._timeout_s, self._retrying, self._clock, self._rng = timeout_s, retrying, clock, rng
        self._n_failed = 0
        self._give_up_s = self._until()

    def left_s(self) -> float:
        """Seconds left of this attempt; 0 or less when it has taken too long."""
        return self._give_up_s - self._clock.monotonic_s()

    async def pause_or_raise(self, error: ModelError) -> None:
        """Wait until the next attempt is due.

        Raises:
            ModelError: `error`, when there is no further attempt.
        """
        self._n_failed += 1
        left_s = None if self._end_s is None else self._end_s - self._clock.monotonic_s()
        pause_s = self._retrying.pause_s(error, self._n_failed, left_s, self._rng)
        if pause_s is None:
            raise error
        await self._clock.sleep(pause_s)
        self._give_up_s = self._until()

    def _until(self) -> float:
        attempt_s = self._clock.monotonic_s() + self._timeout_s
        return attempt_s if self._end_s is None else min(attempt_s, self._end_s)
