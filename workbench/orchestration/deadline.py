"""A point in time after which nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from workbench.core import Clock

T = TypeVar("T")


class DeadlinePassed(Exception):
    """The deadline passed before the result was there; the work was cancelled."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock; None never comes.

    Args:
        at_s: monotonic seconds.
        clock: the clock they are on.
    """

    at_s: float | None
    clock: Clock

    @classmethod
    def after(cls, duration_s: float | None, clock: Clock) -> Deadline:
        """That many seconds from now."""
        return cls(None if duration_s is None else clock.monotonic_s() + duration_s, clock)

    def sooner(self, duration_s: float | None) -> Deadline:
        """The earlier of this one and that many seconds from now."""
        other = Deadline.after(duration_s, self.clock)
        return other if self.at_s is None or (other.at_s is not None and other.at_s < self.at_s) else self

    @property
    def left_s(self) -> float | None:
        """Seconds until then, not below 0; None without a deadline."""
        return None if self.at_s is None else max(0.0, self.at_s - self.clock.monotonic_s())

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises:
            DeadlinePassed: it did not come in time; the work was cancelled.
        """
        left_s = self.left_s
        if left_s is None:
            return await work
        task = asyncio.ensure_future(work)
        alarm = asyncio.ensure_future(self.clock.sleep(left_s))
        try:
            await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise DeadlinePassed
        finally:
            await cancelled(task, alarm)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks that still run and wait until they have ended; their results are not looked at."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _End:
    """Marks the end of an iteration in a queue."""


async def each_in_time(items: AsyncIterator[T], deadline: Deadline) -> AsyncGenerator[T, None]:
    """The items as they come. The whole iteration runs in one task of its own, which ends when this one is closed.

    Raises:
        DeadlinePassed: the deadline came before the last item.
    """
    queue: asyncio.Queue[T | BaseException | type[_End]] = asyncio.Queue()
    pump = asyncio.ensure_future(_pump(items, queue))
    alarm = asyncio.ensure_future(_ring(deadline, queue))
    try:
        while (item := await queue.get()) is not _End:
            if isinstance(item, BaseException):
                raise item
            yield cast(T, item)
    finally:
        await cancelled(pump, alarm)


async def _pump(items: AsyncIterator[T], queue: asyncio.Queue[T | BaseException | type[_End]]) -> None:
    try:
        async for item in items:
            queue.put_nowait(item)
        queue.put_nowait(_End)
    except Exception as exc:  # handed to whoever reads
        queue.put_nowait(exc)


async def _ring(deadline: Deadline, queue: asyncio.Queue[Any]) -> None:
    left_s = deadline.left_s
    if left_s is not None:
        await deadline.clock.sleep(left_s)
        queue.put_nowait(DeadlinePassed())
