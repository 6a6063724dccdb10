"""What a server's refusal means: the SDK's exceptions as the workbench's errors, without the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import openai

from workbench.core import BadResponse, ContextOverflow, ModelError, RateLimited, Unavailable

LONGEST_MESSAGE = 300
WINDOW = re.compile(r"context (?:length|window|size)\D{0,30}?(\d[\d,]*)", re.IGNORECASE)
PROMPT = re.compile(
    r"(\d[\d,]*) (?:in the messages|(?:input|prompt) tokens|tokens from the (?:input|prompt))", re.IGNORECASE
)
REQUESTED = re.compile(r"(?:requested|resulted in|has|contains) (?:about )?(\d[\d,]*) (?:\w+ )?tokens", re.IGNORECASE)
HIDDEN = "(key hidden)"


def model_error(exc: Exception, *, model: str, key: str | None) -> ModelError:
    """The error that a caller of the model sees.

    Args:
        exc: what the SDK, its HTTP library or reading the answer raised.
        model: name of the model in the configuration.
        key: the API key; cut out wherever the server echoes it.
    """
    text = _message(exc, key)
    if isinstance(exc, openai.APITimeoutError):
        return Unavailable("the server did not answer in time", model=model)
    if isinstance(exc, openai.APIConnectionError):
        return Unavailable(f"cannot reach the server or lost it: {_innermost(exc)}", model=model)
    if isinstance(exc, openai.APIStatusError):
        return _status_error(exc, text, model)
    if isinstance(exc, openai.APIError):
        return Unavailable(f"the server ended the stream with an error: {text}", model=model)
    if isinstance(exc, ValueError | TypeError | AttributeError | LookupError):
        return BadResponse(f"the answer does not follow the protocol: {text}", model=model)
    return Unavailable(f"the connection failed: {type(exc).__name__}: {text}", model=model)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds a server asks to wait (`retry-after-ms`, or `retry-after` as seconds or as a date); None when it does not say.

    Example:
        >>> retry_after_s({"retry-after": "1.5"})
        1.5
        >>> retry_after_s({"retry-after": "Thu, 01 Jan 2026 00:00:10 GMT"}, datetime(2026, 1, 1, tzinfo=UTC))
        10.0
    """
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        return None if value is None else max(0.0, float(value))
    except ValueError:
        return _seconds_until(value, now or datetime.now(UTC))


def _seconds_until(date: str | None, now: datetime) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(date or "") - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _status_error(exc: openai.APIStatusError, text: str, model: str) -> ModelError:
    status = exc.status_code
    if status == 429:
        return RateLimited(
            f"asked to slow down: {text}", model=model, retry_after_s=retry_after_s(exc.response.headers)
        )
    if status >= 500 or status == 408:
        return Unavailable(f"the server failed with status {status}: {text}", model=model, status=status)
    if status in (401, 403):
        return BadResponse(
            f"the server refused the key (status {status}): {text}; check api_key", model=model, status=status
        )
    overflow = _overflow(text, model) if status in (400, 413, 422) else None
    return overflow or BadResponse(
        f"the server rejected the request with status {status}: {text}", model=model, status=status
    )


def _overflow(text: str, model: str) -> ContextOverflow | None:
    """Servers say it in words; recognised when both counts are among them."""
    window, prompt = WINDOW.search(text), PROMPT.search(text) or REQUESTED.search(text)
    if window is None or prompt is None:
        return None
    return ContextOverflow(model=model, prompt_tokens=_count(prompt), context_window=_count(window))


def _count(match: re.Match[str]) -> int:
    return int(match.group(1).replace(",", ""))


def _message(exc: Exception, key: str | None) -> str:
    body = getattr(exc, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    text = str(said or getattr(exc, "message", None) or exc)
    if key:
        text = text.replace(key, HIDDEN)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def _innermost(exc: BaseException) -> str:
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc) or type(exc).__name__
