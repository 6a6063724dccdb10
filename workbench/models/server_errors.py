"""What a server's refusal or silence means, as the workbench's errors and without the key. Any protocol over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from workbench.core import BadResponse, ContextOverflow, ModelError, RateLimited, Unavailable

LONGEST_MESSAGE = 300
WINDOW = re.compile(r"context (?:length|window|size)\D{0,30}?(\d[\d,]*)", re.IGNORECASE)
PROMPT = re.compile(
    r"(\d[\d,]*) (?:in the messages|(?:input|prompt) tokens|tokens from the (?:input|prompt))", re.IGNORECASE
)
REQUESTED = re.compile(r"(?:requested|resulted in|has|contains) (?:about )?(\d[\d,]*) (?:\w+ )?tokens", re.IGNORECASE)
TOO_LONG = re.compile(r"prompt is too long: (\d[\d,]*) tokens > (\d[\d,]*) maximum", re.IGNORECASE)
HIDDEN = "(key hidden)"


def refusal(status: int, headers: Mapping[str, str], text: str, *, model: str) -> ModelError:
    """The error that a status other than success means.

    Args:
        status: HTTP status, or the one that an error inside a stream states.
        headers: of the response, names in any case that the mapping understands.
        text: what the server said, from `said`.
        model: name of the model in the configuration.
    """
    if status == 429:
        return RateLimited(f"asked to slow down: {text}", model=model, retry_after_s=retry_after_s(headers))
    if status >= 500 or status in (408, 409):
        return Unavailable(f"the server failed with status {status}: {text}", model=model, status=status)
    if status in (401, 403):
        return BadResponse(
            f"the server refused the key (status {status}): {text}; check api_key", model=model, status=status
        )
    overflow = context_overflow(text, model) if status in (400, 413, 422) else None
    return overflow or BadResponse(
        f"the server rejected the request with status {status}: {text}", model=model, status=status
    )


def failure(exc: Exception, *, model: str, key: str | None) -> ModelError:
    """The error that an exception means which was raised while connecting, reading or understanding the answer."""
    text = shown(str(exc) or type(exc).__name__, key)
    is_network = isinstance(exc, OSError)  # a certificate that fails is a ValueError too
    if not is_network and isinstance(exc, ValueError | TypeError | AttributeError | LookupError):
        return BadResponse(f"the answer does not follow the protocol: {text}", model=model)
    return Unavailable(f"cannot reach the server or lost it: {text}", model=model)


def said(body: str | bytes, key: str | None) -> str:
    """The message in the body of an error, whichever of the usual forms it has; the body itself where it has none.

    Example:
        >>> said('{"error": {"message": "no such model", "type": "x"}}', None)
        'no such model'
        >>> said('{"detail": "Not Found"}', None)
        'Not Found'
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        message = _message(json.loads(text))
    except ValueError:
        message = None
    return shown(message or text or "(nothing said)", key)


def shown(text: str, key: str | None) -> str:
    """The text in one line, short, and with the key cut out of it."""
    if key:
        text = text.replace(key, HIDDEN)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


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
            return _wait_s(float(milliseconds) / 1000)
        return None if value is None else _wait_s(float(value))
    except ValueError:
        return _seconds_until(value, now or datetime.now(UTC))


def context_overflow(text: str, model: str) -> ContextOverflow | None:
    """Servers say it in words; recognised when both counts are among them."""
    if found := TOO_LONG.search(text):
        return ContextOverflow(model=model, prompt_tokens=_count(found, 1), context_window=_count(found, 2))
    window, prompt = WINDOW.search(text), PROMPT.search(text) or REQUESTED.search(text)
    if window is None or prompt is None:
        return None
    return ContextOverflow(model=model, prompt_tokens=_count(prompt, 1), context_window=_count(window, 1))


def _wait_s(asked_s: float) -> float | None:
    """What was asked for where it is a duration; a negative one is none at all, NaN says nothing."""
    return None if asked_s != asked_s else max(0.0, asked_s)


def _seconds_until(date: str | None, now: datetime) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(date or "") - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _count(match: re.Match[str], group: int) -> int:
    return int(match.group(group).replace(",", ""))


def _message(body: Any) -> str | None:
    """OpenAI and Anthropic nest it under `error`, Ollama writes a text there, FastAPI says `detail`."""
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return None
    return next((found for name in ("error", "message", "detail") if (found := _message(body.get(name)))), None)
