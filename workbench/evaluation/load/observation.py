"""What is seen of one request: two starts, the arrival of every piece, the end. The hot path of a bench."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from workbench.core import Clock, Completion, Request, Usage
from workbench.evaluation.items import Item
from workbench.evaluation.recorder import describe_error
from workbench.models import Model, ModelCard

BACKWARDS = "the clock went backwards"
TICK_S = 1e-6
"""Less than any sleep can hit and than sums of floating-point seconds are off by: so close to its start a request is on time."""
TIMES = (
    "sent_s",
    "first_token_s",
    "end_s",
    "send_lag_s",
    "ttft_s",
    "latency_s",
    "ttft_from_send_s",
    "latency_from_send_s",
)


class Observation:
    """One request under way or ended; seconds from the start of the run.

    Only plain attributes and list appends happen while the load runs; everything is computed from them afterwards.

    Args:
        number: of the request in its run.
        item: the prompt.
        intended_s: when it was meant to start.
    """

    __slots__ = ("chunks_s", "completion", "cut_s", "end_s", "error", "intended_s", "item", "number", "sent_s")

    def __init__(self, number: int, item: Item, intended_s: float) -> None:
        self.number = number
        self.item = item
        self.intended_s = intended_s
        self.sent_s: float | None = None
        self.chunks_s: list[float] = []
        self.end_s: float | None = None
        self.cut_s: float | None = None
        self.completion: Completion | None = None
        self.error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether it ended, failed or was cut."""
        return self.end_s is not None or self.cut_s is not None

    @property
    def went_backwards(self) -> bool:
        """Whether its times are out of order, which only a clock that was set back does."""
        times = [self.intended_s, self.sent_s, *self.chunks_s, self.end_s, self.cut_s]
        known = [time_s for time_s in times if time_s is not None]
        return any(later < earlier for earlier, later in pairwise(known))


async def observe(model: Model, request: Request, seen: Observation, clock: Clock, zero_s: float) -> None:
    """Ask, and note when everything happened; whatever the model raises is that request's failure.

    Args:
        model: who is asked.
        request: what.
        seen: filled in place, so that a cancelled request keeps what it had.
        clock: what tells the time.
        zero_s: the clock's reading at the start of the run.
    """
    now_s, arrived = clock.monotonic_s, seen.chunks_s.append
    sent_s = now_s() - zero_s
    seen.sent_s = seen.intended_s if -TICK_S < sent_s - seen.intended_s < 0 else sent_s
    try:
        async for delta in model.stream(request):
            if delta.text:
                arrived(now_s() - zero_s)
            if delta.completion is not None:
                seen.completion = delta.completion
    except asyncio.CancelledError:
        seen.cut_s = now_s() - zero_s
        raise
    except Exception as exc:  # a backend's failure is that request's, not the bench's
        seen.error = exc
    seen.end_s = now_s() - zero_s


def row_of(seen: Observation, phase: str, stage: int, card: ModelCard) -> dict[str, Any]:
    """The row of a request, JSON-ready; unknown is None. `cut_s` is when the run gave it up."""
    row: dict[str, Any] = {
        "request": seen.number,
        "prompt_id": seen.item.prompt_id,
        "phase": phase,
        "intended_s": seen.intended_s,
        **dict.fromkeys(TIMES),
        "tpot_s": None,
        "chunks_s": None,
        "cut_s": None,
        **_answered(seen.completion),
        "error": None if seen.error is None else describe_error(seen.error, card),
        "stage": stage,
    }
    if seen.went_backwards:
        return {**row, "error": f"{BACKWARDS} during this request; its times are void", "finish_reason": "error"}
    return {**row, **_times(seen)}


def _answered(answer: Completion | None) -> dict[str, Any]:
    usage = Usage() if answer is None else answer.usage
    return {
        **asdict(usage),
        "cost_usd": None if answer is None else answer.cost_usd,
        "energy_wh": None,
        "finish_reason": None if answer is None else answer.finish_reason,
    }


def _times(seen: Observation) -> dict[str, Any]:
    first_s = seen.chunks_s[0] if seen.chunks_s else None
    times: dict[str, Any] = {
        "sent_s": seen.sent_s,
        "first_token_s": first_s,
        "send_lag_s": _between(seen.intended_s, seen.sent_s),
        "ttft_s": _between(seen.intended_s, first_s),
        "ttft_from_send_s": _between(seen.sent_s, first_s),
        "chunks_s": list(seen.chunks_s),
    }
    if seen.end_s is None:
        return {**times, "finish_reason": "cut", "cut_s": seen.cut_s}
    if seen.error is not None or seen.completion is None:
        missing = None if seen.error is not None else "the stream ended without an answer"
        return {**times, "end_s": seen.end_s, "finish_reason": "error", **({"error": missing} if missing else {})}
    return {
        **times,
        "end_s": seen.end_s,
        "latency_s": seen.end_s - seen.intended_s,
        "latency_from_send_s": _between(seen.sent_s, seen.end_s),
        "tpot_s": _tpot_s(first_s, seen.end_s, seen.completion.usage.completion_tokens),
    }


def _between(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s


def _tpot_s(first_s: float | None, end_s: float, n_tokens: int | None) -> float | None:
    return None if first_s is None or n_tokens is None or n_tokens < 2 else (end_s - first_s) / (n_tokens - 1)
