"""Asking a running gateway, as a client sees it: answers, who gave them, what they cost and how long they took."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from workbench.core import Clock, ConfigError, StoreError

MAX_RETRY_WAIT_S = 60.0
MAX_RETRIES = 5
STOP_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer.

    Args:
        text: the answer; None when the request failed.
        latency_s: from sending to the whole answer.
        told: the body's `workbench` object; empty when the request failed.
        error: status and message; None when there is an answer.
    """

    text: str | None
    latency_s: float
    told: Mapping[str, Any]
    error: str | None = None


class LiveServer:
    """A client of one gateway.

    Args:
        client: an HTTP client with the server's base URL and, where keys are asked for, the key.
        clock: what tells the time.
    """

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def check(self) -> None:
        """Raise unless a gateway answers there.

        Raises:
            ConfigError: nothing answers at that address, or something else does.
        """
        try:
            response = await self._client.get("/healthz")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise ConfigError(
                f"no server answers at {self._client.base_url}: {exc}; start one: workbench serve"
            ) from exc
        if response.status_code != 200:
            raise ConfigError(
                f"{self._client.base_url} is no workbench server: /healthz says {response.status_code}; "
                "give the URL that `workbench serve` prints"
            )

    async def ask(self, messages: list[dict[str, str]], task: str | None, sampling: Mapping[str, Any]) -> Reply:
        """One question, never answered from a cache. A rate limit is waited for; the wait is not latency.

        Args:
            messages: the chat.
            task: kind of task; None when unknown.
            sampling: further fields of the body.
        """
        headers = {"x-workbench-no-cache": "1", **({"x-workbench-task": task} if task else {})}
        body = {"messages": messages, "model": "auto", **sampling}
        for _ in range(MAX_RETRIES):
            start_s = self._clock.monotonic_s()
            try:
                response = await self._client.post("/v1/chat/completions", json=body, headers=headers)
            except httpx.HTTPError as exc:
                return Reply(None, self._clock.monotonic_s() - start_s, {}, f"{type(exc).__name__}: {exc}")
            latency_s = self._clock.monotonic_s() - start_s
            wait_s = _retry_after_s(response)
            if wait_s is None:
                break
            await self._clock.sleep(wait_s)
        return _reply(response, latency_s)


def _retry_after_s(response: httpx.Response) -> float | None:
    if response.status_code != 429:
        return None
    try:
        wait_s = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return wait_s if 0 <= wait_s <= MAX_RETRY_WAIT_S else None


def _reply(response: httpx.Response, latency_s: float) -> Reply:
    try:
        document = response.json()
    except ValueError:
        return Reply(None, latency_s, {}, f"{response.status_code}: not JSON")
    if response.status_code != 200:
        error = document.get("error", {}) if isinstance(document, dict) else {}
        return Reply(None, latency_s, {}, f"{response.status_code}: {error.get('message', 'no reason given')}")
    try:
        return Reply(document["choices"][0]["message"]["content"] or "", latency_s, document["workbench"])
    except (KeyError, IndexError, TypeError):
        return Reply(None, latency_s, {}, "200: not the answer of a workbench server")


@contextlib.asynccontextmanager
async def connected(url: str, key: str | None, clock: Clock) -> AsyncIterator[LiveServer]:
    """A client of the gateway at `url` (with or without /v1).

    Raises:
        ConfigError: not an http(s) URL, or no gateway answers there.
    """
    base = url.rstrip("/").removesuffix("/v1")
    if not base.startswith(("http://", "https://")):
        raise ConfigError(f"--url is {url!r}; give an address such as http://127.0.0.1:8000")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=120.0, trust_env=False) as client:
        server = LiveServer(client, clock)
        await server.check()
        yield server


@contextlib.contextmanager
def served(release: Path, *, ready_within_s: float = 180.0) -> Iterator[str]:
    """The URL of a server of that release in a process of its own; it is stopped at the end.

    Raises:
        StoreError: it ended before it was ready (with its own words), or did not get ready in time.
    """
    command = [sys.executable, "-m", "workbench.cli.main", "serve", str(release), "--port", "0", "--json"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, text=True, env=os.environ
        )
        try:
            yield _url_of(process, complaints, ready_within_s)
        finally:
            _stop(process)


def _url_of(process: subprocess.Popen[str], complaints: Any, ready_within_s: float) -> str:
    late = threading.Timer(ready_within_s, process.kill)
    late.start()
    try:
        line = process.stdout.readline() if process.stdout else ""
    finally:
        late.cancel()
    if line:
        return str(json.loads(line)["url"])
    process.wait()
    complaints.seek(0)
    words = complaints.read().strip().splitlines()
    raise StoreError(f"the server of the release did not start: {words[-1] if words else 'it said nothing'}")


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
