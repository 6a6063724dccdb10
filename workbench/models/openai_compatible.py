"""A server that speaks the OpenAI chat protocol: vLLM, llama.cpp, Ollama, a gateway, a paid API."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import Field

from workbench.core import BadResponse, Clock, Completion, Delta, ModelError, Request, Unavailable
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.card import ModelCard
from workbench.models.http_session import http_session, proxy_of
from workbench.models.openai_protocol import Answer, request_body
from workbench.models.per_loop import PerLoop
from workbench.models.retrying import Patience
from workbench.models.server_errors import refusal, said
from workbench.models.server_events import Event, EventReader
from workbench.models.server_model import ServerModel, address_of

DONE = "[DONE]"
DRAIN_S = 0.25
"""How long the end of a finished answer is waited for, so that its connection can be used again."""


class OpenAIOptions(Strict):
    """Options of the kind `openai-compatible`."""

    stream: Annotated[bool, Field(description="stream inside complete() too, so that the first token is timed")] = True
    max_tokens_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"], Field(description="newer paid models want the second")
    ] = "max_tokens"
    extra_body: Annotated[
        dict[str, Any], Field(description="further fields of every request; null leaves one out")
    ] = {}
    first_pause_s: Annotated[float, Field(gt=0, description="before the first retry; doubles each time")] = 0.5


class OpenAICompatibleModel(ServerModel):
    """Asks a server over aiohttp, whose connections stay open between requests; retries, deadlines and errors as in `ServerModel`.

    Nothing is sent but what the card and the request say: no organisation, no key of the environment.

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
        self.options = parse(OpenAIOptions, card.options, f"options of model {name!r}")
        super().__init__(name, card, clock, rng, streams=self.options.stream, first_pause_s=self.options.first_pause_s)
        address = address_of(name, card.base_url, "up to and including /v1")
        self._url = f"{address}/chat/completions"
        proxy = proxy_of(address)
        self._session = PerLoop(lambda: http_session(address, self._key, proxy))
        self._reports_usage: bool | None = None  # in streams; None: not known yet

    async def _whole(self, request: Request, patience: Patience) -> Completion:
        answer = self._answer(patience)
        with self._told():
            async with await self._post(self._body(request), patience) as response:
                answer.add_whole(json.loads(await response.read()), self._clock.monotonic_s())
            return answer.completion()

    async def _pieces(self, request: Request, patience: Patience) -> AsyncGenerator[Delta, None]:
        answer = self._answer(patience)
        with self._told():
            async with await self._open_stream(request, patience) as response:
                if response.content_type == "text/html":  # a log-in page, or an address without /v1
                    raise BadResponse("the server answers with a page (text/html); check base_url", model=self.name)
                if response.content_type == "application/json":  # a server that does not stream
                    yield Delta(answer.add_whole(json.loads(await response.read()), self._clock.monotonic_s()))
                else:
                    async for events, now_s in self._events(response):
                        for event in events:
                            if text := self._read(answer, event, now_s):
                                yield Delta(text)
            yield Delta("", answer.completion())

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[tuple[list[Event], float], None]:
        """Events and when they arrived, to the end of the stream or its `[DONE]`."""
        reader = EventReader()
        async for data in response.content.iter_any():
            events, now_s = reader.feed(data), self._clock.monotonic_s()
            is_done = bool(events) and events[-1].data == DONE
            yield events[:-1] if is_done else events, now_s
            if is_done:
                await _drain(response)
                return
        yield reader.end(), self._clock.monotonic_s()

    def _read(self, answer: Answer, event: Event, now_s: float) -> str:
        """Take in one event; returns its new text."""
        if event.data == DONE:
            return ""
        chunk = json.loads(event.data)
        if event.name == "error" or "error" in chunk:
            raise self._stream_error(chunk, event.data)
        return answer.add_chunk(chunk, now_s)

    def _stream_error(self, chunk: Any, text: str) -> ModelError:
        """An error that came after status 200; its `code` is a status with some servers."""
        error = chunk.get("error") if isinstance(chunk, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        message = said(text, self._key)
        if isinstance(code, int) and 400 <= code < 600:
            return refusal(code, {}, message, model=self.name)
        return Unavailable(f"the server ended the stream with an error: {message}", model=self.name)

    async def _open_stream(self, request: Request, patience: Patience) -> aiohttp.ClientResponse:
        """A stream with usage at its end where the server can; found out on the first one that it rejects."""
        wants_usage = self._reports_usage is not False
        try:
            response = await self._post(self._body(request, stream=True, usage=wants_usage), patience)
        except BadResponse as exc:
            if self._reports_usage is not None or exc.status not in (400, 422):
                raise
            wants_usage = False
            response = await self._post(self._body(request, stream=True, usage=False), patience)
        self._reports_usage = wants_usage
        return response

    def _body(self, request: Request, *, stream: bool = False, usage: bool = False) -> bytes:
        body = request_body(
            self.card.model,
            request,
            logprobs=request.sampling.logprobs or self.card.logprobs,
            max_tokens_field=self.options.max_tokens_field,
        )
        body["stream"] = stream
        if usage:
            body["stream_options"] = {"include_usage": True}
        body.update(self.options.extra_body)
        try:
            return json.dumps(
                {name: value for name, value in body.items() if value is not None}, allow_nan=False
            ).encode()
        except ValueError as exc:
            raise BadResponse(f"the request cannot be written as JSON: {exc}", model=self.name) from exc

    async def _post(self, body: bytes, patience: Patience) -> aiohttp.ClientResponse:
        """The response to a request that the server accepted; the whole of it must come within the time left."""
        session = await self._session.get()
        timeout = aiohttp.ClientTimeout(total=self._left_s(patience), ceil_threshold=float("inf"))
        response = await session.post(self._url, data=body, timeout=timeout)
        if response.ok:
            return response
        async with response:
            text = said(await response.read(), self._key)
            raise refusal(response.status, response.headers, text, model=self.name)

    def _answer(self, patience: Patience) -> Answer:
        return Answer(self.name, patience.start_s, self.card.flop_per_token)

    async def _disconnect(self) -> None:
        await self._session.close()


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what follows the end mark, usually nothing but the end of the response."""
    try:
        async with asyncio.timeout(DRAIN_S):
            await response.read()
    except (TimeoutError, aiohttp.ClientError):
        response.close()
