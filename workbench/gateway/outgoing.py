"""The OpenAI chat protocol on the way out: completions and chunks, with what the stack did under `workbench`."""

from __future__ import annotations

import json
from typing import Any

from workbench.core import Completion, Usage

FINISH_REASONS = {"stop": "stop", "length": "length", "blocked": "content_filter", "error": "stop"}


def completion_json(completion: Completion, request_id: str, created_s: int, told: dict[str, Any]) -> dict[str, Any]:
    """The body of an answer that is not streamed.

    Args:
        completion: the answer.
        request_id: its id.
        created_s: Unix time.
        told: the `workbench` object.
    """
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": completion.text, "refusal": None},
        "finish_reason": FINISH_REASONS[completion.finish_reason],
        "logprobs": None,
    }
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": created_s,
        "model": completion.model,
        "choices": [choice],
        "usage": usage_json(completion.usage),
        "workbench": told,
    }


def usage_json(usage: Usage) -> dict[str, Any] | None:
    """OpenAI's usage object; None when the tokens are unknown."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    known: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    prompt = _known(cached_tokens=usage.cached_tokens, cache_write_tokens=usage.cache_write_tokens)
    completion = _known(reasoning_tokens=usage.reasoning_tokens)
    return {**known, **_known(prompt_tokens_details=prompt or None, completion_tokens_details=completion or None)}


def _known(**counts: Any) -> dict[str, Any]:
    """Those that are known; a client must not read 0 where nothing was reported."""
    return {name: value for name, value in counts.items() if value is not None}


class Chunks:
    """Builds the chunks of one streamed answer.

    Args:
        request_id: its id.
        created_s: Unix time.
        model: name to state until the answering model is known.
    """

    def __init__(self, request_id: str, created_s: int, model: str) -> None:
        self._head = {"id": f"chatcmpl-{request_id}", "object": "chat.completion.chunk", "created": created_s}
        self._model = model

    def text(self, text: str, *, first: bool) -> bytes:
        """A piece of the answer; the first one also states the role."""
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._event([{"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}])

    def last(self, completion: Completion, told: dict[str, Any]) -> bytes:
        """The end of the answer: why it ended and what the stack did."""
        self._model = completion.model
        reason = FINISH_REASONS[completion.finish_reason]
        return self._event([{"index": 0, "delta": {}, "finish_reason": reason, "logprobs": None}], workbench=told)

    def usage(self, usage: Usage) -> bytes:
        """The chunk that `stream_options.include_usage` asks for; it has no choices."""
        return self._event([], usage=usage_json(usage))

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return server_sent_event({**self._head, "model": self._model, "choices": choices, **more})


DONE = b"data: [DONE]\n\n"


def server_sent_event(document: dict[str, Any]) -> bytes:
    """One `data:` line of a stream."""
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
