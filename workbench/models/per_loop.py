"""Things that belong to an event loop, such as open connections: opened on first use in each loop, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One resource for the event loop that is running; another loop gets its own, because connections do not survive theirs.

    The resource is held by an asynchronous generator, which `asyncio.run` closes at its end like any other (PEP 525), so that a
    notebook or script that runs one loop after the other leaves no connection open.

    Args:
        open_: makes the context manager of the resource; called inside the loop.
    """

    def __init__(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holder: AsyncGenerator[T, None] | None = None
        self._held: T | None = None

    async def get(self) -> T:
        """The resource of the running loop."""
        loop = asyncio.get_running_loop()
        if self._held is None or self._loop is not loop:
            holder = self._hold()
            held = await anext(holder)  # opening does not wait for anything, so no two callers open at once
            self._loop, self._holder, self._held = loop, holder, held
        return self._held

    async def close(self) -> None:
        """Close it, if it belongs to the running loop; another loop closes its own."""
        holder, self._holder, self._held = self._holder, None, None
        if holder is not None and self._loop is asyncio.get_running_loop():
            await holder.aclose()

    async def _hold(self) -> AsyncGenerator[T, None]:
        async with self._open() as resource:
            yield resource
