"""A model that says what a test tells it to say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

from workbench.core import (
    Clock,
    Completion,
    Delta,
    ModelError,
    Request,
    SystemClock,
    Timing,
    Unavailable,
    Usage,
)
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard

Reply = str | Completion | ModelError
PIECE = re.compile(r"\s*\S+|\s+")


class ScriptedModel:
    """Answers from a queue or a function, and remembers what it was asked.

    A text becomes a Completion whose tokens are words; a Completion is given as it is, under this model's name; a ModelError is raised.
    When the queue is empty the model is Unavailable.

    Args:
        name: stands in answers and errors.
        replies: a queue of replies, or a function from the request to one.
        card: defaults to a card of kind "scripted".
        clock: where `latency_s` is spent; a FakeClock makes it instant.
        latency_s: seconds of an answer.
        ttft_s: seconds to the first piece of a stream; None is the whole latency.

    Example:
        >>> import asyncio
        >>> model = ScriptedModel("tiny", ["Rome", "Paris"])
        >>> asyncio.run(model.complete(Request.from_prompt("Capital of Italy?"))).text
        'Rome'
        >>> model.history[0].prompt
        'Capital of Italy?'
    """

    def __init__(
        self,
        name: str,
        replies: Iterable[Reply] | Callable[[Request], Reply],
        *,
        card: ModelCard | None = None,
        clock: Clock | None = None,
        latency_s: float = 0.0,
        ttft_s: float | None = None,
    ) -> None:
        self.name = name
        self.card = card or ModelCard(kind="scripted", model=name)
        self.history: list[Request] = []
        self.is_closed = False
        self.latency_s = latency_s
        self.ttft_s = latency_s if ttft_s is None else ttft_s
        self._clock = clock or SystemClock()
        self._answer = replies if callable(replies) else None
        self._queue: deque[Reply] = deque(() if callable(replies) else replies)

    async def complete(self, request: Request) -> Completion:
        """The next reply."""
        start_s = self._clock.monotonic_s()
        reply = self._next(request)
        await self._clock.sleep(self.latency_s)
        return self._completion(reply, request, start_s, None)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """The next replies, in order."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The next reply word by word."""
        start_s = self._clock.monotonic_s()
        reply = self._next(request)
        await self._clock.sleep(self.ttft_s)
        ttft_s = self._clock.monotonic_s() - start_s
        pieces = PIECE.findall(reply.text if isinstance(reply, Completion) else reply)
        for index, piece in enumerate(pieces):
            if index:
                await self._clock.sleep((self.latency_s - self.ttft_s) / (len(pieces) - 1))
            yield Delta(piece)
        yield Delta("", self._completion(reply, request, start_s, ttft_s))

    def count_prompt_tokens(self, request: Request) -> int | None:
        """Words of all messages."""
        return sum(len(message.content.split()) for message in request.messages)

    async def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    def _next(self, request: Request) -> str | Completion:
        self.history.append(request)
        if self._answer is not None:
            reply = self._answer(request)
        elif self._queue:
            reply = self._queue.popleft()
        else:
            reply = Unavailable(f"the script has no reply left for request {len(self.history)}", model=self.name)
        if isinstance(reply, ModelError):
            raise reply
        return reply

    def _completion(
        self, reply: str | Completion, request: Request, start_s: float, ttft_s: float | None
    ) -> Completion:
        if isinstance(reply, Completion):
            return replace(reply, model=self.name)
        usage = Usage(self.count_prompt_tokens(request), len(reply.split()))
        timing = Timing(self._clock.monotonic_s() - start_s, ttft_s)
        return Completion(text=reply, model=self.name, finish_reason="stop", usage=usage, timing=timing)
