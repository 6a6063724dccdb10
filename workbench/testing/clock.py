"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

POLL_S = 0.001
"""Real seconds between a manual sleeper's looks at the clock, so that it does not keep a core busy."""
START = datetime(2026, 1, 1, tzinfo=UTC)
TURNS = 20
"""Turns of the event loop for which a sleeper must be the earliest before the clock jumps to its hour.

Whoever was woken before gets that long to act: to end, to be noticed, and to cancel the deadline that guarded it.
"""


class FakeClock:
    """A clock whose sleeps take no time: it jumps to the earliest sleeper's hour, so concurrent sleeps overlap as in life.

    Args:
        manual: sleepers wait for `advance` instead.

    Example:
        >>> import asyncio
        >>> clock = FakeClock()
        >>> async def both(): await asyncio.gather(clock.sleep(3), clock.sleep(1))
        >>> asyncio.run(both())
        >>> clock.monotonic_s()
        3.0
    """

    def __init__(self, manual: bool = False) -> None:
        self.manual = manual
        self.sleeps: list[float] = []
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int]] = []
        self._waiting: dict[tuple[float, int], asyncio.Future[None]] = {}
        self._tickets = itertools.count()

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def now(self) -> datetime:
        """1 January 2026 plus what has passed, UTC."""
        return START + timedelta(seconds=self._now_s)

    def advance(self, duration_s: float) -> None:
        """Let that many seconds pass."""
        self._now_s += duration_s

    async def sleep(self, duration_s: float) -> None:
        """Wait without waiting; the durations asked for are kept in `sleeps`."""
        self.sleeps.append(duration_s)
        me = (self._now_s + duration_s, next(self._tickets))
        heapq.heappush(self._sleepers, me)
        try:
            turns = 0
            while turns < TURNS:
                await self._first(me)
                await asyncio.sleep(POLL_S if self.manual else 0)
                turns = turns + 1 if self._may_wake(me) else 0
            self._now_s = max(self._now_s, me[0])
        finally:
            self._waiting.pop(me, None)
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
            self._call_first()

    async def _first(self, me: tuple[float, int]) -> None:
        """Return when nobody wakes earlier; only the earliest sleeper counts turns, however many there are."""
        while self._sleepers[0] != me:
            called = self._waiting[me] = asyncio.get_running_loop().create_future()
            await called

    def _call_first(self) -> None:
        called = self._waiting.pop(self._sleepers[0], None) if self._sleepers else None
        if called is not None:  # maybe of another thread's loop
            called.get_loop().call_soon_threadsafe(_wake, called)

    def _may_wake(self, me: tuple[float, int]) -> bool:
        return self._sleepers[0] == me and (not self.manual or self._now_s >= me[0])


def _wake(called: asyncio.Future[None]) -> None:
    if not called.done():
        called.set_result(None)
