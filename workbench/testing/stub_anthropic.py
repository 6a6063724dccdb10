"""A local server that speaks Anthropic's Messages API, streams included, and misbehaves on request."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workbench.models.faults import Fault, FaultSchedule
from workbench.testing.threaded_server import ThreadedServer

PIECE = re.compile(r"\s*\S+|\s+")
STATUS = {500: "api_error", 504: "timeout_error", 529: "overloaded_error"}


@dataclass(frozen=True)
class StubAnthropicBehaviour:
    """How the stub answers. A token is a word with the space before it.

    Args:
        reply: the answer to every request, or a function from the request's JSON body to it.
        thinking: streamed in a block of its own before the answer; its words count as output.
        models: ids that requests may name.
        key: what `x-api-key` or `Authorization: Bearer …` must carry; None lets everyone in.
        ttft_s: seconds before the first token.
        token_s: seconds between tokens.
        stop_reason: stated instead of the true one; None states the true one.
        cached_tokens: of the prompt, read from the prompt cache; not part of `input_tokens`. None leaves the field out.
        cache_write_tokens: of the prompt, written to the prompt cache; likewise.
        context_window: prompts of more words are refused; None takes all.
        server_error_status: of the fault `server_error`: 500, or 529 when the server is overloaded.
        cuts_with: type of the error event that a cut stream ends with; None just ends it.
        faults: what goes wrong, request by request.
    """

    reply: str | Callable[[dict[str, Any]], str] = "An answer of six short words."
    thinking: str = ""
    models: tuple[str, ...] = ("stub",)
    key: str | None = None
    ttft_s: float = 0.0
    token_s: float = 0.0
    stop_reason: str | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    context_window: int | None = None
    server_error_status: int = 500
    cuts_with: str | None = None
    faults: Sequence[Fault] = ()


class StubAnthropicServer(ThreadedServer):
    """The stub in a thread, on a free port of this machine, while the `with` block lasts.

    Args:
        behaviour: how it answers.

    Example:
        >>> import urllib.request
        >>> body = {"model": "stub", "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]}
        >>> with StubAnthropicServer() as server:
        ...     ask = urllib.request.Request(server.url + "/v1/messages", json.dumps(body).encode())
        ...     json.load(urllib.request.urlopen(ask))["content"]
        [{'type': 'text', 'text': 'An answer'}]
    """

    def __init__(self, behaviour: StubAnthropicBehaviour | None = None) -> None:
        super().__init__([Route("/v1/messages", self._messages, methods=["POST"])])
        self.behaviour = behaviour or StubAnthropicBehaviour()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._schedule = FaultSchedule(self.behaviour.faults)
        self._numbers = itertools.count(1)

    async def _messages(self, http: HTTPRequest) -> Response:
        body: dict[str, Any] = await http.json()
        self.requests.append(body)
        self.headers.append(dict(http.headers))
        refusal = self._refusal(body, http)
        if refusal is not None:
            return refusal
        fault = self._schedule.next()
        if fault is not None and fault.kind in ("rate_limited", "server_error", "timeout"):
            return await self._failed(fault)
        answer = _Answer(self.behaviour, body, next(self._numbers))
        if body.get("stream"):
            return StreamingResponse(answer.events(fault), media_type="text/event-stream")
        await asyncio.sleep(self.behaviour.ttft_s + self.behaviour.token_s * max(0, len(answer.tokens) - 1))
        if fault is not None:
            return Response('{"content": [', media_type="application/json")
        return JSONResponse(answer.whole())

    def _refusal(self, body: dict[str, Any], http: HTTPRequest) -> Response | None:
        stub = self.behaviour
        sent = http.headers.get("x-api-key") or http.headers.get("authorization", "").removeprefix("Bearer ")
        if stub.key is not None and sent != stub.key:
            return _error(401, "authentication_error", f"invalid x-api-key: {sent}")
        if body.get("model") not in stub.models:
            return _error(404, "not_found_error", f"model: {body.get('model')}")
        if not isinstance(body.get("max_tokens"), int):
            return _error(400, "invalid_request_error", "max_tokens: Field required")
        bad = [m["role"] for m in body["messages"] if m["role"] not in ("user", "assistant")]
        if bad:
            return _error(400, "invalid_request_error", f'messages: Unexpected role "{bad[0]}"')
        n_prompt = _prompt_tokens(body)
        if stub.context_window is not None and n_prompt > stub.context_window:
            said = f"prompt is too long: {n_prompt} tokens > {stub.context_window} maximum"
            return _error(400, "invalid_request_error", said)
        return None

    async def _failed(self, fault: Fault) -> Response:
        await self.wait(fault.after_s)
        if fault.kind == "rate_limited":
            headers = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:g}"}
            return _error(429, "rate_limit_error", "This request would exceed your rate limit", headers)
        status = self.behaviour.server_error_status if fault.kind == "server_error" else 504
        return _error(status, STATUS.get(status, "api_error"), "Overloaded" if status == 529 else "Internal error")


class _Answer:
    """The blocks of one answer."""

    def __init__(self, stub: StubAnthropicBehaviour, body: dict[str, Any], number: int) -> None:
        text = stub.reply if isinstance(stub.reply, str) else stub.reply(body)
        self.text, self.stop_sequence = _before_stop(text, body.get("stop_sequences") or [])
        everything = PIECE.findall(self.text)
        self.tokens = everything[: body["max_tokens"]]
        self.thoughts = PIECE.findall(stub.thinking)
        self.is_cut = len(self.tokens) < len(everything)
        self.stub, self.body, self.number = stub, body, number

    def whole(self) -> dict[str, Any]:
        """The JSON of an answer that is not streamed."""
        thinking = [{"type": "thinking", "thinking": self.stub.thinking, "signature": "stub"}] if self.thoughts else []
        content = [*thinking, {"type": "text", "text": "".join(self.tokens)}]
        return {**self._message(content), **self._stop(), "usage": {**self._input(), **self._output()}}

    async def events(self, fault: Fault | None) -> AsyncIterator[str]:
        """Server-sent events, ending early or in nonsense where the fault says so."""
        yield _sse("message_start", message={**self._message([]), "usage": {**self._input(), "output_tokens": 1}})
        yield _sse("ping")
        await asyncio.sleep(self.stub.ttft_s)
        for event in self._thinking():
            yield event
        place = 1 if self.thoughts else 0
        yield _sse("content_block_start", index=place, content_block={"type": "text", "text": ""})
        for number, token in enumerate(self.tokens):
            if fault is not None and number == fault.after_pieces:
                break
            await asyncio.sleep(self.stub.token_s if number else 0.0)
            yield _sse("content_block_delta", index=place, delta={"type": "text_delta", "text": token})
        if fault is not None:
            yield self._broken(fault)
            return
        yield _sse("content_block_stop", index=place)
        yield _sse("message_delta", delta=self._stop(), usage=self._output())
        yield _sse("message_stop")

    def _thinking(self) -> list[str]:
        if not self.thoughts:
            return []
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in self.thoughts]
        return [
            _sse("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
            *(_sse("content_block_delta", index=0, delta=delta) for delta in deltas),
            _sse("content_block_stop", index=0),
        ]

    def _broken(self, fault: Fault) -> str:
        if fault.kind == "malformed_chunk":
            return 'event: content_block_delta\ndata: {"type": "content_block_delta", "delta"\n\n'
        if self.stub.cuts_with is None:
            return ""
        return _sse("error", error={"type": self.stub.cuts_with, "message": "Overloaded"})

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        head = {"id": f"msg_{self.number}", "type": "message", "role": "assistant", "model": self.body["model"]}
        return {**head, "content": content, "stop_reason": None, "stop_sequence": None}

    def _stop(self) -> dict[str, Any]:
        true = "max_tokens" if self.is_cut else "stop_sequence" if self.stop_sequence else "end_turn"
        return {"stop_reason": self.stub.stop_reason or true, "stop_sequence": self.stop_sequence}

    def _input(self) -> dict[str, Any]:
        kept = {
            "cache_read_input_tokens": self.stub.cached_tokens,
            "cache_creation_input_tokens": self.stub.cache_write_tokens,
        }
        known = {name: n for name, n in kept.items() if n is not None}
        fresh = _prompt_tokens(self.body) - sum(known.values())
        return {"input_tokens": fresh, **known, **self._written()}

    def _written(self) -> dict[str, Any]:
        """Tokens written to the prompt cache by how long they are kept, as the request's marks say."""
        if self.stub.cache_write_tokens is None:
            return {}
        is_1h = '"ttl": "1h"' in json.dumps(self.body)
        n_5m, n_1h = (0, self.stub.cache_write_tokens) if is_1h else (self.stub.cache_write_tokens, 0)
        return {"cache_creation": {"ephemeral_5m_input_tokens": n_5m, "ephemeral_1h_input_tokens": n_1h}}

    def _output(self) -> dict[str, Any]:
        usage: dict[str, Any] = {"output_tokens": len(self.tokens) + len(self.thoughts)}
        if self.thoughts:
            usage["output_tokens_details"] = {"thinking_tokens": len(self.thoughts)}
        return usage


def _before_stop(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    return (text[: min(found)[0]], min(found)[1]) if found else (text, None)


def _prompt_tokens(body: dict[str, Any]) -> int:
    contents = [body.get("system") or "", *(message["content"] for message in body["messages"])]
    return sum(len(_plain(content).split()) for content in contents)


def _plain(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else " ".join(block.get("text", "") for block in content)


def _sse(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Response:
    document = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stub"}
    return JSONResponse(document, status_code=status, headers=headers)
