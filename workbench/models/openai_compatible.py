"""A server that speaks the OpenAI chat protocol: vLLM, llama.cpp, Ollama, a gateway, a paid API."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import openai
from pydantic import Field

from workbench.core import (
    BadResponse,
    Clock,
    Completion,
    ConfigError,
    Delta,
    ModelError,
    Request,
    SystemClock,
    Unavailable,
)
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard
from workbench.models.openai_errors import model_error
from workbench.models.openai_protocol import Answer, request_body
from workbench.models.retrying import Retrying

T = TypeVar("T")


class OpenAIOptions(Strict):
    """Options of the kind `openai-compatible`."""

    stream: Annotated[bool, Field(description="stream inside complete() too, so that the first token is timed")] = True
    max_tokens_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"], Field(description="newer paid models want the second")
    ] = "max_tokens"
    extra_body: Annotated[dict[str, Any], Field(description="further fields of every request")] = {}
    first_pause_s: Annotated[float, Field(gt=0, description="before the first retry; doubles each time")] = 0.5


class OpenAICompatibleModel:
    """Asks a server. Retries, deadlines and errors are handled here, not in the SDK.

    A retryable failure is tried again until `card.retries` are used up or the request's deadline would pass; a stream only before its
    first piece. `ttft_s` and `latency_s` run from the call, failed attempts and pauses included, because that is what the caller waited.

    Args:
        name: its name in the configuration.
        card: `card.base_url` is needed; `card.api_key` names an environment variable; see `OpenAIOptions` for `card.options`.
        clock: what tells the time.
        rng: jitter of the pauses.

    Raises:
        ConfigError: no base_url, or the key's environment variable is not set.
    """

    def __init__(
        self, name: str, card: ModelCard, clock: Clock | None = None, rng: random.Random | None = None
    ) -> None:
        self.name = name
        self.card = card
        self.options = parse(OpenAIOptions, card.options, f"options of model {name!r}")
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._retrying = Retrying(card.retries, self.options.first_pause_s)
        self._key = _key(name, card)
        self._url = _url(name, card)
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._reports_usage: bool | None = None  # in streams; None: not known yet

    async def complete(self, request: Request) -> Completion:
        """One answer.

        Raises:
            RateLimited, Unavailable: still so after the last attempt.
            BadResponse, ContextOverflow: the server rejected the request, or does not follow the protocol.
        """
        attempt = self._collected if self.options.stream else self._whole
        start_s = self._clock.monotonic_s()
        n_failed = 0
        while True:
            try:
                return await attempt(request, start_s, self._give_up_s(request, start_s))
            except ModelError as exc:
                n_failed += 1
                await self._pause_or_raise(exc, n_failed, request, start_s)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in the order asked, at most `card.batch_size` requests at a time."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """Pieces as the server sends them; errors as `complete`, and Unavailable where the stream is cut."""
        start_s = self._clock.monotonic_s()
        n_failed, has_begun = 0, False
        while True:
            try:
                async for delta in self._pieces(request, start_s, self._give_up_s(request, start_s)):
                    has_begun = True
                    yield delta
                return
            except ModelError as exc:
                if has_begun:
                    raise
                n_failed += 1
                await self._pause_or_raise(exc, n_failed, request, start_s)

    def count_prompt_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _collected(self, request: Request, start_s: float, give_up_s: float) -> Completion:
        async for delta in self._pieces(request, start_s, give_up_s):
            if delta.completion is not None:
                return delta.completion
        raise Unavailable("the stream ended before the answer was complete", model=self.name)

    async def _whole(self, request: Request, start_s: float, give_up_s: float) -> Completion:
        answer = Answer(self.name, start_s, self.card.flop_per_token)
        response = await self._asked(lambda: self._create(request), give_up_s)
        try:
            answer.add_whole(response)
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            raise self._error(exc) from exc
        return answer.completion(self._clock.monotonic_s())

    async def _pieces(self, request: Request, start_s: float, give_up_s: float) -> AsyncIterator[Delta]:
        answer = Answer(self.name, start_s, self.card.flop_per_token)
        stream = await self._open_stream(request, give_up_s)
        chunks = aiter(stream)
        try:
            while (chunk := await self._asked(lambda: anext(chunks, None), give_up_s)) is not None:
                if text := self._read(answer, chunk):
                    yield Delta(text)
        finally:
            await stream.close()
        yield Delta("", answer.completion(self._clock.monotonic_s()))

    async def _open_stream(self, request: Request, give_up_s: float) -> Any:
        """A stream with usage at its end where the server can; found out on the first one that it rejects."""
        wants_usage = self._reports_usage is not False
        try:
            stream = await self._asked(lambda: self._create(request, stream=True, usage=wants_usage), give_up_s)
        except BadResponse as exc:
            if self._reports_usage is not None or exc.status not in (400, 422):
                raise
            stream = await self._asked(lambda: self._create(request, stream=True, usage=False), give_up_s)
            wants_usage = False
        self._reports_usage = wants_usage
        return stream

    async def _create(self, request: Request, *, stream: bool = False, usage: bool = False) -> Any:
        body = request_body(
            self.card.model,
            request,
            logprobs=request.sampling.logprobs or self.card.logprobs,
            max_tokens_field=self.options.max_tokens_field,
        )
        if usage:
            body["stream_options"] = {"include_usage": True}
        headers = {} if self._key else {"Authorization": openai.Omit()}
        create: Callable[..., Awaitable[Any]] = self._connected().chat.completions.create
        return await create(**body, stream=stream, extra_headers=headers, extra_body=self.options.extra_body or None)

    def _read(self, answer: Answer, chunk: Any) -> str:
        try:
            return answer.add_chunk(chunk, self._clock.monotonic_s())
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            raise self._error(exc) from exc

    async def _asked(self, ask: Callable[[], Awaitable[T]], give_up_s: float) -> T:
        """Wait for the server; whatever goes wrong is a ModelError."""
        left_s = give_up_s - self._clock.monotonic_s()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await ask()
        except ModelError:
            raise
        except TimeoutError as exc:
            raise Unavailable(f"no answer within {self.card.timeout_s:g} s or the deadline", model=self.name) from exc
        except Exception as exc:  # the edge to the SDK and its HTTP library: nothing but a ModelError leaves a model
            raise self._error(exc) from self._shown_cause(exc)

    async def _pause_or_raise(self, error: ModelError, n_failed: int, request: Request, start_s: float) -> None:
        left_s = None if request.deadline_s is None else start_s + request.deadline_s - self._clock.monotonic_s()
        pause_s = self._retrying.pause_s(error, n_failed, left_s, self._rng)
        if pause_s is None:
            raise error
        await self._clock.sleep(pause_s)

    def _give_up_s(self, request: Request, start_s: float) -> float:
        """When this attempt has taken too long: after `card.timeout_s`, at the request's deadline at the latest."""
        attempt_s = self._clock.monotonic_s() + self.card.timeout_s
        return attempt_s if request.deadline_s is None else min(attempt_s, start_s + request.deadline_s)

    def _error(self, exc: Exception) -> ModelError:
        return model_error(exc, model=self.name, key=self._key)

    def _shown_cause(self, exc: Exception) -> Exception | None:
        """The cause, unless a traceback of it would print the key."""
        return None if self._key and self._key in str(exc) else exc

    def _connected(self) -> openai.AsyncOpenAI:
        """The client of the running event loop: connections do not survive the loop that opened them."""
        if self._is_closed:
            raise Unavailable("it was closed", model=self.name)
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            settings: dict[str, Any] = {"timeout": self.card.timeout_s, "max_retries": 0}
            self._client = openai.AsyncOpenAI(api_key=self._key or "none", base_url=self._url, **settings)
            self._loop = loop
        return self._client


def _key(name: str, card: ModelCard) -> str | None:
    if card.api_key is None:
        return None
    variable = card.api_key.removeprefix("env:")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"model {name!r}: the environment variable {variable} is not set, which api_key: env:{variable} names; export it first"
        )
    return key


def _url(name: str, card: ModelCard) -> str:
    if not card.base_url or not card.base_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"model {name!r}: base_url must be the server's http(s) address up to and including /v1, found {card.base_url!r}"
        )
    return card.base_url
