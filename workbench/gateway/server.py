"""Running the gateway: a port that is free or a sentence that says it is not, and a stop that lets answers finish."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from workbench.core import ConfigError


def bind(host: str, port: int) -> socket.socket:
    """A listening socket's address taken; port 0 lets the system pick a free one.

    Raises:
        ConfigError: the port is in use, not allowed, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio turns Nagle's algorithm off only for sockets that say TCP, and with it on every answer
    # waits some 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as exc:
        listener.close()
        raise ConfigError(f"cannot listen on {host} port {port}: {_why(exc)}") from exc
    return listener


def _why(error: OSError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "ports are 0 to 65535"
    if error.errno == errno.EADDRINUSE:
        return "another process uses it; choose another with --port (0 picks a free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "not allowed; ports below 1024 need rights, choose another with --port"
    return f"{error.strerror or error}; use an address of this machine, e.g. 127.0.0.1"


def url_of(listener: socket.socket) -> str:
    """The server's base URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class QuietServer(uvicorn.Server):
    """Uvicorn that says when it is ready and ends quietly: by default it raises a caught Ctrl-C or SIGTERM once more."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the server, once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.handle_exit) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def serve(app: Any, listener: socket.socket, *, ready: Callable[[], None] = lambda: None, grace_s: int = 10) -> None:
    """Answer requests until Ctrl-C or SIGTERM; requests under way may finish.

    Args:
        app: the ASGI application.
        listener: from `bind`.
        ready: called once when requests are accepted.
        grace_s: longest wait for requests under way.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=grace_s,
        timeout_keep_alive=30,
        server_header=False,
        lifespan="on",
    )
    server = QuietServer(config, ready)
    with listener, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listener]))
