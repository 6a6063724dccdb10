"""A local server that speaks the OpenAI chat protocol and misbehaves on request."""

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
LOGPROB = -0.5
CREATED = 1_767_225_600  # 1 January 2026: answers repeat byte by byte


@dataclass(frozen=True)
class StubBehaviour:
    """How the stub answers. A token is a word with the space before it; its log-probability is -0.5.

    Args:
        reply: the answer to every request, or a function from the request's JSON body to it.
        reasoning: hidden thoughts before the answer, told apart in streams and usage as reasoning models do.
        models: ids that `/v1/models` lists and requests may name.
        key: what `Authorization: Bearer …` must carry; None lets everyone in.
        ttft_s: seconds before the first token.
        token_s: seconds between tokens.
        usage_in_streams: whether a stream ends with usage when asked for it.
        rejects_stream_options: answer 400 to a request that asks for usage in its stream, as older servers do.
        usage_unasked: whether streams end with usage although nobody asked.
        rejects: fields of a request that are answered with 400, as newer or stricter servers do.
        ignores: fields of a request that are read over, as older servers do.
        cached_tokens: reported in usage; None leaves the field out.
        context_window: prompts of more words are refused; None takes all.
        faults: what goes wrong, request by request.
    """

    reply: str | Callable[[dict[str, Any]], str] = "An answer of six short words."
    reasoning: str = ""
    models: tuple[str, ...] = ("stub",)
    key: str | None = None
    ttft_s: float = 0.0
    token_s: float = 0.0
    usage_in_streams: bool = True
    rejects_stream_options: bool = False
    usage_unasked: bool = False
    rejects: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    cached_tokens: int | None = None
    context_window: int | None = None
    faults: Sequence[Fault] = ()


class StubServer(ThreadedServer):
    """The stub in a thread, on a free port of this machine, while the `with` block lasts.

    Args:
        behaviour: how it answers.

    Example:
        >>> import urllib.request
        >>> with StubServer(StubBehaviour(models=("a",))) as server:
        ...     json.load(urllib.request.urlopen(server.url + "/models"))["data"][0]["id"]
        'a'
    """

    def __init__(self, behaviour: StubBehaviour | None = None) -> None:
        self.behaviour = behaviour or StubBehaviour()
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
        ]
        super().__init__(routes, "/v1")
        self._schedule = FaultSchedule(self.behaviour.faults)
        self._numbers = itertools.count(1)

    async def _models(self, http: HTTPRequest) -> Response:
        data = [{"id": name, "object": "model", "owned_by": "stub"} for name in self.behaviour.models]
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, http: HTTPRequest) -> Response:
        body: dict[str, Any] = await http.json()
        self.requests.append(body)
        self.authorizations.append(http.headers.get("authorization"))
        refusal = self._refusal(body, http.headers.get("authorization"))
        if refusal is not None:
            return refusal
        body = {field: value for field, value in body.items() if field not in self.behaviour.ignores}
        fault = self._schedule.next()
        if fault is not None and fault.kind in ("rate_limited", "server_error", "timeout"):
            return await self._failed(fault)
        answer = _Answer(self.behaviour, body, next(self._numbers))
        if body.get("stream"):
            return StreamingResponse(answer.events(fault), media_type="text/event-stream")
        await asyncio.sleep(self.behaviour.ttft_s + self.behaviour.token_s * max(0, len(answer.tokens) - 1))
        if fault is not None:
            return Response('{"choices": [', media_type="application/json")
        return JSONResponse(answer.whole())

    def _refusal(self, body: dict[str, Any], authorization: str | None) -> Response | None:
        stub = self.behaviour
        if stub.key is not None and authorization != f"Bearer {stub.key}":
            sent = (authorization or "").removeprefix("Bearer ")
            return _error(401, f"Incorrect API key provided: {sent}", "invalid_api_key")
        if body.get("model") not in stub.models:
            return _error(404, f"The model `{body.get('model')}` does not exist.", "model_not_found")
        if stub.rejects_stream_options and "stream_options" in body:
            return _error(400, "Unrecognized request argument supplied: stream_options", None)
        refused = next((field for field in stub.rejects if field in body), None)
        if refused:
            return _error(400, f"Unsupported parameter: '{refused}' is not supported with this model.", None)
        n_prompt = _prompt_tokens(body)
        if stub.context_window is not None and n_prompt > stub.context_window:
            message = (
                f"This model's maximum context length is {stub.context_window} tokens. "
                f"However, your messages resulted in {n_prompt} tokens."
            )
            return _error(400, message, "context_length_exceeded")
        return None

    async def _failed(self, fault: Fault) -> Response:
        await self.wait(fault.after_s)
        if fault.kind == "rate_limited":
            headers = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:g}"}
            return _error(429, "Rate limit reached", "rate_limit_exceeded", headers)
        return _error(500 if fault.kind == "server_error" else 504, "The server had an error", None)


