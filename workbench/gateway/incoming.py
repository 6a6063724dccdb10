"""Reading what a client sends: a body of bounded size, and the news that the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import Request as HttpRequest
from starlette.types import Receive

from workbench.gateway.failures import too_large

T = TypeVar("T")

# A body over the limit is read on and thrown away up to this factor: a client that is still sending when the server
# closes sees a broken connection instead of the 413.
DRAIN_FACTOR = 256


class ClientGone(Exception):
    """The client closed the connection; nobody reads an answer."""


async def read_body(request: HttpRequest, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        HttpFailure: 413, it is larger than `limit_bytes`; memory use stays below the limit.
        ClientGone: the client left while sending.
    """
    kept, size = bytearray(), 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > DRAIN_FACTOR * limit_bytes:
            raise too_large(limit_bytes)
        if size <= limit_bytes:
            kept += piece
        if not message.get("more_body", False):
            break
    if size > limit_bytes:
        raise too_large(limit_bytes)
    return bytes(kept)


async def unless_gone(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """The result of `work`; it is cancelled, and its clean-up awaited, when the client closes the connection first.

    Raises:
        ClientGone: the client left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
