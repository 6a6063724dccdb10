"""Requests and answers in the words of the OpenAI chat protocol. Unknown is None, never 0."""

from __future__ import annotations

from typing import Any

from workbench.core import BadResponse, Completion, FinishReason, Request, Usage
from workbench.models.partial_answer import PartialAnswer

Json = dict[str, Any]
FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "blocked",
    "tool_calls": "stop",
    "function_call": "stop",
}


def request_body(served_model: str, request: Request, *, logprobs: bool, max_tokens_field: str) -> Json:
    """The JSON of a chat completion request, without stream settings."""
    sampling = request.sampling
    body: Json = {
        "model": served_model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        max_tokens_field: sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if logprobs:
        body["logprobs"] = True
    if sampling.json_schema is not None:
        schema = {"name": "answer", "schema": sampling.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


class Answer:
    """An answer being put together, from chunks of a stream or from one whole message.

    Reasoning (`reasoning_content`, `reasoning`) is neither text nor the first visible token; it counts as completion tokens.

    Args:
        model: name of the model in the configuration.
        start_s: intended start, on the caller's clock.
        flop_per_token: of the card; None leaves the compute unknown.
    """

    def __init__(self, model: str, start_s: float, flop_per_token: float | None = None) -> None:
        self._part = PartialAnswer(model, start_s, flop_per_token)
        self._finish: FinishReason | None = None
        self._refused = False
        self._usage = Usage()
        self._logprob: float | None = None

    def add_chunk(self, chunk: Json, now_s: float) -> str:
        """Take in a piece of a stream that arrived at `now_s`; returns its new text."""
        if reported := chunk.get("usage"):
            self._usage = usage_of(reported)
        if not chunk.get("choices"):
            return ""
        choice = chunk["choices"][0]
        return self._part.add(self._taken(choice, choice.get("delta") or {}), now_s)

    def add_whole(self, response: Json, now_s: float) -> str:
        """Take in an answer that was not streamed and arrived at `now_s`; returns its text."""
        if not isinstance(response, dict) or not response.get("choices"):
            raise BadResponse("the answer has no choices", model=self._part.model)
        if reported := response.get("usage"):
            self._usage = usage_of(reported)
        choice = response["choices"][0]
        return self._part.add(self._taken(choice, choice["message"]), now_s, is_streamed=False)

    def _taken(self, choice: Json, message: Json) -> str:
        if stated := choice.get("finish_reason"):
            self._finish = FINISH.get(stated, "stop")
        self._refused = self._refused or bool(message.get("refusal"))
        if logprobs := choice.get("logprobs"):
            self._logprob = (self._logprob or 0.0) + sum(token["logprob"] for token in logprobs.get("content") or ())
        return self._text(message.get("content"))

    def _text(self, content: Any) -> str:
        """A content is text, or a list of parts of which some are text (others are reasoning)."""
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part.get("type") == "text")
        if content is not None and not isinstance(content, str):
            raise BadResponse(f"the answer's content is {type(content).__name__}, not text", model=self._part.model)
        return content or ""

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            Unavailable: it ended without a finish reason (cut stream).
        """
        finish = "blocked" if self._refused and self._finish else self._finish
        return self._part.completion(finish, self._usage, self._logprob)


def usage_of(reported: Json) -> Usage:
    """Tokens as the server counts them, all-inclusive; what it does not report is unknown.

    The protocol's counts include cached and reasoning tokens. Some servers leave reasoning out of `completion_tokens` and have it in
    `total_tokens` only; what the total has more than both parts was generated, and is billed, as answer.

    Example:
        >>> usage_of({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20}).completion_tokens
        11
    """
    prompt, completion = count(reported, "prompt_tokens"), count(reported, "completion_tokens")
    total = count(reported, "total_tokens")
    if prompt is not None and completion is not None and total is not None:
        completion = max(completion, total - prompt)
    cached = count(reported, "prompt_tokens_details", "cached_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=count(reported, "prompt_cache_hit_tokens") if cached is None else cached,
        cache_write_tokens=count(reported, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count(reported, "completion_tokens_details", "reasoning_tokens"),
    )


def count(reported: Any, *path: str) -> int | None:
    """A count of tokens in a document that others wrote; None where there is none."""
    for name in path:
        reported = reported.get(name) if isinstance(reported, dict) else None
    is_count = isinstance(reported, int) and not isinstance(reported, bool) and reported >= 0
    return reported if is_count else None
