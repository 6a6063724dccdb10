"""What a caller is told when there is no answer: an HTTP status and OpenAI's error object, without internals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from workbench.core import (
    BadResponse,
    Blocked,
    BudgetExceeded,
    ConfigError,
    ContextOverflow,
    ModelError,
    RateLimited,
    Unavailable,
    WorkbenchError,
)


class HttpFailure(Exception):
    """A request that ends at the edge, before the stack sees it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Failure:
    """One refusal or fault as HTTP.

    Args:
        status: HTTP status.
        message: one sentence for the caller.
        type: OpenAI's error type.
        code: OpenAI's or our error code.
        retry_after_s: seconds until another try may work; None when unknown or never.
    """

    status: int
    message: str
    type: str
    code: str
    retry_after_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """OpenAI's error object."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, and whether the OpenAI clients should try again by themselves."""
        if self.retry_after_s is not None:
            return {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}
        return {"x-should-retry": "false"} if self.status in (429, 500) else {}


def failure_of(error: Exception) -> Failure:
    """The HTTP form of any error. What is not a WorkbenchError tells nothing about itself."""
    if isinstance(error, HttpFailure):
        return error.failure
    if isinstance(error, ModelError):
        return _model_failure(error)
    if isinstance(error, BudgetExceeded):
        code = "rate_limit_exceeded" if error.scope == "rate" else "insufficient_quota"
        return Failure(429, str(error), "rate_limit_error", code, error.retry_after_s)
    if isinstance(error, Blocked) and error.guard == "identity":
        return Failure(401, str(error), "authentication_error", "invalid_api_key")
    if isinstance(error, Blocked):
        return Failure(403, str(error), "permission_error", "blocked")
    if isinstance(error, ConfigError):
        return Failure(400, str(error), "invalid_request_error", "invalid_request")
    if isinstance(error, TimeoutError):
        return Failure(504, "no answer within the deadline", "timeout_error", "deadline_exceeded")
    if isinstance(error, WorkbenchError):
        return Failure(503, "the server cannot answer now; its log says why", "server_error", "unavailable")
    return Failure(500, "the server failed; its log says why under the request id", "server_error", "internal_error")


def _model_failure(error: ModelError) -> Failure:
    if isinstance(error, ContextOverflow):
        return Failure(400, str(error), "invalid_request_error", "context_length_exceeded")
    if isinstance(error, RateLimited):
        return Failure(429, str(error), "rate_limit_error", "model_rate_limited", error.retry_after_s or 1.0)
    if isinstance(error, BadResponse):
        return Failure(502, str(error), "server_error", "bad_model_response")
    if isinstance(error, Unavailable) and error.status in (408, 504):
        return Failure(504, str(error), "timeout_error", "deadline_exceeded")
    return Failure(503, str(error), "server_error", "model_unavailable")


def too_large(limit_bytes: int) -> HttpFailure:
    """The body is over the limit."""
    message = (
        f"the request body is over the limit of {limit_bytes} bytes; shorten the prompt or raise the server's limit"
    )
    return HttpFailure(Failure(413, message, "invalid_request_error", "request_too_large"))


def unknown_model(message: str) -> HttpFailure:
    """The body names a model that is not served."""
    return HttpFailure(Failure(404, message, "invalid_request_error", "model_not_found"))
