"""A `vllm serve` of one's own: started, waited for with its log at hand, stopped with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType

from workbench.core import ConfigError, Unavailable
from workbench.models.card import ModelCard
from workbench.models.server_model import key_of
from workbench.models.vllm_environment import VLLMEnvironment, find_environment
from workbench.models.vllm_log import VLLMReport, quoted, read_from, read_report, telling_lines
from workbench.models.vllm_options import LOOPBACK, VLLMOptions, serve_command, serve_environ, vllm_options
from workbench.models.vllm_process import ServerProcess

POLL_S = 0.25
HEALTH_TIMEOUT_S = 5.0
WARM_UP_TIMEOUT_S = 120.0
STOP_PATIENCE_S = 20.0
ENDING_PATIENCE_S = 5.0
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}


class VLLMServer:
    """vLLM's server for a checkpoint, on this machine, for as long as the `with` block lasts.

    It serves the checkpoint under `name`, in the card's dtype, with sampling defaults as in transformers. It listens on loopback unless
    `options.host` says otherwise. It ends with this process, whatever ends that.

    Args:
        name: the model's name in the configuration, and the one that requests use.
        card: of the kind `vllm`, or of the kind `transformers`, whose checkpoint vLLM then serves.
        port: before `options.port`; a free one when both are None.
        log: file that its output is appended to; before `options.log`; one in the temporary folder when both are None.

    Raises:
        ConfigError: no vLLM environment, no such checkpoint, a wrong option, a port in use, or a key that is not set.
    """

    def __init__(self, name: str, card: ModelCard, *, port: int | None = None, log: Path | None = None) -> None:
        if card.base_url:
            raise ConfigError(f"model {name!r} runs already, at {card.base_url}; leave base_url out to start a server")
        self.name = name
        self.card = card
        self.options: VLLMOptions = vllm_options(name, card)
        self.environment: VLLMEnvironment = find_environment(self.options.environment)
        if card.device.startswith("cuda") and self.environment.is_cpu:
            raise ConfigError(
                f"model {name!r}: device is {card.device}, and vLLM {self.environment.version} at {self.environment.executable} "
                "computes on the processor; set device: cpu or install the GPU build"
            )
        self.port = _port(self.options.host, port or self.options.port)
        self.command = serve_command(self.environment, name, card, self.options, self.port)
        self.report = VLLMReport(version=self.environment.version)
        self._key = key_of(name, card)
        self._environ = serve_environ(card, self.environment, self._key)
        self._wanted_log = log or self.options.log
        self._log_path: Path | None = None
        self._log_start = 0
        self.is_stopped = False
        self._process: ServerProcess | None = None
        self._started_s = 0.0

    def __enter__(self) -> VLLMServer:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Up to and including /v1."""
        host = f"[{self._connect_host}]" if ":" in self._connect_host else self._connect_host
        return f"http://{host}:{self.port}/v1"

    @property
    def _connect_host(self) -> str:
        return EVERYWHERE.get(self.options.host, self.options.host)

    @property
    def checkpoint(self) -> str:
        """The folder or hub id that is served."""
        return self.command[2]

    @property
    def log_path(self) -> Path:
        """Where its output is; known once it was started."""
        if self._log_path is None:
            raise RuntimeError("the server was not started; call start() first")
        return self._log_path

    @property
    def pid(self) -> int:
        """Its first process, leader of its process group; known once it was started."""
        if self._process is None:
            raise RuntimeError("the server was not started; call start() first")
        return self._process.pid

    def pids(self) -> list[int]:
        """Its living processes: API server, engine, workers."""
        return [] if self._process is None else self._process.pids()

    def is_alive(self) -> bool:
        """Whether its first process runs."""
        return self._process is not None and self._process.exit_code() is None

    def has_ended(self, patience_s: float = ENDING_PATIENCE_S) -> bool:
        """Whether it runs no more. One that is not healthy is given time to end: connections break a moment before the process is gone."""
        give_up_s = time.monotonic() + patience_s
        while self.is_alive() and not self._is_healthy() and time.monotonic() < give_up_s:
            time.sleep(POLL_S / 10)
        return not self.is_alive()

    def start(self) -> None:
        """Start the processes without waiting; a second call does nothing.

        Raises:
            ConfigError: the log cannot be written or the program not be run.
        """
        if self._process is not None:
            return
        try:
            self._log_path = _log_file(self.name, self._wanted_log)
            self._log_start = self._log_path.stat().st_size if self._log_path.exists() else 0
            self._started_s = time.monotonic()
            self._process = ServerProcess(self.command, self._environ, self._log_path)
        except OSError as exc:
            raise ConfigError(f"model {self.name!r}: cannot start vLLM: {exc.strerror}: {exc.filename}") from exc

    def wait_until_ready(self) -> None:
        """Return when it has answered a first request (which takes seconds longer than any other), with `report` filled.

        Raises:
            Unavailable: it ended, or did not answer within `options.ready_timeout_s`; quotes the telling lines of its log.
        """
        give_up_s = self._started_s + self.options.ready_timeout_s
        while not self._is_healthy():
            if not self.is_alive():
                raise self.failure("vLLM ended before it was ready")
            if time.monotonic() > give_up_s:
                waited = f"not ready after {self.options.ready_timeout_s:g} s (options.ready_timeout_s)"
                raise self.failure(f"vLLM was {waited}")
            if _is_cancelled():
                raise KeyboardInterrupt
            time.sleep(POLL_S)
        self._warm_up()
        start_s = time.monotonic() - self._started_s
        self.report = read_report(self.log(), start_s, self.environment.version)

    def wait_until_ended(self) -> None:
        """Return never while it lives.

        Raises:
            Unavailable: it ended; quotes its log.
        """
        while self.is_alive():
            time.sleep(POLL_S)
        raise self.failure("vLLM ended by itself")

    def stop(self) -> None:
        """End the server and everything that it started. A second call does nothing."""
        self.is_stopped = True
        if self._process is not None:
            self._process.stop(STOP_PATIENCE_S)

    def log(self) -> str:
        """What it has said since it was started."""
        return read_from(self.log_path, self._log_start)

    def failure(self, what: str) -> Unavailable:
        """An error that says what happened, how the server ended, and what its log says."""
        code = None if self._process is None else self._process.exit_code()
        ended = "" if code is None else f" ({_ending(code)})"
        said = quoted(telling_lines(self.log()))
        return Unavailable(f"{what}{ended}; its log {self.log_path} says:{said}", model=self.name)

    def _is_healthy(self) -> bool:
        try:
            return self._asked("GET", "/health") == 200 and self.is_alive()
        except (OSError, http.client.HTTPException):
            return False

    def _warm_up(self) -> None:
        """One token, whatever comes of it: a checkpoint without a chat template is refused here and serves other endpoints all the same."""
        body = {"model": self.name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._asked("POST", "/v1/chat/completions", body, WARM_UP_TIMEOUT_S)

    def _asked(self, method: str, path: str, body: object = None, timeout_s: float = HEALTH_TIMEOUT_S) -> int:
        """The status of an answer of the server."""
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connection = http.client.HTTPConnection(self._connect_host, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


def _is_cancelled() -> bool:
    """Whether Ctrl-C came while waiting inside asyncio.run, which only marks the running task at the first one."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop in this thread
        return False
    return task is not None and task.cancelling() > 0


def _port(host: str, wanted: int | None) -> int:
    """A free port, or the wanted one if it is free."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted or 0))
        except OSError as exc:
            used = exc.errno == errno.EADDRINUSE
            why = "another process uses it; leave port out to get a free one" if used else exc.strerror
            raise ConfigError(f"vLLM cannot listen on {host} port {wanted or 0}: {why}") from exc
        port: int = probe.getsockname()[1]
        return port


def _log_file(name: str, wanted: Path | None) -> Path:
    if wanted is None:
        safe = "".join(character if character.isalnum() else "-" for character in name)
        handle, path = tempfile.mkstemp(prefix=f"workbench-vllm-{safe}-", suffix=".log")
        os.close(handle)
        return Path(path)
    wanted = wanted.expanduser().absolute()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    return wanted


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
