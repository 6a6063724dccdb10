"""Requests and answers in the words of the OpenAI chat protocol. Unknown is None, never 0."""

from __future__ import annotations

from typing import Any

from workbench.core import BadResponse, Completion, FinishReason, Request, Timing, Unavailable, Usage

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "blocked",
    "tool_calls": "stop",
    "function_call": "stop",
}


def request_body(served_model: str, request: Request, *, logprobs: bool, max_tokens_field: str) -> dict[str, Any]:
    """The JSON of a chat completion request, without stream settings."""
    sampling = request.sampling
    body: dict[str, Any] = {
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

    Args:
        model: name of the model in the configuration.
        start_s: intended start, on the caller's clock.
        flop_per_token: of the card; None leaves the compute unknown.
    """

    def __init__(self, model: str, start_s: float, flop_per_token: float | None = None) -> None:
        self._model = model
        self._flop_per_token = flop_per_token
        self._start_s = start_s
        self._texts: list[str] = []
        self._finish: str | None = None
        self._usage = Usage()
        self._logprob: float | None = None
        self._ttft_s: float | None = None

    def add_chunk(self, chunk: Any, now_s: float) -> str:
        """Take in a piece of a stream; returns its new text."""
        if chunk.usage is not None:
            self._usage = usage_of(chunk.usage)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        text = choice.delta.content or "" if choice.delta is not None else ""
        if text and self._ttft_s is None:
            self._ttft_s = now_s - self._start_s
        self._take(choice, text)
        return text

    def add_whole(self, response: Any) -> None:
        """Take in an answer that was not streamed."""
        if not getattr(response, "choices", None):
            raise BadResponse("the answer has no choices", model=self._model)
        choice = response.choices[0]
        if response.usage is not None:
            self._usage = usage_of(response.usage)
        self._take(choice, choice.message.content or "")

    def _take(self, choice: Any, text: str) -> None:
        if not isinstance(text, str):
            raise BadResponse(f"the answer's content is {type(text).__name__}, not text", model=self._model)
        self._texts.append(text)
        self._finish = choice.finish_reason or self._finish
        if choice.logprobs is not None and choice.logprobs.content:
            self._logprob = (self._logprob or 0.0) + sum(token.logprob for token in choice.logprobs.content)

    def completion(self, now_s: float) -> Completion:
        """The whole answer.

        Raises:
            Unavailable: it ended without a finish reason (cut stream).
        """
        if self._finish is None:
            raise Unavailable("the stream ended before the answer was complete", model=self._model)
        return Completion(
            text="".join(self._texts),
            model=self._model,
            finish_reason=FINISH.get(self._finish, "stop"),
            usage=self._usage,
            timing=Timing(now_s - self._start_s, self._ttft_s),
            compute_flop=self._compute_flop(),
            logprob=self._logprob,
        )

    def _compute_flop(self) -> float | None:
        n_tokens = self._usage.total_tokens
        return None if n_tokens is None or self._flop_per_token is None else n_tokens * self._flop_per_token


def usage_of(reported: Any) -> Usage:
    """Tokens as the server counts them; cached ones are unknown where it does not report them."""
    details = getattr(reported, "prompt_tokens_details", None)
    return Usage(
        prompt_tokens=getattr(reported, "prompt_tokens", None),
        completion_tokens=getattr(reported, "completion_tokens", None),
        cached_tokens=getattr(details, "cached_tokens", None),
    )
