"""Whether and when to ask a server again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from workbench.core import ModelError, RateLimited


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
