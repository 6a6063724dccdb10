"""The gateway: OpenAI's chat protocol in front of one stack."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workbench.core import ConfigError, Request
from workbench.gateway.failures import Failure, failure_of, unknown_model
from workbench.gateway.incoming import ClientGone, read_body, unless_gone
from workbench.gateway.outgoing import DONE, Chunks, completion_json, server_sent_event
from workbench.gateway.prometheus import render_metrics
from workbench.gateway.protocol import ANY_MODEL, ChatBody, check_model, is_set, parse_body, to_request
from workbench.gateway.streaming import EventStream
from workbench.stack import Response as Answer
from workbench.stack import Stack, StreamPiece

MAX_BODY_BYTES = 4 * 1024 * 1024
CLIENT_GONE = 499

log = logging.getLogger(__name__)
Endpoint = Callable[[HttpRequest, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Limits of the server itself.

    Args:
        max_body_bytes: largest request body; 4 MiB is a prompt of about a million tokens.
    """

    max_body_bytes: int = MAX_BODY_BYTES


class Gateway:
    """The endpoints.

    Args:
        stack: answers.
        config: limits.
    """

    def __init__(self, stack: Stack, config: GatewayConfig | None = None) -> None:
        self._stack = stack
        self._config = config or GatewayConfig()
        self._started_s = int(time.time())
        self._names = [ANY_MODEL, stack.config.name]

    def app(self) -> Starlette:
        """The ASGI application; it closes the stack when it shuts down."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            yield
            await self._stack.close()

        routes = [
            Route("/v1/chat/completions", _edge(self.chat), methods=["POST"]),
            Route("/v1/models", _edge(self.models)),
            Route("/healthz", _edge(self.health)),
            Route("/metrics", _edge(self.metrics)),
        ]
        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such_route})

    async def chat(self, http: HttpRequest, request_id: str) -> Response:
        """`POST /v1/chat/completions`."""
        body = parse_body(await read_body(http, self._config.max_body_bytes))
        try:
            check_model(body.model, self._names)
        except ConfigError as exc:
            raise unknown_model(str(exc)) from exc
        limit = self._stack.config.compose.max_answer_tokens
        request = to_request(body, http.headers, tenant="public", max_tokens=limit, request_id=request_id)
        exchange = _Exchange(request, _bearer(http), is_set(http.headers.get("x-workbench-trace")), body)
        if body.stream:
            return await self._stream(http, exchange)
        answer = await unless_gone(http.receive, self._stack.run(request, exchange.api_key))
        document = completion_json(answer.completion, request_id, int(time.time()), exchange.told(answer))
        return JSONResponse(document, headers={"x-workbench-model": answer.completion.model})

    async def models(self, http: HttpRequest, request_id: str) -> Response:
        """`GET /v1/models`: the names a client may ask for. Which model answers is the stack's choice."""
        lines = [
            {"id": name, "object": "model", "created": self._started_s, "owned_by": "workbench"} for name in self._names
        ]
        return JSONResponse({"object": "list", "data": lines})

    async def health(self, http: HttpRequest, request_id: str) -> Response:
        """`GET /healthz`: up, and which configuration."""
        config = self._stack.config
        return JSONResponse({"status": "ok", "stack": config.name, "config_sha256": config.sha256()})

    async def metrics(self, http: HttpRequest, request_id: str) -> Response:
        """`GET /metrics` for Prometheus."""
        text, media_type = render_metrics(self._stack.metrics)
        return Response(text, media_type=media_type)

    async def _stream(self, http: HttpRequest, exchange: _Exchange) -> Response:
        """A stream whose first piece is there already, so that a refusal is still an HTTP status."""
        pieces = self._stack.stream(exchange.request, exchange.api_key)
        try:
            first = await unless_gone(http.receive, _next(pieces))
        except BaseException:
            await _close(pieces)
            raise
        return EventStream(_events(first, pieces, exchange, self._stack.config.name), {})


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request at the edge."""

    request: Request
    api_key: str | None
    wants_trace: bool
    body: ChatBody

    def told(self, answer: Answer) -> dict[str, Any]:
        """The `workbench` object: what the stack did."""
        told = {
            "request_id": self.request.request_id,
            "model": answer.completion.model,
            "chosen": answer.decision.model,
            "because": answer.decision.because,
            "cached": answer.cached,
            "degraded": answer.degraded,
            "cost_usd": answer.completion.cost_usd,
            "latency_s": answer.latency_s,
            "logprob": answer.completion.logprob,
        }
        return {**told, "trace": answer.trace.to_dict()} if self.wants_trace else told


async def _events(
    first: StreamPiece, pieces: AsyncIterator[StreamPiece], exchange: _Exchange, name: str
) -> AsyncGenerator[bytes, None]:
    """The stream's events; a failure on the way is the last one, without `[DONE]`."""
    chunks, piece, is_first = Chunks(exchange.request.request_id, int(time.time()), name), first, True
    try:
        while True:
            if piece.text or is_first:
                yield chunks.text(piece.text, first=is_first)
                is_first = False
            if piece.response is not None:
                break
            piece = await _next(pieces)
        yield chunks.last(piece.response.completion, exchange.told(piece.response))
        if exchange.body.stream_options and exchange.body.stream_options.include_usage:
            yield chunks.usage(piece.response.completion.usage)
        yield DONE
    except Exception as exc:
        yield server_sent_event(_failure(exc, exchange.request.request_id).to_json())
    finally:
        await _close(pieces)


async def _next(pieces: AsyncIterator[StreamPiece]) -> StreamPiece:
    return await anext(pieces)


async def _close(pieces: AsyncIterator[StreamPiece]) -> None:
    if isinstance(pieces, AsyncGenerator):
        await pieces.aclose()


def _bearer(http: HttpRequest) -> str | None:
    scheme, _, key = http.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _edge(endpoint: Endpoint) -> Callable[[HttpRequest], Awaitable[Response]]:
    """The endpoint with a request id on every answer, and every error as OpenAI's error object."""

    async def at_the_edge(http: HttpRequest) -> Response:
        request_id = uuid.uuid4().hex
        try:
            response = await endpoint(http, request_id)
        except ClientGone:
            response = Response(status_code=CLIENT_GONE)
        except Exception as exc:  # the edge: nothing may leave as a traceback
            failure = _failure(exc, request_id)
            response = JSONResponse(failure.to_json(), failure.status, failure.headers())
        response.headers["x-workbench-request-id"] = response.headers["x-request-id"] = request_id
        return response

    return at_the_edge


def _failure(error: Exception, request_id: str) -> Failure:
    """The error for the caller; what he is not told goes to the log."""
    failure = failure_of(error)
    if failure.status >= 500:
        log.error("request %s: %s: %s", request_id, type(error).__name__, error, exc_info=failure.status == 500)
    return failure


async def _no_such_route(http: HttpRequest, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = (
        "only POST works here" if status == 405 and http.url.path.endswith("completions") else "no such path or method"
    )
    message = f"{http.method} {http.url.path}: {what}; there are POST /v1/chat/completions, GET /v1/models, /healthz, /metrics"
    return JSONResponse(Failure(status, message, "invalid_request_error", "not_found").to_json(), status)
