"""What a server that speaks the OpenAI protocol can do, found out by asking it a dozen short questions, never by its name."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

from workbench.models.card import ModelCard
from workbench.models.model import Model
from workbench.models.server_model import key_of

PROMPT = "Write four sentences about the sea."
SHORT, LONG = 16, 24
N_DRAWS = 3
MaxTokensField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server does. None where it could not be found out; `reasons` says why.

    Args:
        max_tokens_field: the field that limits an answer; `max_tokens` where both do.
        streams: whether an answer comes in pieces.
        accepts_stream_options: whether a stream may ask for usage; False: such a request is refused.
        usage_in_streams: whether a stream that asks for usage ends with it.
        usage_unasked: whether a stream that does not ask for usage ends with it all the same.
        usage: whether answers that are not streamed carry token counts.
        cached_tokens: whether usage says how many prompt tokens came from a prefix cache.
        logprobs: whether answers carry log-probabilities when asked.
        seed: whether the same seed draws the same answer at temperature 1, and other seeds others.
        reasons: capability → why it is None.
    """

    max_tokens_field: MaxTokensField | None = None
    streams: bool | None = None
    accepts_stream_options: bool | None = None
    usage_in_streams: bool | None = None
    usage_unasked: bool | None = None
    usage: bool | None = None
    cached_tokens: bool | None = None
    logprobs: bool | None = None
    seed: bool | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def advice(self) -> dict[str, Any]:
        """Options of the card that this server needs; empty where the defaults do.

        Example:
            >>> Capabilities(max_tokens_field="max_completion_tokens", streams=True).advice()
            {'max_tokens_field': 'max_completion_tokens'}
        """
        options: dict[str, Any] = {}
        if self.max_tokens_field == "max_completion_tokens":
            options["max_tokens_field"] = self.max_tokens_field
        if self.streams is False or (self.usage and self.usage_in_streams is False and not self.usage_unasked):
            options["stream"] = False  # tokens are worth more than the time to the first one
        return options


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server, as sent.

    Args:
        status: HTTP status; 0 where there was no answer.
        chunks: the JSON documents of a stream, or the one document of an answer that is not streamed.
        is_stream: whether it came as server-sent events.
        failure: what went wrong, in the server's or the connection's words; empty for an answer.
    """

    status: int
    chunks: tuple[dict[str, Any], ...] = ()
    is_stream: bool = False
    failure: str = ""

    @property
    def is_answer(self) -> bool:
        """Whether there is something to read."""
        return self.status == 200 and bool(self.chunks)

    @property
    def is_refusal(self) -> bool:
        """Whether the server does not take such a request, as opposed to being busy or broken."""
        return self.status in (400, 404, 422, 501)

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last token counts; None where there are none."""
        return next((chunk["usage"] for chunk in reversed(self.chunks) if chunk.get("usage")), None)

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The first choice of every document that has one."""
        firsts = (
            chunk["choices"][0] for chunk in self.chunks if isinstance(chunk.get("choices"), list) and chunk["choices"]
        )
        return [first for first in firsts if isinstance(first, dict)]

    @property
    def text(self) -> str:
        """The answer."""
        parts = ((choice.get("delta") or choice.get("message") or {}).get("content") for choice in self.choices)
        return "".join(part for part in parts if isinstance(part, str))


def server_card(model: Model) -> ModelCard | None:
    """The card under which a model's server can be asked in the OpenAI protocol; None where it has no such server."""
    card: ModelCard = getattr(model, "api_card", model.card)
    return card if card.kind == "openai-compatible" else None


async def probe(card: ModelCard) -> Capabilities:
    """Ask the server of a card, one question at a time; some dozen answers of at most 24 tokens each.

    Args:
        card: of a server that speaks the OpenAI protocol: `base_url`, `model`, `api_key` and `timeout_s` are used.

    Returns:
        What it does; a question that found no server, a busy or a broken one leaves None and a reason.
    """
    return await asyncio.to_thread(_Prober(card).capabilities)


