"""Cascade: the cheap model first, a dearer one only when its answer is not accepted.

The same functions decide live and in the offline sweep (`workbench.tuning.cascade`), so that a threshold means the same in both.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workbench.core import Completion, Message, ModelError, Request
from workbench.orchestration.answered import Answered, Ask, summed
from workbench.orchestration.deadline import Deadline, cancelled
from workbench.orchestration.pattern_config import CHOSEN, CascadeConfig, JudgeAcceptConfig, LogprobAcceptConfig

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
MARKS = {"yes": 1.0, "true": 1.0, "correct": 1.0, "no": 0.0, "false": 0.0, "incorrect": 0.0, "wrong": 0.0}


def logprob_per_token(completion: Completion) -> float | None:
    """Mean log-probability of the answer's tokens; None where it is not known."""
    n_tokens = completion.usage.completion_tokens
    return completion.logprob / n_tokens if completion.logprob is not None and n_tokens else None


def is_accepted(confidence: float | None, threshold: float) -> bool:
    """Whether an answer of that confidence is good enough; an unknown confidence never is.

    Example:
        >>> is_accepted(-0.1, -0.1), is_accepted(-0.2, -0.1), is_accepted(None, -9.0)
        (True, False, False)
    """
    return confidence is not None and confidence >= threshold


def normalised_answer(text: str) -> str:
    """How answers are compared: without case, surrounding space and a final full stop.

    Example:
        >>> normalised_answer(" Rome. ")
        'rome'
    """
    return " ".join(text.split()).rstrip(".").casefold()


def agreed(texts: Sequence[str]) -> int | None:
    """Which earlier answer the last one repeats, normalised; None when none.

    Example:
        >>> agreed(["Rome", "Paris"]), agreed(["Rome", "Paris", "rome."])
        (None, 0)
    """
    last = normalised_answer(texts[-1])
    return next((i for i, text in enumerate(texts[:-1]) if normalised_answer(text) == last), None)


def judgement(text: str, scale: float = 1.0) -> float | None:
    """What a judge's reply says: 1 for yes, 0 for no, a number over the scale; None where it says neither.

    Example:
        >>> judgement("Yes."), judgement("No, it is not."), judgement("I give it 7", scale=10), judgement("hm")
        (1.0, 0.0, 0.7, None)
    """
    words = text.split()
    mark = MARKS.get(words[0].strip(".,:;!*\"'").casefold()) if words else None
    number = NUMBER.search(text)
    return mark if mark is not None or number is None else float(number.group()) / scale


@dataclass(slots=True)
class _Climb:
    """A cascade on its way up."""

    config: CascadeConfig
    request: Request
    ask: Ask
    answers: list[Completion] = field(default_factory=list)
    calls: list[Completion] = field(default_factory=list)
    failures: list[ModelError] = field(default_factory=list)
    why: list[str] = field(default_factory=list)

    async def answer(self, name: str, is_final: bool = False) -> Completion | None:
        """A model's answer; None when it failed. Before the last one no fallback stands in: the next of the cascade does."""
        is_sure = self.config.accept.kind == "logprob" and not is_final
        sampling = replace(self.request.sampling, logprobs=True) if is_sure else self.request.sampling
        try:
            completion = await self.ask(name, replace(self.request, sampling=sampling), is_final=is_final)
        except ModelError as exc:
            self.failures.append(exc)
            self.why.append(f"{name} failed")
            return None
        self.answers.append(completion)
        self.calls.append(completion)
        return completion

    async def accepts(self, completion: Completion) -> bool:
        """Whether the answer is good enough, by its log-probability or a judge; the reason goes to `why`."""
        accept = self.config.accept
        if isinstance(accept, JudgeAcceptConfig):
            confidence, what = await self.judged(accept, completion), f"judged by {accept.model}"
        else:
            confidence, what = logprob_per_token(completion), "log-probability a token"
        assert isinstance(accept, JudgeAcceptConfig | LogprobAcceptConfig), "agreement has no threshold"
        is_enough = is_accepted(confidence, accept.threshold)
        shown = (
            "of unknown" if confidence is None else f"{confidence:.3g} {'≥' if is_enough else '<'} {accept.threshold:g}"
        )
        self.why.append(f"{completion.model} {shown} {what}")
        return is_enough

    async def judged(self, accept: JudgeAcceptConfig, completion: Completion) -> float | None:
        """The judge's mark; None when it failed or said nothing to go by."""
        question = judge_request(self.request, accept, completion.text)
        try:
            verdict = await self.ask(accept.model, question, is_step=True, is_final=False)
        except ModelError as exc:
            self.failures.append(exc)
            return None
        self.calls.append(verdict)
        return judgement(verdict.text, accept.scale)


