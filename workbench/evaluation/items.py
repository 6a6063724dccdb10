"""One question of a suite, made from a loose row: ids from content, answers as text, every complaint with its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.core import ConfigError, Message, Request, Sampling
from workbench.core.hashing import canonical_json, sha256_json
from workbench.core.naming import did_you_mean
from workbench.evaluation.graders.registry import GraderSpec

MAX_PROMPT_CHARS = 2_000_000
ROLES = ("system", "user", "assistant", "tool")
FIELDS = (
    "prompt_id",
    "id",
    "prompt",
    "messages",
    "system",
    "task",
    "group",
    "difficulty",
    "answer",
    "grader",
    "schema",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One question with what is known about it.

    Args:
        prompt_id: unique in its suite; derived from the content when the file gives none.
        messages: the conversation to answer; ends with a user message unless the file says otherwise.
        answer: reference answer as text; None when the grader needs none.
        task: kind of task, None when unknown.
        group: paraphrases and siblings share it; intervals resample whole groups.
        difficulty: a label, None when unknown.
        grader: how the answer is graded; None leaves it to the suite's default.
        extra: further columns of the file, as they were.
    """

    prompt_id: str
    messages: tuple[Message, ...]
    answer: str | None = None
    task: str | None = None
    group: str = ""
    difficulty: str | None = None
    grader: GraderSpec | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    def request(self, sampling: Sampling | None = None, sample: int = 0) -> Request:
        """The request that asks this question; its id names the cell."""
        return Request(self.messages, sampling or Sampling(), task=self.task, request_id=f"{self.prompt_id}#{sample}")

    def content(self) -> dict[str, Any]:
        """Everything that decides what is asked and how it is graded, JSON-ready; the suite's hash is made of it."""
        return {
            "prompt_id": self.prompt_id,
            "messages": [[m.role, m.content] for m in self.messages],
            "answer": self.answer,
            "task": self.task,
            "group": self.group,
            "difficulty": self.difficulty,
            "grader": None if self.grader is None else self.grader.to_text(),
        }

    def to_record(self) -> dict[str, Any]:
        """A flat row as a file holds it; `messages` only where there is more than one user message."""
        is_plain = len(self.messages) == 1 and self.messages[0].role == "user"
        chat = None if is_plain else json.dumps([{"role": m.role, "content": m.content} for m in self.messages])
        grader = None if self.grader is None else self.grader.to_text()
        own = {
            "prompt_id": self.prompt_id,
            "prompt": self.prompt,
            "messages": chat,
            "answer": self.answer,
            "task": self.task,
            "group": self.group,
            "difficulty": self.difficulty,
            "grader": grader,
        }
        return {**own, **self.extra}


def item_from_row(row: Mapping[str, Any], where: str, max_prompt_chars: int = MAX_PROMPT_CHARS) -> Item:
    """The item of one row.

    Args:
        row: `prompt` or `messages`, and any of `id`/`prompt_id, system, answer, task, group, difficulty, grader, schema`.
        where: names the row in messages ("suite.jsonl, line 3").
        max_prompt_chars: longest conversation accepted, in characters.

    Raises:
        ConfigError: no prompt, a prompt that is too long, a malformed conversation, an unknown grader.
    """
    messages = _messages(row, where)
    _refuse_broken_text([message.content for message in messages], where)
    n_chars = sum(len(message.content) for message in messages)
    if n_chars > max_prompt_chars:
        raise ConfigError(
            f"{where}: the prompt has {n_chars:,} characters, at most {max_prompt_chars:,} are allowed; shorten or remove it"
        )
    answer, task, difficulty = (_text(row.get(name)) for name in ("answer", "task", "difficulty"))
    identity = _text(row.get("prompt_id")) or _text(row.get("id"))
    content = [[[m.role, m.content] for m in messages], answer, task]
    prompt_id = identity or sha256_json(content)[:16]
    grader = _grader(row, where)
    return Item(
        prompt_id=prompt_id,
        messages=messages,
        answer=answer,
        task=task or None,
        group=_text(row.get("group")) or prompt_id,
        difficulty=difficulty,
        grader=grader,
        extra={name: value for name, value in row.items() if name not in FIELDS},
    )


def _refuse_broken_text(texts: list[str], where: str) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise ConfigError(
                f"{where}: character {exc.start} of the prompt is half of a surrogate pair ({text[exc.start]!r}), which is no "
                "text; export the file again as UTF-8"
            ) from exc


def _messages(row: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    chat = row.get("messages")
    if isinstance(chat, str) and chat.strip():
        try:
            chat = json.loads(chat)
        except json.JSONDecodeError as exc:
            raise ConfigError(f"{where}: messages is not JSON ({exc.msg})") from exc
    if chat:
        return _checked_chat(chat, where)
    prompt = _text(row.get("prompt"))
    if prompt is None or not prompt.strip():
        hint = "the column is empty" if "prompt" in row else did_you_mean("prompt", [str(name) for name in row])
        raise ConfigError(f"{where}: there is no prompt; {hint}")
    system = _text(row.get("system"))
    user = Message("user", prompt)
    return (Message("system", system), user) if system else (user,)


def _checked_chat(chat: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(chat, list):
        raise ConfigError(f"{where}: messages must be a list of {{role, content}}, found {type(chat).__name__}")
    for message in chat:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ConfigError(
                f"{where}: a message must be an object with role and a text content, found {message!r:.80}"
            )
        if message.get("role") not in ROLES:
            raise ConfigError(
                f"{where}: unknown role {message.get('role')!r}: {did_you_mean(str(message.get('role')), ROLES)}"
            )
    if not any(message["role"] == "user" for message in chat):
        raise ConfigError(f"{where}: messages holds no user message, so there is nothing to answer")
    return tuple(Message(message["role"], message["content"]) for message in chat)


def _grader(row: Mapping[str, Any], where: str) -> GraderSpec | None:
    written, schema = row.get("grader"), row.get("schema")
    try:
        if not written:
            return GraderSpec("json", {"schema": schema}) if schema else None
        spec = GraderSpec.parse(written)
        return GraderSpec(spec.name, {**spec.options, "schema": schema}) if schema else spec
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _text(value: Any) -> str | None:
    """Text as it is; numbers, booleans, lists and objects as JSON; missing as None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:  # NaN: how tables write a missing value
        return None
    try:
        return canonical_json(value)
    except (TypeError, ValueError):
        return str(value)
