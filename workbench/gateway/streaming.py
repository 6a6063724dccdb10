"""A streamed answer over HTTP that stops the work behind it when the reader leaves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workbench.gateway.incoming import ClientGone, unless_gone


class EventStream(Response):
    """Server-sent events from a generator, which is closed in the end whatever happens.

    Starlette's own streaming response cancels by an anyio scope, in which the clean-up of the generator is cancelled as well;
    settling a half-told answer (usage, budget, audit) must not be.

    Args:
        events: the bytes to send.
        headers: further headers.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        with contextlib.suppress(ClientGone):
            await unless_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._events):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