class _Answer:
    """The pieces of one answer."""

    def __init__(self, stub: StubBehaviour, body: dict[str, Any], number: int) -> None:
        text = stub.reply if isinstance(stub.reply, str) else stub.reply(body)
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        everything = PIECE.findall(text)
        self.tokens = everything[:limit]
        self.thoughts = PIECE.findall(stub.reasoning)
        self.finish = "stop" if len(self.tokens) == len(everything) else "length"
        self.stub = stub
        self.body = body
        self.head = {"id": f"chatcmpl-{number}", "created": CREATED, "model": body["model"]}

    def whole(self) -> dict[str, Any]:
        """The JSON of an answer that is not streamed."""
        message = {"role": "assistant", "content": "".join(self.tokens)}
        if self.thoughts:
            message["reasoning_content"] = self.stub.reasoning
        choice = {"index": 0, "message": message, "finish_reason": self.finish, "logprobs": self._logprobs(self.tokens)}
        return {**self.head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    async def events(self, fault: Fault | None) -> AsyncIterator[str]:
        """Server-sent events, ending early or in nonsense where the fault says so."""
        await asyncio.sleep(self.stub.ttft_s)
        yield self._event({"role": "assistant", "content": ""})
        for thought in self.thoughts:
            yield self._event({"reasoning_content": thought})
        for index, token in enumerate(self.tokens):
            if fault is not None and index == fault.after_pieces:
                break
            await asyncio.sleep(self.stub.token_s if index else 0.0)
            yield self._event({"content": token}, token=token)
        if fault is not None:
            yield 'data: {"choices": [{"delta"\n\n' if fault.kind == "malformed_chunk" else ""
            return
        yield self._event({}, finish=self.finish)
        asked = (self.body.get("stream_options") or {}).get("include_usage")
        if self.stub.usage_unasked or (self.stub.usage_in_streams and asked):
            yield _sse({**self.head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()})
        yield "data: [DONE]\n\n"

    def _event(self, delta: dict[str, Any], *, token: str | None = None, finish: str | None = None) -> str:
        logprobs = None if token is None else self._logprobs([token])
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return _sse({**self.head, "object": "chat.completion.chunk", "choices": [choice]})

    def _logprobs(self, tokens: Sequence[str]) -> dict[str, Any] | None:
        if not self.body.get("logprobs"):
            return None
        return {
            "content": [{"token": token, "logprob": LOGPROB, "bytes": None, "top_logprobs": []} for token in tokens]
        }

    def _usage(self) -> dict[str, Any]:
        n_prompt, n_answer = _prompt_tokens(self.body), len(self.tokens) + len(self.thoughts)
        usage: dict[str, Any] = {
            "prompt_tokens": n_prompt,
            "completion_tokens": n_answer,
            "total_tokens": n_prompt + n_answer,
        }
        if self.stub.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.stub.cached_tokens}
        if self.thoughts:
            usage["completion_tokens_details"] = {"reasoning_tokens": len(self.thoughts)}
        return usage


def _prompt_tokens(body: dict[str, Any]) -> int:
    return sum(len(str(message.get("content", "")).split()) for message in body.get("messages", []))


def _sse(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"


def _error(status: int, message: str, code: str | None, headers: dict[str, str] | None = None) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)
