"""The latency pilot: live requests through the in-process stack, one at a time, in blocks of time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from workbench.core import Clock, Request
from workbench.release.latency import PilotConfig

Ask = Callable[[Request], Awaitable[object]]
Progress = Callable[[int, int], None]


async def run_pilot(
    ask: Ask,
    requests: Sequence[Request],
    config: PilotConfig,
    clock: Clock,
    progress: Progress = lambda done, total: None,
) -> list[list[float]]:
    """Latencies in seconds, one list a block.

    Args:
        ask: answers one request, without a cache.
        requests: what is asked, in this order, from the beginning again when it is too short.
        config: blocks and warm-up; warm-up takes the first requests.
        clock: what tells the time.
        progress: called with requests done and in total.

    Raises:
        WorkbenchError: a request failed: a stack that cannot answer its pilot is no release.
    """
    for request in requests[: config.warmup]:
        await ask(request)
    blocks: list[list[float]] = []
    for block in range(config.blocks):
        if block:
            await clock.sleep(config.pause_s)
        first = block * config.requests_per_block
        picked = [requests[(first + index) % len(requests)] for index in range(config.requests_per_block)]
        blocks.append([await _timed(ask, request, clock) for request in picked])
        progress((block + 1) * config.requests_per_block, config.blocks * config.requests_per_block)
    return blocks


async def _timed(ask: Ask, request: Request, clock: Clock) -> float:
    start_s = clock.monotonic_s()
    await ask(request)
    return clock.monotonic_s() - start_s
