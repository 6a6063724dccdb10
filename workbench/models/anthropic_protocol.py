"""Requests and answers in the words of Anthropic's Messages API. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workbench.core import BadResponse, Completion, FinishReason, Message, Request, Usage
from workbench.models.openai_protocol import Json, count
from workbench.models.partial_answer import PartialAnswer

CacheFor = Literal["5m", "1h"]
FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # a long turn that the server broke off; the text is not the whole answer
    "refusal": "blocked",
}
STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Type of an error → HTTP status. Inside a stream the type is all there is, for the status was 200 long before."""


def request_body(served_model: str, request: Request, cache_prompt: CacheFor | None) -> Json:
    """The JSON of a Messages request, without stream settings.

    System messages, wherever they stand, become `system`. Nobody's draw is changed to please a model: temperature is always sent, top_p
    where it is not 1, except that only one of them is where the other says nothing. There is no seed and no log-probability.

    Args:
        served_model: the server's model id.
        request: what is asked.
        cache_prompt: marks the system prompt, and the conversation before its last message, to be kept in the server's prompt cache.

    Raises:
        ValueError: a role that the API does not have.
    """
    sampling = request.sampling
    system = [message.content for message in request.messages if message.role == "system"]
    body: Json = {
        "model": served_model,
        "messages": _conversation([m for m in request.messages if m.role != "system"], cache_prompt),
        "max_tokens": sampling.max_tokens,
        **_draw(sampling.temperature, sampling.top_p),
    }
    if system:
        body["system"] = _text("\n\n".join(system), cache_prompt)
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)
    if sampling.json_schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": sampling.json_schema}}
    return body


def _draw(temperature: float, top_p: float) -> Json:
    """Newer models refuse both together. Greedy needs no nucleus; a nucleus needs no temperature of 1."""
    if temperature == 0 or top_p == 1:
        return {"temperature": temperature}
    return {"top_p": top_p} if temperature == 1 else {"temperature": temperature, "top_p": top_p}


def _conversation(messages: Sequence[Message], cache_prompt: CacheFor | None) -> list[Json]:
    other = next((message.role for message in messages if message.role not in ("user", "assistant")), None)
    if other is not None:
        raise ValueError(f"the Messages API has the roles system, user and assistant, found {other!r}")
    history = len(messages) - 2  # the last message before the one that is answered
    return [
        {"role": message.role, "content": _text(message.content, cache_prompt if place == history else None)}
        for place, message in enumerate(messages)
    ]


def _text(text: str, cache_for: CacheFor | None) -> str | list[Json]:
    if cache_for is None:
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": cache_for}}]


class Answer:
    """An answer being put together, from the events of a stream or from one whole message. Thinking is neither text nor first token.

    Args:
        model: name of the model in the configuration.
        start_s: intended start, on the caller's clock.
        flop_per_token: of the card; None leaves the compute unknown.
    """

    def __init__(self, model: str, start_s: float, flop_per_token: float | None = None) -> None:
        self._part = PartialAnswer(model, start_s, flop_per_token)
        self._finish: FinishReason | None = None
        self._usage: Json = {}

    def add_event(self, event: Json, now_s: float) -> str:
        """Take in an event that arrived at `now_s`; returns its new text. Kinds that are not known add nothing."""
        kind = event["type"]
        if kind == "message_start":
            self._count(event["message"].get("usage"))
        elif kind == "message_delta":
            self._end(event["delta"].get("stop_reason"))
            self._count(event.get("usage"))
            return self._part.add("", now_s)
        elif kind == "content_block_start":
            return self._take(event["content_block"], now_s)
        elif kind == "content_block_delta":
            return self._take(event["delta"], now_s)
        return ""

    def add_whole(self, message: Json, now_s: float) -> None:
        """Take in an answer that was not streamed and arrived at `now_s`."""
        if not isinstance(message, dict) or message.get("type") != "message":
            raise BadResponse("the answer is no message", model=self._part.model)
        text = "".join(block["text"] for block in message["content"] if block.get("type") == "text")
        self._part.add(text, now_s, is_streamed=False)
        self._end(message.get("stop_reason"))
        self._count(message.get("usage"))

    def _take(self, block: Json, now_s: float) -> str:
        text = block.get("text") if block.get("type") in ("text", "text_delta") else None
        if not text:
            return ""
        if not isinstance(text, str):
            raise BadResponse(f"a text of the answer is {type(text).__name__}, not text", model=self._part.model)
        return self._part.add(text, now_s)

    def _end(self, stop_reason: str | None) -> None:
        if stop_reason:
            self._finish = FINISH.get(stop_reason, "stop")

    def _count(self, reported: Mapping[str, Any] | None) -> None:
        """Counts of a stream are cumulative: a later one replaces an earlier one, an absent one does not."""
        self._usage.update({name: value for name, value in (reported or {}).items() if value is not None})

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            Unavailable: it ended without a stop reason (cut stream).
        """
        return self._part.completion(self._finish, usage_of(self._usage))


def usage_of(reported: Json) -> Usage:
    """Tokens, all-inclusive: here `input_tokens` leaves out what was read from the prompt cache and what was written to it.

    Example:
        >>> usage = usage_of(
        ...     {"input_tokens": 50, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 50, "output_tokens": 7}
        ... )
        >>> usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens
        (1000, 900, 50)
    """
    fresh = count(reported, "input_tokens")
    cached, written = count(reported, "cache_read_input_tokens"), count(reported, "cache_creation_input_tokens")
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        completion_tokens=count(reported, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count(reported, "output_tokens_details", "thinking_tokens"),
        cache_write_1h_tokens=count(reported, "cache_creation", "ephemeral_1h_input_tokens"),
    )
