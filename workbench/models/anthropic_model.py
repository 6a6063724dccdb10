"""A server that speaks Anthropic's Messages API: Anthropic itself, vLLM, a gateway. Through the official SDK."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import anthropic
from pydantic import Field

from workbench.core import BadResponse, Clock, Completion, ConfigError, Delta, ModelError, Request, Unavailable
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.anthropic_protocol import STATUS_OF, Answer, CacheFor, request_body
from workbench.models.card import ModelCard
from workbench.models.openai_protocol import Json
from workbench.models.per_loop import PerLoop
from workbench.models.retrying import Patience
from workbench.models.server_errors import refusal, said, shown
from workbench.models.server_model import ServerModel, address_of

ADDRESS = "https://api.anthropic.com"
NAMED = ("model", "messages", "max_tokens")  # what the SDK asks for by name; it takes the rest as it is


class AnthropicOptions(Strict):
    """Options of the kind `anthropic`."""

    stream: Annotated[bool, Field(description="stream inside complete() too, so that the first token is timed")] = True
    cache_prompt: Annotated[
        CacheFor | None,
        Field(
            description="keep system prompt and earlier turns in the server's prompt cache: 5m or 1h; writing is billed"
        ),
    ] = None
    extra_body: Annotated[
        dict[str, Any], Field(description="further fields of every request; null leaves one out")
    ] = {}
    first_pause_s: Annotated[float, Field(gt=0, description="before the first retry; doubles each time")] = 0.5


class AnthropicModel(ServerModel):
    """Asks for messages; retries, deadlines and errors as in `ServerModel`, none of them left to the SDK.

    Seeds are not sent, for the API has none. Log-probabilities are None.

    Args:
        name: its name in the configuration.
        card: `card.base_url` is the address before /v1/messages, Anthropic's own where there is none; `card.api_key` names an environment
            variable, no other is looked at; see `AnthropicOptions` for `card.options`.
        clock: what tells the time.
        rng: jitter of the pauses.

    Raises:
        ConfigError: log-probabilities are wanted, the key's environment variable is not set, or there is neither key nor address.
    """

    def __init__(
        self, name: str, card: ModelCard, clock: Clock | None = None, rng: random.Random | None = None
    ) -> None:
        self.options = parse(AnthropicOptions, card.options, f"options of model {name!r}")
        super().__init__(name, card, clock, rng, streams=self.options.stream, first_pause_s=self.options.first_pause_s)
        if card.logprobs:
            raise ConfigError(
                f"model {name!r}: the Messages API tells no log-probabilities; remove logprobs from its card"
            )
        if card.base_url is None and card.api_key is None:
            raise ConfigError(
                f"model {name!r}: {ADDRESS} wants a key; add api_key: env:ANTHROPIC_API_KEY, or base_url for a server without one"
            )
        self._address = address_of(name, card.base_url or ADDRESS, "before /v1/messages").removesuffix("/v1")
        self._client = PerLoop(self._connect)

    def _connect(self) -> anthropic.AsyncAnthropic:
        keyless: dict[str, Any] = {} if self._key else {"default_headers": {"Authorization": anthropic.Omit()}}
        settings: dict[str, Any] = {"max_retries": 0, "open_telemetry": False, **keyless}
        return anthropic.AsyncAnthropic(api_key=self._key or "none", base_url=self._address, **settings)

    async def _whole(self, request: Request, patience: Patience) -> Completion:
        answer = self._answer(patience)
        with self._told():
            async with asyncio.timeout(self._left_s(patience)):
                message = await self._create(request, patience, stream=False)
            answer.add_whole(_plain(message), self._clock.monotonic_s())
            return answer.completion()

    async def _pieces(self, request: Request, patience: Patience) -> AsyncGenerator[Delta, None]:
        answer = self._answer(patience)
        with self._told():
            async with asyncio.timeout(self._left_s(patience)):
                stream = await self._create(request, patience, stream=True)
            events = aiter(stream)
            try:
                while (event := await self._next(events, patience)) is not None:
                    if text := answer.add_event(event, self._clock.monotonic_s()):
                        yield Delta(text)
            finally:
                await stream.close()
            yield Delta("", answer.completion())

    async def _next(self, events: Any, patience: Patience) -> Json | None:
        """The next event of a stream; None at its end."""
        async with asyncio.timeout(self._left_s(patience)):
            event = await anext(events, None)
        return None if event is None else _plain(event)

    async def _create(self, request: Request, patience: Patience, *, stream: bool) -> Any:
        try:
            body = request_body(self.card.model, request, self.options.cache_prompt)
        except ValueError as exc:
            raise BadResponse(str(exc), model=self.name) from exc
        body = {name: value for name, value in {**body, **self.options.extra_body}.items() if value is not None}
        named = {name: body.pop(name) for name in NAMED if name in body}
        client = await self._client.get()
        return await client.messages.create(
            **named, stream=stream, extra_body=body, timeout=self._left_s(patience) + 1
        )  # the SDK's timeout is of one read; it only keeps it from choosing its own

    def _answer(self, patience: Patience) -> Answer:
        return Answer(self.name, patience.start_s, self.card.flop_per_token)

    def _error(self, exc: Exception) -> ModelError:
        if isinstance(exc, anthropic.APITimeoutError):
            return self._too_late()
        if isinstance(exc, anthropic.APIConnectionError):
            return Unavailable(
                f"cannot reach the server or lost it: {shown(_innermost(exc), self._key)}", model=self.name
            )
        if isinstance(exc, anthropic.APIResponseValidationError):
            return BadResponse(
                f"the answer does not follow the protocol: {shown(str(exc), self._key)}", model=self.name
            )
        if isinstance(exc, anthropic.APIStatusError):
            return self._refused(exc)
        return super()._error(exc)

    def _refused(self, exc: anthropic.APIStatusError) -> ModelError:
        error = exc.body.get("error") if isinstance(exc.body, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        text = shown(message, self._key) if isinstance(message, str) else said(exc.response.text, self._key)
        if exc.status_code >= 400:
            return refusal(exc.status_code, exc.response.headers, text, model=self.name)
        kind = error.get("type") if isinstance(error, dict) else None  # inside a stream
        if kind in STATUS_OF:
            return refusal(STATUS_OF[kind], {}, text, model=self.name)
        return Unavailable(f"the server ended the stream with an error: {text}", model=self.name)

    async def _disconnect(self) -> None:
        await self._client.close()


def _plain(document: Any) -> Json:
    """An SDK object as the JSON it was made of; the SDK does not check it, so neither does this."""
    if isinstance(document, dict):
        return document
    plain: Json = document.to_dict(mode="json")
    return plain


def _innermost(exc: BaseException) -> str:
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc) or type(exc).__name__
