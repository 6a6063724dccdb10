"""Things that belong to an event loop, such as open connections: opened on first use in each loop, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One resource for each event loop, for connections do not survive the loop that opened them. Loops may run side by side.

    The resource is held by an asynchronous generator, which `asyncio.run` closes at its end like any other (PEP 525), so that a
    notebook or script that runs one loop after the other leaves no connection open.

    Args:
        open_: makes the context manager of the resource; called inside the loop.
    """

    def __init__(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_
        self._held: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[T, None]]] = {}

    async def get(self) -> T:
        """The resource of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            self._held = {other: held for other, held in self._held.items() if not other.is_closed()}
            holder = self._hold()
            self._held[loop] = await anext(holder), holder  # opening waits for nothing, so no two callers open at once
        return self._held[loop][0]

    async def close(self) -> None:
        """Close the running loop's; another loop closes its own at its end."""
        _, holder = self._held.pop(asyncio.get_running_loop(), (None, None))
        if holder is not None:
            await holder.aclose()

    async def _hold(self) -> AsyncGenerator[T, None]:
        async with self._open() as resource:
            yield resource
