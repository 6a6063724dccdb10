"""One computation for all who ask the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    n_waiting: int = 0


class SingleFlight(Generic[T]):
    """Joins concurrent calls with the same key.

    The work runs in a task of its own: whoever began it may be cancelled and the others still get the answer; when all have gone the
    work is cancelled. A failure is given to its beginner alone; those who joined begin anew, once.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The result, and whether somebody else's work gave it."""
        joined = self._flights.get(key)
        if joined is not None:
            try:
                return await self._wait(key, joined), True
            except Exception:  # the other one's deadline or limits are not ours: begin anew
                joined = self._flights.get(key)
        flight = joined or self._begin(key, work)
        return await self._wait(key, flight), joined is not None

    def _begin(self, key: str, work: Callable[[], Awaitable[T]]) -> _Flight[T]:
        async def fly() -> T:
            try:
                return await work()
            finally:
                if self._flights.get(key) is flight:
                    del self._flights[key]

        flight: _Flight[T] = _Flight(asyncio.ensure_future(fly()))
        self._flights[key] = flight
        return flight

    async def _wait(self, key: str, flight: _Flight[T]) -> T:
        flight.n_waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.n_waiting -= 1
            if not flight.n_waiting and not flight.task.done():
                if self._flights.get(key) is flight:
                    del self._flights[key]
                flight.task.cancel()
