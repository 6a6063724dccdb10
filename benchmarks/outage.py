"""What an outage costs: real servers that hang, fail or die, behind a chain with and without circuit breakers.

Two servers run as processes of their own: `api`, which has the outage, and `tiny`, the local last resort. Four clients ask one request
after another. A hang is SIGSTOP (connections are taken and never answered), a death SIGKILL (connections are refused), errors are
status 500. Writes benchmarks/results/outage.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.core import Request, WorkbenchError
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.stack import Stack, StackConfig
from workbench.testing import StubBehaviour, StubServer

N_CLIENTS = 4
THINK_S = 0.03
HEALTHY_S, OUTAGE_S, AFTER_S = 3.0, 8.0, 6.0
TIMEOUT_S, COOLDOWN_S = 1.0, 2.0
ANSWER_S = {"api": 0.05, "tiny": 0.02}


@dataclass(frozen=True)
class Answered:
    """One request: when it was asked, how long it took, who answered (None: nobody)."""

    at_s: float
    latency_s: float
    model: str | None


def serve(name: str) -> None:
    """A stub server until it is killed; prints its URL. SIGUSR1 makes it fail with status 500, or stop doing so."""
    is_failing = False

    def toggle(*_: object) -> None:
        nonlocal is_failing
        is_failing = not is_failing

    def reply(_: object) -> str:
        if is_failing:
            raise RuntimeError("failing on purpose")
        return "four"

    signal.signal(signal.SIGUSR1, toggle)
    with StubServer(StubBehaviour(models=(name,), ttft_s=ANSWER_S[name], reply=reply)) as server:
        print(server.url, flush=True)
        while True:
            time.sleep(0.1)


@contextlib.contextmanager
def servers() -> Iterator[dict[str, tuple[subprocess.Popen[str], str]]]:
    """Both servers: process and URL by name."""
    running = {}
    try:
        for name in ANSWER_S:
            command = [sys.executable, __file__, "--serve", name]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            running[name] = (process, process.stdout.readline().strip())
        yield running
    finally:
        for process, _ in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()


def configuration(urls: dict[str, str], has_breaker: bool) -> StackConfig:
    """`api` with `tiny` behind it."""
    card = {"kind": "openai-compatible", "retries": 0, "timeout_s": 30.0}
    data = {
        "schema_version": 1,
        "name": "outage",
        "models": {
            name: {**card, "model": name, "base_url": url, "region": "eu" if name == "api" else "local"}
            for name, url in urls.items()
        },
        "choose": {"policy": {"kind": "fixed", "model": "api"}, "fallbacks": ["tiny"]},
        "answer": {
            "deadline_s": 10.0,
            "chain": {
                "attempt_timeout_s": TIMEOUT_S,
                "breaker": {"consecutive_failures": 3, "cooldown_s": COOLDOWN_S, "longest_cooldown_s": 2 * COOLDOWN_S}
                if has_breaker
                else None,
            },
        },
    }
    return StackConfig.from_data(data, "outage")


async def client(stack: Stack, start_s: float, rows: list[Answered]) -> None:
    """One request after another until the time is up."""
    while (at_s := time.perf_counter() - start_s) < HEALTHY_S + OUTAGE_S + AFTER_S:
        began_s = time.perf_counter()
        try:
            model = (await stack.run(Request.from_prompt("What is 2 + 2?"))).completion.model
        except WorkbenchError:
            model = None
        rows.append(Answered(at_s, time.perf_counter() - began_s, model))
        await asyncio.sleep(THINK_S)


async def strike(kind: str, process: subprocess.Popen[str]) -> None:
    """The outage of a process."""
    await asyncio.sleep(HEALTHY_S)
    if kind == "death":
        process.kill()
        return
    begin, end = (signal.SIGSTOP, signal.SIGCONT) if kind == "hang" else (signal.SIGUSR1, signal.SIGUSR1)
    os.kill(process.pid, begin)
    await asyncio.sleep(OUTAGE_S)
    os.kill(process.pid, end)


async def run(kind: str, has_breaker: bool) -> dict[str, object]:
    """One case: all requests, summed up by phase."""
    with servers() as running:
        config = configuration({name: url for name, (_, url) in running.items()}, has_breaker)
        async with Stack.from_config(config, base_dir=Path()) as stack:
            rows: list[Answered] = []
            start_s = time.perf_counter()
            clients = [client(stack, start_s, rows) for _ in range(N_CLIENTS)]
            await asyncio.gather(strike(kind, running["api"][0]), *clients)
            return {"outage": kind, "breaker": has_breaker, **summary(kind, rows, stack)}


def summary(kind: str, rows: list[Answered], stack: Stack) -> dict[str, object]:
    """Latency and answers by phase, and what the outage cost."""
    healthy = [row for row in rows if row.at_s < HEALTHY_S - 1.0]
    usual_s = float(np.percentile([row.latency_s for row in healthy], 99))
    rest = [row for row in rows if row.at_s >= HEALTHY_S - 1.0]
    by_tiny = [row for row in rest if row.model == "tiny"]
    last_s = max((row.at_s for row in by_tiny), default=None)
    return {
        "n": len(rows),
        "unanswered": sum(row.model is None for row in rows),
        "healthy_ms": quantiles(healthy),
        "answered_by_tiny_ms": quantiles(by_tiny),
        "paid_a_timeout": sum(row.latency_s >= TIMEOUT_S for row in rest),
        "seconds_lost": round(sum(max(0.0, row.latency_s - usual_s) for row in rest), 3),
        "calls_not_made": stack.metrics.skipped["api"],
        "probes": {result: n for (_, result), n in sorted(stack.metrics.probes.items())},
        "back_after_s": None if kind == "death" or last_s is None else round(last_s - HEALTHY_S, 2),
    }


def quantiles(rows: list[Answered]) -> dict[str, float] | None:
    """p50, p99 and the longest, in milliseconds."""
    if not rows:
        return None
    values = [1000 * row.latency_s for row in rows]
    p50, p99 = np.percentile(values, [50, 99])
    return {"n": len(rows), "p50": round(p50, 1), "p99": round(p99, 1), "longest": round(max(values), 1)}


def main() -> None:
    """Every kind of outage, with and without circuit breakers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve")
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
    cases = [asyncio.run(run(kind, has)) for kind in ("hang", "errors", "death") for has in (True, False)]
    settings = {
        "clients": N_CLIENTS,
        "think_s": THINK_S,
        "attempt_timeout_s": TIMEOUT_S,
        "cooldown_s": COOLDOWN_S,
        "outage_s": {"hang": OUTAGE_S, "errors": OUTAGE_S, "death": None},
        "answer_s": ANSWER_S,
        "paid_a_timeout": "requests that took attempt_timeout_s or longer",
        "seconds_lost": "sum over requests of what they took beyond the healthy p99",
        "back_after_s": "from the beginning of the outage to the last answer of the fallback",
    }
    write_json(Path(__file__).parent / "results" / "outage.json", {**environment(), **settings, "cases": cases})
    print(json.dumps(cases, indent=2))


if __name__ == "__main__":
    main()
