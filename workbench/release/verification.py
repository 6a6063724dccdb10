"""Does production behave as the numbers promised: the untouched split through the live server, against the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from workbench.core import Clock, ConfigError, SystemClock
from workbench.core.event_loop import run_anywhere
from workbench.evaluation.graders import GraderSpec, grade
from workbench.release.candidate import messages_of
from workbench.release.checks import LiveAnswer, Verification, judge
from workbench.release.live import LiveServer, Reply, connected, served
from workbench.release.release import Release

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class VerifyConfig:
    """How a release is verified.

    Args:
        limit: most prompts, spread evenly over the report split; None is all. Fewer make wider intervals.
        concurrency: requests at a time; 1 is what the latency claim was measured at.
        warmup: requests to each model before the first one that counts, with prompts outside the report split.
    """

    limit: int | None = None
    concurrency: int = 1
    warmup: int = 2

    def __post_init__(self) -> None:
        for name in ("limit", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; at least 1")


def verify(
    release: Release,
    *,
    url: str | None = None,
    config: VerifyConfig | None = None,
    api_key: str | None = None,
    clock: Clock | None = None,
    progress: Progress = lambda done, total: None,
) -> Verification:
    """Send the report split through a live server and compare with what the release claims.

    Args:
        release: what was promised.
        url: a running gateway; None starts one for this release in a process of its own and stops it.
        config: how.
        api_key: key of a tenant; None takes the first one that the release's configuration refers to.
        clock: what tells the time.
        progress: called with requests done and in total.

    Raises:
        ConfigError: no gateway at that URL.
        StoreError: the server did not start.
    """
    config, clock = config or VerifyConfig(), clock or SystemClock()
    key = api_key or _first_key(release)
    with contextlib.nullcontext(url) if url else served(release.folder) as address:
        answers = run_anywhere(_ask_all(release, address, key, config, clock, progress))
    return judge(release.evidence, answers)


def _first_key(release: Release) -> str | None:
    """A key of the release's own configuration, where the environment holds one."""
    names = [reference.removeprefix("env:") for reference in release.config.admit.api_keys]
    return next((os.environ[name] for name in names if name in os.environ), None)


async def _ask_all(
    release: Release, url: str, key: str | None, config: VerifyConfig, clock: Clock, progress: Progress
) -> list[LiveAnswer]:
    rows = _rows(release, config.limit)
    gate, done = asyncio.Semaphore(config.concurrency), iter(range(1, len(rows) + 1))
    async with connected(url, key, clock) as server:
        await _warm_up(server, release, config.warmup)

        async def ask(row: Mapping[str, Any]) -> LiveAnswer:
            async with gate:
                answer = _answer(row, await _asked(server, release, row))
                progress(next(done), len(rows))
                return answer

        return list(await asyncio.gather(*map(ask, rows)))


def _rows(release: Release, limit: int | None) -> list[dict[str, Any]]:
    """The rows of the report split, or `limit` of them at even distances."""
    rows: list[dict[str, Any]] = release.report.to_dicts()
    if limit is None or limit >= len(rows):
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


async def _warm_up(server: LiveServer, release: Release, each: int) -> None:
    """A few requests to every model that was chosen in the pilot: models load on first use. Failures show up later."""
    for chosen in release.pilot["choice"].unique(maintain_order=True):
        for row in release.pilot.filter(release.pilot["choice"] == chosen).head(each).to_dicts():
            await _asked(server, release, row)


async def _asked(server: LiveServer, release: Release, row: Mapping[str, Any]) -> Reply:
    return await server.ask(messages_of(row), row["task"], _sampling(release.evidence.sampling))


def _sampling(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """How answers were drawn while recording, as fields of the OpenAI protocol."""
    known = ("max_tokens", "temperature", "top_p", "stop")
    return {name: recorded[name] for name in known if recorded.get(name) not in (None, [], ())}


def _answer(row: Mapping[str, Any], reply: Reply) -> LiveAnswer:
    recorded = partial(
        LiveAnswer, row["prompt_id"], row["choice"], recorded_score=row["score"], latency_s=reply.latency_s
    )
    if reply.text is None:
        return recorded(chosen_model=None, answered_model=None, score=0.0, cost_usd=None, error=reply.error)
    return recorded(
        chosen_model=reply.told.get("chosen"),
        answered_model=reply.told.get("model"),
        score=_graded(row, reply.text),
        cost_usd=reply.told.get("cost_usd"),
    )


def _graded(row: Mapping[str, Any], answer: str) -> float | None:
    """The grade of the same grader; None for a judge, which is a model and is not asked here."""
    if row["grader"] is None:
        return None
    spec = GraderSpec.parse(row["grader"])
    return None if spec.is_judge else grade(spec.name, answer, row["answer"], **spec.options)
