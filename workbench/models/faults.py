"""Failures on purpose: a schedule of faults and a model that obeys it, to see what fallbacks and recorders do."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from workbench.core import (
    BadResponse,
    Clock,
    Completion,
    Delta,
    ModelError,
    RateLimited,
    Request,
    SystemClock,
    Unavailable,
)
from workbench.core.price import Strict
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard
from workbench.models.model import Model

FaultKind = Literal["rate_limited", "server_error", "timeout", "cut_stream", "malformed_chunk"]


class Fault(Strict):
    """One rule of a schedule: what goes wrong, and on which requests (counted from 1)."""

    kind: FaultKind
    every: Annotated[int | None, Field(ge=1, description="each n-th request")] = None
    at: Annotated[tuple[int, ...], Field(description="these requests")] = ()
    probability: Annotated[float | None, Field(ge=0, le=1, description="share of requests, drawn with `seed`")] = None
    seed: int = 0
    retry_after_s: Annotated[float | None, Field(ge=0, description="what a rate limit tells; null: nothing")] = None
    after_s: Annotated[float, Field(ge=0, description="seconds until the fault shows; a timeout's length")] = 0.0
    after_pieces: Annotated[int, Field(ge=0, description="pieces of the stream that still arrive")] = 1

    @model_validator(mode="after")
    def _says_when(self) -> Fault:
        given = [self.every is not None, bool(self.at), self.probability is not None]
        if sum(given) != 1:
            raise ValueError("a fault says when it strikes: exactly one of every, at or probability")
        return self


class FaultSchedule:
    """Decides for each request, in order, whether and how it fails. The same faults and seeds give the same schedule.

    Args:
        faults: the first one that strikes wins.

    Example:
        >>> schedule = FaultSchedule([Fault(kind="server_error", every=2)])
        >>> [fault.kind if fault else None for fault in (schedule.next() for _ in range(4))]
        [None, 'server_error', None, 'server_error']
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        self.n_requests = 0
        self._draws = [random.Random(fault.seed) for fault in self.faults]

    def next(self) -> Fault | None:
        """Count one request; the fault that strikes it, None if it goes through."""
        self.n_requests += 1
        struck = [self._strikes(fault, draw) for fault, draw in zip(self.faults, self._draws, strict=True)]
        return next((fault for fault, strikes in zip(self.faults, struck, strict=True) if strikes), None)

    def _strikes(self, fault: Fault, draw: random.Random) -> bool:
        if fault.every is not None:
            return self.n_requests % fault.every == 0
        if fault.probability is not None:
            return draw.random() < fault.probability
        return self.n_requests in fault.at


def error_of(fault: Fault, model: str) -> ModelError:
    """The error a client sees for this fault."""
    if fault.kind == "rate_limited":
        return RateLimited("asked to slow down (scheduled fault)", model=model, retry_after_s=fault.retry_after_s)
    if fault.kind == "server_error":
        return Unavailable("the server failed with status 500 (scheduled fault)", model=model, status=500)
    if fault.kind == "timeout":
        return Unavailable(f"no answer after {fault.after_s:g} s (scheduled fault)", model=model)
    if fault.kind == "cut_stream":
        return Unavailable("the stream ended before the answer was complete (scheduled fault)", model=model)
    return BadResponse("a piece of the stream was not JSON (scheduled fault)", model=model)


class FaultyModel:
    """Any model, failing by a schedule.

    Args:
        model: what answers when no fault strikes.
        schedule: decides request by request.
        clock: where the waiting of `after_s` is spent.
    """

    def __init__(self, model: Model, schedule: FaultSchedule, clock: Clock | None = None) -> None:
        self.model = model
        self.schedule = schedule
        self.name = model.name
        self.card: ModelCard = model.card
        self._clock = clock or SystemClock()

    async def complete(self, request: Request) -> Completion:
        """The model's answer, or the scheduled error."""
        fault = self.schedule.next()
        if fault is None:
            return await self.model.complete(request)
        await self._clock.sleep(fault.after_s)
        raise error_of(fault, self.name)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Each request meets its own fault; the model answers the rest one by one."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The model's pieces; a cut or malformed stream fails after `after_pieces` of them, other faults before the first."""
        fault = self.schedule.next()
        if fault is not None and fault.kind in ("cut_stream", "malformed_chunk"):
            async for delta in self._first_pieces(request, fault.after_pieces):
                yield delta
        if fault is not None:
            await self._clock.sleep(fault.after_s)
            raise error_of(fault, self.name)
        async for delta in self.model.stream(request):
            yield delta

    async def _first_pieces(self, request: Request, n_pieces: int) -> AsyncIterator[Delta]:
        sent = 0
        async for delta in self.model.stream(request):
            if sent == n_pieces or delta.completion is not None:
                return
            sent += 1
            yield delta

    def count_prompt_tokens(self, request: Request) -> int | None:
        """The model's count."""
        return self.model.count_prompt_tokens(request)

    async def close(self) -> None:
        """Close the model."""
        await self.model.close()
