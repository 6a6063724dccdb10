"""The OpenAI chat protocol on the way in: a JSON body and headers become a Request.

Fields that this server does not know are let through, as OpenAI-compatible servers do; fields that it knows and cannot honour
(tools, n > 1, pictures) are refused, because an answer that ignores them would be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.core import ConfigError, Message, Request, Role, Sampling
from workbench.core.naming import did_you_mean
from workbench.core.validation import parse

ANY_MODEL = "auto"


class Lenient(BaseModel):
    """A pydantic model that lets unknown keys through."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ContentPart(Lenient):
    """A piece of a message; only text is understood."""

    type: Literal["text"]
    text: str


class ChatMessage(Lenient):
    """One message of the body."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None

    def to_message(self) -> Message:
        """The core's message; `developer` is today's name for `system`, `function` an old one for `tool`."""
        renamed: dict[str, Role] = {"developer": "system", "function": "tool"}
        role: Any = renamed.get(self.role, self.role)
        if isinstance(self.content, list):
            return Message(role, "".join(part.text for part in self.content))
        return Message(role, self.content or "")


class JsonSchemaFormat(Lenient):
    """The schema inside `response_format`."""

    schema_: Annotated[dict[str, Any], Field(alias="schema")] = {}


class ResponseFormat(Lenient):
    """`response_format`: text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    def to_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the answer; None when it is free text."""
        if self.type == "json_object":
            return {"type": "object"}
        return self.json_schema.schema_ if self.json_schema else None


class StreamOptions(Lenient):
    """`stream_options`."""

    include_usage: bool = False


class ChatBody(Lenient):
    """The body of `POST /v1/chat/completions`, as far as it is understood."""

    model: str = ANY_MODEL
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int | None, Field(gt=0)] = None
    max_completion_tokens: Annotated[int | None, Field(gt=0)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    n: Annotated[int | None, Field(ge=1, le=1)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    metadata: dict[str, str] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None

    @model_validator(mode="after")
    def _can_be_honoured(self) -> Self:
        if self.tools or self.functions:
            raise ValueError("tools are not supported by this server; leave them out")
        return self

    def sampling(self, max_tokens: int) -> Sampling:
        """How the answer is drawn. What the body leaves open is greedy (OpenAI: temperature 1), because answers should repeat.

        Args:
            max_tokens: used where the body sets no limit.
        """
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or max_tokens,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            stop=stop,
            seed=self.seed,
            logprobs=bool(self.logprobs),
            json_schema=self.response_format.to_schema() if self.response_format else None,
        )


def parse_body(data: bytes) -> ChatBody:
    """The body of a chat request.

    Raises:
        ConfigError: not JSON, or a known field has a wrong value; says which.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        where = f" at line {exc.lineno}, column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
        raise ConfigError(f"the body is not JSON{where}; send an object with 'messages'") from exc
    if not isinstance(document, dict):
        raise ConfigError(f"the body is a JSON {type(document).__name__}; send an object with 'messages'")
    return parse(ChatBody, document, "body")


def to_request(body: ChatBody, headers: Mapping[str, str], *, tenant: str, max_tokens: int, request_id: str) -> Request:
    """The Request of a body and its headers; a header wins over `metadata`.

    Args:
        body: the parsed body; `metadata` may hold `task` and `session`.
        headers: `x-workbench-task`, `-session`, `-region`, `-deadline-s`, `-no-cache`.
        tenant: whose request it is.
        max_tokens: limit of the answer where the body sets none.
        request_id: the id under which it is answered.

    Raises:
        ConfigError: a header has a wrong value.
    """
    known = {**(body.metadata or {}), **{k.removeprefix("x-workbench-"): v for k, v in headers.items()}}
    return Request(
        messages=tuple(message.to_message() for message in body.messages),
        sampling=body.sampling(max_tokens),
        task=known.get("task") or None,
        tenant=tenant,
        session=known.get("session") or None,
        region=headers.get("x-workbench-region") or None,
        deadline_s=_seconds(headers.get("x-workbench-deadline-s")),
        use_cache=not is_set(headers.get("x-workbench-no-cache")),
        request_id=request_id,
    )


def check_model(name: str, known: list[str]) -> None:
    """Raise for a model name that this server does not answer to.

    Raises:
        ConfigError: names the nearest. The stack chooses the model, so the name is the stack's own or "auto".
    """
    if name not in known:
        raise ConfigError(
            f"model {name!r} is not served here, the stack chooses the model: {did_you_mean(name, known)}"
        )


def is_set(value: str | None) -> bool:
    """Whether a header says yes."""
    return value is not None and value.strip().lower() in {"1", "true", "yes"}


def _seconds(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ConfigError(f"header x-workbench-deadline-s is {value!r}; give seconds above 0")
    return seconds
