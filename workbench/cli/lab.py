"""`workbench lab`: JupyterLab and the MLflow UI on the same store, started and stopped together."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import typer

from workbench.cli.output import print_json, stderr
from workbench.core import ConfigError, MissingExtra, StoreError

HOST = "127.0.0.1"
READY_WITHIN_S = 180.0
STOP_WITHIN_S = 15.0
PORTS_TRIED = 50


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("lab")(lab)


def lab(
    port: Annotated[int, typer.Option(help="JupyterLab's port; the next free one if it is taken.")] = 8888,
    mlflow_port: Annotated[int, typer.Option(help="The MLflow UI's port; the next free one if it is taken.")] = 5000,
    root: Annotated[
        Path | None,
        typer.Option(help="Project folder; default: the one around the current folder.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document when ready: both URLs.")] = False,
) -> None:
    """Start JupyterLab and the MLflow UI on the project's store; Ctrl-C stops both.

    Example: workbench lab --port 8888
    """
    from workbench.tracking import init
    from workbench.tracking.store import project_root

    _check_installed()
    folder = (root or project_root()).resolve()
    tracking = init(root)
    token = secrets.token_urlsafe(24)
    lab_port = free_port(port)
    servers = [
        _jupyter(lab_port, folder, tracking.uri, token),
        _mlflow(free_port(mlflow_port, but=lab_port), folder, tracking.uri, tracking.folder),
    ]
    with _interruptible(), contextlib.ExitStack() as running, contextlib.suppress(KeyboardInterrupt):
        started = [running.enter_context(server.running()) for server in servers]
        running.callback(_ask_to_end, started)
        with stderr.status("starting JupyterLab and the MLflow UI"):
            for server in started:
                server.wait_until_ready()
        urls = {"jupyter": f"{servers[0].url}/lab?token={token}", "mlflow": servers[1].url, "store": tracking.uri}
        if as_json:
            print_json(urls)
            sys.stdout.flush()
        stderr.print(
            f"JupyterLab: {urls['jupyter']}\nMLflow:     {urls['mlflow']}\nCtrl-C stops both.", highlight=False
        )
        _until_one_ends(started)
    stderr.print("stopped")


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        raise MissingExtra("workbench lab", "notebooks")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to be started.

    Args:
        name: for messages.
        command: arguments.
        url: base URL.
        ready_path: answers once it is up.
        environment: variables beside the inherited ones.
        folder: its current directory.
    """

    name: str
    command: tuple[str, ...]
    url: str
    ready_path: str
    environment: dict[str, str]
    folder: Path

    @contextlib.contextmanager
    def running(self) -> Iterator[Running]:
        """The server as a process group of its own, ended with all its children."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                start_new_session=True,
            )
            try:
                yield Running(self, process, output)
            finally:
                _end_group(process)


@dataclass(frozen=True, slots=True)
class Running:
    """A started server with what it says."""

    server: Server
    process: subprocess.Popen[bytes]
    output: IO[str]

    def wait_until_ready(self) -> None:
        """Return when it answers.

        Raises:
            StoreError: it ended, or does not answer in time; with its last words.
        """
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not _answers(self.server.url + self.server.ready_path):
            if self.has_ended():
                raise StoreError(f"{self.server.name} did not start: {self.last_words()}")
            if time.monotonic() > deadline_s:
                raise StoreError(
                    f"{self.server.name} does not answer after {READY_WITHIN_S:.0f} s: {self.last_words()}"
                )
            time.sleep(0.3)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """The last line it printed."""
        self.output.seek(0)
        lines = [line.strip() for line in self.output if line.strip()]
        return lines[-1] if lines else "it said nothing"


def _jupyter(port: int, folder: Path, store: str, token: str) -> Server:
    command = (
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--ip={HOST}",
        f"--port={port}",
        "--ServerApp.port_retries=0",
    )
    as_root = ("--allow-root",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    environment = {"JUPYTER_TOKEN": token, "MLFLOW_TRACKING_URI": store}
    return Server("JupyterLab", (*command, *as_root), f"http://{HOST}:{port}", "/api", environment, folder)


def _mlflow(port: int, folder: Path, store: str, store_folder: Path | None) -> Server:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store]
    if store_folder is not None:
        command += ["--default-artifact-root", (store_folder / "artifacts").as_uri()]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # it would start job consumers that outlive it
    return Server("the MLflow UI", tuple(command), f"http://{HOST}:{port}", "/health", environment, folder)


def free_port(wanted: int, but: int | None = None) -> int:
    """`wanted`, or the next free port above it.

    Raises:
        ConfigError: none of the next fifty is free, or it is no port.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError, OverflowError):
                probe.bind((HOST, port))
                if port != but:
                    return port
    raise ConfigError(f"no free port from {wanted} on; name another with --port or --mlflow-port (1 to 65535)")


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _until_one_ends(started: list[Running]) -> None:
    while True:
        for server in started:
            if server.has_ended():
                raise StoreError(f"{server.server.name} ended: {server.last_words()}")
        time.sleep(0.5)


def _ask_to_end(started: list[Running]) -> None:
    """Tell all at once, so that their endings overlap."""
    for server in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGTERM)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, then not."""
    for number, wait_s in ((signal.SIGTERM, STOP_WITHIN_S), (signal.SIGKILL, STOP_WITHIN_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
            if number == signal.SIGKILL or not _group_lives(process.pid):
                return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