async def answer_until_accepted(
    pattern: CascadeConfig, request: Request, chosen: str, ask: Ask, deadline: Deadline
) -> Answered:
    """Models in order until an answer is accepted. A model that fails is passed over, and if the last one fails the answer before it
    stands, marked as degraded.

    Args:
        pattern: models and how answers are accepted.
        request: the question.
        chosen: the model that the policy chose.
        ask: asks one model; it keeps to the deadline itself.
        deadline: shared by all calls.

    Raises:
        ModelError: not one model answered.
    """
    start_s = deadline.clock.monotonic_s()
    names = _names(pattern, chosen)
    climb = _Climb(pattern, request, ask)
    climbing = _by_agreement if pattern.accept.kind == "agreement" else _one_by_one
    best = await climbing(climb, names)
    if best is None:
        raise climb.failures[-1]
    seconds = deadline.clock.monotonic_s() - start_s
    completion = summed(best, climb.calls, seconds)
    because = f"{best.model} of {' → '.join(names)}: {', '.join(climb.why)}"
    return Answered(completion, tuple(climb.calls), len(climb.failures), bool(climb.failures), because)


def cascade_in_words(pattern: CascadeConfig, chosen: str) -> str:
    """Who is asked in which order, and when an answer stands, in one line.

    Args:
        pattern: models and how answers are accepted.
        chosen: the model that the policy chose.

    Example:
        >>> accept = {"kind": "logprob", "threshold": -0.5}
        >>> pattern = CascadeConfig.model_validate({"kind": "cascade", "models": ["tiny", "chosen"], "accept": accept})
        >>> cascade_in_words(pattern, "base")
        'tiny → base: an answer stands from log-probability -0.5 a token, the last one in any case'
    """
    asked, accept = _names(pattern, chosen), pattern.accept
    if len(asked) == 1:
        return f"{asked[0]}: alone in its cascade"
    names = " → ".join(asked)
    if isinstance(accept, JudgeAcceptConfig):
        return (
            f"{names}: an answer stands where {accept.model} judges it ≥ {accept.threshold:g}, the last one in any case"
        )
    if isinstance(accept, LogprobAcceptConfig):
        return f"{names}: an answer stands from log-probability {accept.threshold:g} a token, the last one in any case"
    return f"{names}: the first two at once, then one by one until two answers agree; without that the last one stands"


def _names(pattern: CascadeConfig, chosen: str) -> list[str]:
    return list(dict.fromkeys(chosen if name == CHOSEN else name for name in pattern.models))


async def _one_by_one(climb: _Climb, names: list[str]) -> Completion | None:
    for name in names[:-1]:
        completion = await climb.answer(name)
        if completion is not None and await climb.accepts(completion):
            return completion
    return await _last(climb, names[-1])


async def _by_agreement(climb: _Climb, names: list[str]) -> Completion | None:
    """The first two at once, then one by one, until an answer comes twice."""
    tasks = [asyncio.ensure_future(climb.answer(name)) for name in names[:2]]
    try:
        pair = await asyncio.gather(*tasks)
    finally:
        await cancelled(*tasks)
    climb.answers = [completion for completion in pair if completion is not None]
    for name in names[2:]:
        if len(climb.answers) > 1 and (earlier := agreed([answer.text for answer in climb.answers])) is not None:
            climb.why.append(f"{climb.answers[earlier].model} and {climb.answers[-1].model} agree")
            return climb.answers[earlier]
        if name != names[-1]:
            await climb.answer(name)
    climb.why.append("no two agree")
    return await _last(climb, names[-1])


async def _last(climb: _Climb, name: str) -> Completion | None:
    """The last model's answer, accepted as it is; where it fails, the one before."""
    completion = await climb.answer(name, is_final=True)
    return completion or (climb.answers[-1] if climb.answers else None)


def judge_request(request: Request, accept: JudgeAcceptConfig, answer: str) -> Request:
    """What the judge is asked: question and answer in the template, without the rest of the conversation."""
    parts = accept.template.split("{prompt}")
    text = request.prompt.join(part.replace("{answer}", answer) for part in parts)
    sampling = replace(request.sampling, max_tokens=accept.max_tokens, json_schema=None, stop=(), temperature=0.0)
    return replace(request, messages=(Message("user", text),), sampling=sampling)
