"""From a conversation to the messages a model receives: role, examples, wording, and what fits its context window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from workbench.core import ContextOverflow, Message, Request
from workbench.prompts.template import TemplateConfig

TokenCounter = Callable[[Request], int | None]


@dataclass(frozen=True, slots=True)
class Composed:
    """A request as one model receives it.

    Args:
        request: with the composed messages and the answer's limit.
        prompt_tokens: tokens of the composed prompt; None when the model cannot count them.
        n_dropped_turns: oldest turns left out so that the rest fits.
    """

    request: Request
    prompt_tokens: int | None
    n_dropped_turns: int


def compose(request: Request, template: TemplateConfig, max_answer_tokens: int) -> Request:
    """The request with role, examples and wording around its conversation.

    The role and the request's own system messages become one system message at the beginning; the examples follow as turns; the wording
    goes around the last user message. Older turns stay as they were sent.

    Example:
        >>> request = compose(Request.from_prompt("2 + 2?"), TemplateConfig(system="Be short.", template="Q: {prompt}"), 8)
        >>> [(message.role, message.content) for message in request.messages]
        [('system', 'Be short.'), ('user', 'Q: 2 + 2?')]
    """
    system = [text for text in (template.system, *_texts(request, "system")) if text]
    head = [Message("system", "\n\n".join(system))] if system else []
    for example in template.examples:
        head += [Message("user", _worded(template, example.prompt)), Message("assistant", example.answer)]
    turns = [message for message in request.messages if message.role != "system"]
    last = max((index for index, message in enumerate(turns) if message.role == "user"), default=None)
    if last is not None:
        turns[last] = Message("user", _worded(template, turns[last].content))
    sampling = replace(request.sampling, max_tokens=min(request.sampling.max_tokens, max_answer_tokens))
    return replace(request, messages=(*head, *turns), sampling=sampling)


def fit(request: Request, count: TokenCounter, context_window: int | None, model: str, n_examples: int = 0) -> Composed:
    """The request without its oldest turns where prompt and answer do not fit; never without system prompt, examples or last turn.

    Args:
        request: composed.
        count: tokens of a prompt; None when it cannot be known, and then nothing is dropped.
        context_window: tokens, prompt and answer together; None is no known limit.
        model: for the error.
        n_examples: examples at the beginning, which stay.

    Raises:
        ContextOverflow: the last turn alone does not fit.
    """
    prompt_tokens = count(request)
    if prompt_tokens is None or context_window is None:
        return Composed(request, prompt_tokens, 0)
    room = context_window - request.sampling.max_tokens
    if prompt_tokens <= room:
        return Composed(request, prompt_tokens, 0)
    head, turns = _turns(request.messages, n_examples)
    fewest, most = 0, len(turns)  # `fewest` turns dropped is too few; `most` is enough, or there is no answer
    shortest, tokens = request, prompt_tokens
    while most - fewest > 1:
        n_dropped = (fewest + most) // 2
        shorter = request.with_messages(head + sum(turns[n_dropped:], ()))
        counted = count(shorter)
        if counted is not None and counted <= room:
            most, shortest, tokens = n_dropped, shorter, counted
        else:
            fewest = n_dropped
    if tokens > room:
        last = count(request.with_messages(head + turns[-1])) if turns else prompt_tokens
        raise ContextOverflow(
            model=model,
            prompt_tokens=last or prompt_tokens,
            context_window=context_window,
            answer_tokens=request.sampling.max_tokens,
        )
    return Composed(shortest, tokens, most)


def _turns(messages: tuple[Message, ...], n_examples: int) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """What must stay at the beginning, and the turns: each a user message with what follows it."""
    n_system = sum(1 for message in messages if message.role == "system")
    n_head = n_system + 2 * n_examples
    turns: list[tuple[Message, ...]] = []
    for message in messages[n_head:]:
        if message.role == "user" or not turns:
            turns.append((message,))
        else:
            turns[-1] = (*turns[-1], message)
    return messages[:n_head], turns


def _texts(request: Request, role: str) -> list[str]:
    return [message.content for message in request.messages if message.role == role]


def _worded(template: TemplateConfig, prompt: str) -> str:
    """The template with the prompt in its place; other braces are text."""
    return template.template.replace("{prompt}", prompt)
