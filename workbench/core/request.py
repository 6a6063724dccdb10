"""What is asked: chat messages, sampling parameters and what routing may know."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. The defaults are greedy, because measured answers should repeat.

    Args:
        max_tokens: most tokens in the answer.
        temperature: 0 is greedy.
        top_p: nucleus mass in 0..1.
        stop: texts that end the answer and are not part of it.
        seed: seed of the draw; None leaves it to the backend.
        logprobs: whether the answer's log-probability is wanted (cascades use it).
        json_schema: JSON Schema that the answer must satisfy; None when free.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: bool = False
    json_schema: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One question on its way to an answer.

    Args:
        messages: the conversation, oldest first; the last one is answered.
        sampling: how the answer is drawn.
        task: kind of task when the caller knows it; None when not.
        tenant: whose request it is; caches and budgets never cross it.
        session: conversation id for budgets and stickiness; None when there is none.
        region: where the request may be processed; None means anywhere the config allows.
        deadline_s: seconds from arrival after which no answer is wanted; None is no limit.
        cost_limit_usd: most this one answer may cost; None is no limit.
        use_cache: whether a stored answer will do; False always asks a model (what `verify` sends).
        request_id: unique id, made when not given.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    task: str | None = None
    tenant: str = "public"
    session: str | None = None
    region: str | None = None
    deadline_s: float | None = None
    cost_limit_usd: float | None = None
    use_cache: bool = True
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_prompt(cls, prompt: str, **known: Any) -> Request:
        """A request of one user message.

        Example:
            >>> Request.from_prompt("What is 2 + 2?", task="add").messages[0].role
            'user'
        """
        return cls(messages=(Message("user", prompt),), **known)

    @property
    def prompt(self) -> str:
        """The text of the last user message, which is what predictors look at; empty when there is none."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    def with_messages(self, messages: tuple[Message, ...]) -> Request:
        """The same request with other messages."""
        return replace(self, messages=messages)
