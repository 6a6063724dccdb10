"""Many requests to a model that answers one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from workbench.core import Completion, ModelError, Request


async def answer_concurrently(
    complete: Callable[[Request], Awaitable[Completion]], requests: Sequence[Request], limit: int
) -> list[Completion | ModelError]:
    """Answers in the order asked, at most `limit` at the same time; a failure stands in its place.

    Cancelling it cancels every answer that is still under way.
    """
    gate = asyncio.Semaphore(limit)

    async def answer(request: Request) -> Completion | ModelError:
        async with gate:
            try:
                return await complete(request)
            except ModelError as exc:
                return exc

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(request)) for request in requests]
    return [task.result() for task in tasks]
