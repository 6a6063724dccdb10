"""A web application in a thread, on a free port of this machine, while a `with` block lasts."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

START_TIMEOUT_S = 120.0
POLL_S = 0.02
TICK_S = 0.005


class _PromptServer(uvicorn.Server):
    """Looks every few milliseconds whether it should end, not ten times a second: a suite starts hundreds."""

    async def main_loop(self) -> None:
        """Until it should end."""
        await self.on_tick(0)  # sets the headers that every answer has
        while not self.should_exit:
            await asyncio.sleep(TICK_S)


class ThreadedServer:
    """What the stubs run in.

    Args:
        routes: what is served.
        path: behind the address in `url`, e.g. "/v1".
    """

    def __init__(self, routes: Sequence[Route], path: str = "") -> None:
        self.url = ""
        self._routes = list(routes)
        self._path = path

    def __enter__(self) -> Self:
        # TCP by name: asyncio then turns Nagle's algorithm off, which would add some 40 ms to each answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{self._path}"
        config = uvicorn.Config(
            Starlette(routes=self._routes), log_config=None, lifespan="off", timeout_graceful_shutdown=1, ws="none"
        )
        self._server = _PromptServer(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        self._wait_until_started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT_S)
        self._socket.close()

    async def wait(self, duration_s: float) -> None:
        """Sleep, but not beyond the end of the `with` block."""
        until_s = time.monotonic() + duration_s
        while time.monotonic() < until_s and not self._server.should_exit:
            await asyncio.sleep(min(POLL_S, duration_s))

    def _wait_until_started(self) -> None:
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if time.monotonic() > give_up_s or not self._thread.is_alive():
                raise RuntimeError("the stub server did not start")
            time.sleep(0.005)
