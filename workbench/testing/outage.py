"""An outage on purpose: two local servers behind a chain, one of which stops answering for a while, and what every request paid for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from workbench.core import Clock, Request, SystemClock, WorkbenchError
from workbench.core.event_loop import run_anywhere
from workbench.stack import Stack, StackConfig
from workbench.testing.clock import FakeClock
from workbench.testing.scripted import ScriptedModel
from workbench.testing.stub_server import StubBehaviour, StubServer

LATE = 0.98
"""Share of the timeout from which on a request counts as having paid it: timers may fire a hair early."""


@dataclass(frozen=True, slots=True)
class OutageConfig:
    """What happens, in seconds.

    Args:
        healthy_s, outage_s, after_s: how long the server answers, hangs, and answers again.
        timeout_s: share of time that one attempt gets.
        cooldown_s: how long a circuit stays open before the first probe.
        n_clients: clients that each ask one request after another.
        think_s: pause between two requests of a client.
    """

    healthy_s: float = 1.0
    outage_s: float = 3.0
    after_s: float = 2.0
    timeout_s: float = 0.5
    cooldown_s: float = 0.5
    n_clients: int = 4
    think_s: float = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Outage:
    """Every request of one run.

    Args:
        requests: `at_s` (of the run), `latency_s`, `model` that answered (null: nobody), `phase`: "outage" for whatever was under way
            while the server hung.
        config: what happened when.
        skipped: calls that the open circuit kept from the hanging model.
        probes: result → number.
    """

    requests: pl.DataFrame
    config: OutageConfig
    skipped: int
    probes: dict[str, int]

    @property
    def paid_timeout(self) -> int:
        """Requests that took as long as the timeout or longer."""
        return int(self.requests.filter(pl.col("latency_s") >= LATE * self.config.timeout_s).height)

    @property
    def unanswered(self) -> int:
        """Requests that nobody answered."""
        return int(self.requests["model"].null_count())

    def to_row(self, name: str) -> dict[str, str | int | float | None]:
        """One line of a table."""
        during = self.requests.filter(pl.col("phase") == "outage")
        return {
            "circuits": name,
            "requests_in_outage": during.height,
            "paid_timeout": self.paid_timeout,
            "unanswered": self.unanswered,
            "p50_ms": _milliseconds(during, 0.5),
            "p99_ms": _milliseconds(during, 0.99),
            "calls_spared": self.skipped,
            "probes": sum(self.probes.values()),
        }


def outage(config: OutageConfig | None = None, has_breaker: bool = True, is_simulated: bool = False) -> Outage:
    """Run it, for real: real servers on this machine, real seconds.

    Args:
        config: how long and how many.
        has_breaker: whether circuits are watched.
        is_simulated: scripted models on a clock of their own instead, so that neither seconds pass nor a busy machine changes the result.
    """
    run = _simulated if is_simulated else _on_servers
    return run_anywhere(run(config or OutageConfig(), has_breaker))


async def _on_servers(config: OutageConfig, has_breaker: bool) -> Outage:
    with StubServer(StubBehaviour(models=("api",))) as api, StubServer(StubBehaviour(models=("tiny",))) as tiny:
        settings = _stack_config({"api": api.url, "tiny": tiny.url}, config, has_breaker)
        well = api.behaviour

        def answer_in(duration_s: float) -> None:
            """Connections are taken and nothing comes back, as with a process that is stuck."""
            api.behaviour = replace(well, ttft_s=duration_s)

        async with Stack.from_config(settings, base_dir=Path()) as stack:
            return await _watched(stack, answer_in, config, SystemClock())


async def _simulated(config: OutageConfig, has_breaker: bool) -> Outage:
    clock, settings = FakeClock(), _stack_config({"api": "http://api", "tiny": "http://tiny"}, config, has_breaker)
    models = {n: ScriptedModel(n, lambda _: "four", card=card, clock=clock) for n, card in settings.models.items()}

    def answer_in(duration_s: float) -> None:
        models["api"].latency_s = duration_s

    async with Stack.from_config(settings, base_dir=Path(), models=models, clock=clock) as stack:
        return await _watched(stack, answer_in, config, clock)


async def _watched(stack: Stack, answer_in: Callable[[float], None], config: OutageConfig, clock: Clock) -> Outage:
    rows: list[tuple[float, float, str | None]] = []
    clients = [_client(stack, config, clock, rows) for _ in range(config.n_clients)]
    await asyncio.gather(_strike(answer_in, config, clock), *clients)
    probes = {result: n for (_, result), n in sorted(stack.metrics.probes.items())}
    return Outage(_frame(rows, config), config, stack.metrics.skipped.get("api", 0), probes)


async def _client(
    stack: Stack, config: OutageConfig, clock: Clock, rows: list[tuple[float, float, str | None]]
) -> None:
    start_s = clock.monotonic_s()
    length_s = config.healthy_s + config.outage_s + config.after_s
    while (at_s := clock.monotonic_s() - start_s) < length_s:
        try:
            model: str | None = (await stack.run(Request.from_prompt("What is 2 + 2?"))).completion.model
        except WorkbenchError:
            model = None
        rows.append((at_s, clock.monotonic_s() - start_s - at_s, model))
        await clock.sleep(config.think_s)


async def _strike(answer_in: Callable[[float], None], config: OutageConfig, clock: Clock) -> None:
    await clock.sleep(config.healthy_s)
    answer_in(2 * config.outage_s)
    await clock.sleep(config.outage_s)
    answer_in(0.0)


def _stack_config(urls: dict[str, str], config: OutageConfig, has_breaker: bool) -> StackConfig:
    card = {"kind": "openai-compatible", "retries": 0, "timeout_s": 60.0}
    regions = {"api": "eu", "tiny": "local"}
    breaker = {
        "consecutive_failures": 3,
        "cooldown_s": config.cooldown_s,
        "longest_cooldown_s": 2 * config.cooldown_s,
        "jitter": 0,
    }
    data = {
        "schema_version": 1,
        "name": "outage",
        "models": {
            name: {**card, "model": name, "base_url": url, "region": regions[name]} for name, url in urls.items()
        },
        "choose": {"policy": {"kind": "fixed", "model": "api"}, "fallbacks": ["tiny"]},
        "answer": {
            "deadline_s": 20 * config.timeout_s,
            "chain": {"attempt_timeout_s": config.timeout_s, "breaker": breaker if has_breaker else None},
        },
    }
    return StackConfig.from_data(data, "outage")


def _frame(rows: list[tuple[float, float, str | None]], config: OutageConfig) -> pl.DataFrame:
    schema = {"at_s": pl.Float64, "latency_s": pl.Float64, "model": pl.String}
    begin, end = config.healthy_s, config.healthy_s + config.outage_s
    at, ended = pl.col("at_s"), pl.col("at_s") + pl.col("latency_s")
    phase = (
        pl.when(ended < begin).then(pl.lit("healthy")).when(at < end).then(pl.lit("outage")).otherwise(pl.lit("after"))
    )
    return pl.DataFrame(rows, schema=schema, orient="row").sort("at_s").with_columns(phase.alias("phase"))


def _milliseconds(rows: pl.DataFrame, quantile: float) -> float | None:
    value = rows["latency_s"].quantile(quantile)
    return None if value is None else 1000 * float(value)
