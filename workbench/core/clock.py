"""Time as a parameter: durations come from a monotonic clock, dates from the wall clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time. `workbench.testing.FakeClock` is the one for tests."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    def now(self) -> datetime:
        """The current time, in UTC."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment, from the finest monotonic clock."""
        return time.perf_counter()

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, duration_s: float) -> None:
        """Wait that many seconds without blocking the event loop."""
        await asyncio.sleep(duration_s)