class _Prober:
    """One server being asked."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._field: MaxTokensField = "max_tokens"
        self._answers: list[Reply] = []
        self._reasons: dict[str, str] = {}

    def capabilities(self) -> Capabilities:
        """Everything; the field that limits answers comes first, because every other question needs it."""
        found = Capabilities(max_tokens_field=self._max_tokens_field())
        if found.max_tokens_field is None and not self._answers:
            return replace(found, reasons=dict.fromkeys(_names(), self._reasons["max_tokens_field"]))
        self._field = found.max_tokens_field or "max_tokens"
        plain = self._ask(stream=True)
        asking = self._ask(stream=True, stream_options={"include_usage": True})
        found = replace(
            found,
            streams=self._fact("streams", plain, plain.is_stream),
            usage_unasked=self._fact("usage_unasked", plain, plain.is_stream and plain.usage is not None),
            accepts_stream_options=self._fact("accepts_stream_options", asking, True),
            usage_in_streams=self._fact("usage_in_streams", asking, asking.is_stream and asking.usage is not None),
            logprobs=self._logprobs(),
            seed=self._seed(),
        )
        found = replace(found, usage=self._usage(), cached_tokens=self._cached_tokens())
        return replace(found, reasons=dict(self._reasons))

    def _max_tokens_field(self) -> MaxTokensField | None:
        replies: dict[MaxTokensField, Reply] = {}
        for name in ("max_tokens", "max_completion_tokens"):
            reply = replies[name] = self._ask(limit=SHORT, limit_field=name)
            if reply.is_answer and _n_tokens(reply) <= SHORT:
                return name
        self._reasons["max_tokens_field"] = "; ".join(
            f"{name}: {reply.failure or f'{_n_tokens(reply)} tokens came where {SHORT} was the limit'}"
            for name, reply in replies.items()
        )
        return None

    def _logprobs(self) -> bool | None:
        reply = self._ask(logprobs=True)
        return self._fact("logprobs", reply, any((c.get("logprobs") or {}).get("content") for c in reply.choices))

    def _seed(self) -> bool | None:
        """The same seed a few times, then other ones."""
        seeds = [1] * N_DRAWS + list(range(2, 2 + N_DRAWS))
        draws = [self._ask(temperature=1.0, seed=seed) for seed in seeds]
        failed = next((draw for draw in draws if not draw.is_answer), None)
        if failed is not None:
            return self._fact("seed", failed, False)
        texts = [draw.text for draw in draws]
        if len(set(texts)) == 1:
            self._reasons["seed"] = f"{len(texts)} draws at temperature 1 were all the same, whatever the seed"
            return None
        return len(set(texts[:N_DRAWS])) == 1

    def _usage(self) -> bool | None:
        whole = [reply for reply in self._answers if not reply.is_stream]
        if not whole:
            self._reasons["usage"] = "no answer came that was not streamed"
            return None
        return all(_is_count((reply.usage or {}).get("completion_tokens")) for reply in whole)

    def _cached_tokens(self) -> bool | None:
        """The same prompt was sent many times by now."""
        usages = [reply.usage for reply in self._answers if reply.usage]
        if not usages:
            self._reasons["cached_tokens"] = "no usage came with any answer"
            return None
        return any(_is_count((usage.get("prompt_tokens_details") or {}).get("cached_tokens")) for usage in usages)

    def _fact(self, name: str, reply: Reply, answer: bool) -> bool | None:
        """`answer` where the server answered, False where it refused such a request, None where it did neither."""
        if reply.is_answer:
            return answer
        if reply.is_refusal:
            return False
        self._reasons[name] = reply.failure
        return None

    def _ask(self, *, limit: int = LONG, limit_field: str | None = None, **fields: Any) -> Reply:
        body = {
            "model": self._card.model,
            "messages": [{"role": "user", "content": PROMPT}],
            limit_field or self._field: limit,
            **fields,
        }
        reply = _sent(self._card, body)
        if reply.is_answer:
            self._answers.append(reply)
        return reply


def _sent(card: ModelCard, body: dict[str, Any]) -> Reply:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    key = key_of(card.model, card) or ""
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        request = urllib.request.Request(
            f"{(card.base_url or '').rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=card.timeout_s) as response:
            return _read(response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as exc:
        with exc:
            return Reply(exc.code, failure=_without(key, f"status {exc.code}: {_said(exc)}"))
    except (OSError, ValueError) as exc:  # no connection, a time-out, or bytes that are no answer
        return Reply(0, failure=_without(key, f"{type(exc).__name__}: {exc}"))


def _read(text: str) -> Reply:
    """The documents of an answer, by what it looks like: content types are not to be trusted."""
    lines = [line.removeprefix("data:").strip() for line in text.split("\n") if line.startswith("data:")]
    documents = [json.loads(line) for line in lines if line and line != "[DONE]"] if lines else [json.loads(text)]
    return Reply(200, tuple(each for each in documents if isinstance(each, dict)), is_stream=bool(lines))


def _said(error: urllib.error.HTTPError) -> str:
    text = error.read(2000).decode("utf-8", "replace")
    try:
        body = json.loads(text)
        text = body["error"]["message"] if isinstance(body["error"], dict) else str(body["error"])
    except (ValueError, LookupError, TypeError):
        pass
    return " ".join(str(text).split())[:200]


def _without(key: str, text: str) -> str:
    return text.replace(key, "(key hidden)") if key else text


def _n_tokens(reply: Reply) -> int:
    """Of the answer, in words where the server counts none."""
    counted = (reply.usage or {}).get("completion_tokens")
    return counted if _is_count(counted) else len(reply.text.split())


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _names() -> list[str]:
    return [name for name in Capabilities.__dataclass_fields__ if name != "reasons"]
