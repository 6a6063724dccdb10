"""Single, pipeline and fan-out: how one request becomes calls of models, and their answers one answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.core import Completion, Message, ModelError, Request, Unavailable
from workbench.orchestration.answered import Answered, Ask, summed
from workbench.orchestration.cascade import answer_until_accepted, logprob_per_token, normalised_answer
from workbench.orchestration.deadline import Deadline, cancelled
from workbench.orchestration.pattern_config import (
    CHOSEN,
    CascadeConfig,
    FanOutConfig,
    PipelineConfig,
    PipelineStepConfig,
    SingleConfig,
)


async def answer_by(
    pattern: SingleConfig | PipelineConfig | FanOutConfig | CascadeConfig,
    request: Request,
    chosen: str,
    ask: Ask,
    deadline: Deadline,
) -> Answered:
    """The answer of a pattern.

    Args:
        pattern: its configuration.
        request: the question.
        chosen: the model that the policy chose.
        ask: asks one model; it keeps to the deadline itself.
        deadline: shared by all calls.

    Raises:
        ModelError: no usable answer came.
    """
    if isinstance(pattern, PipelineConfig):
        return await answer_in_turn(pattern, request, chosen, ask, deadline)
    if isinstance(pattern, FanOutConfig):
        return await answer_together(pattern, request, chosen, ask, deadline)
    if isinstance(pattern, CascadeConfig):
        return await answer_until_accepted(pattern, request, chosen, ask, deadline)
    completion = await ask(chosen, request)
    return Answered(completion, (completion,), because=completion.model)


async def answer_in_turn(
    pattern: PipelineConfig, request: Request, chosen: str, ask: Ask, deadline: Deadline
) -> Answered:
    """Pipeline: each step sees the user's text and the answer before; the last answer counts.

    Raises:
        ModelError: a step failed, its fallbacks included.
    """
    start_s = deadline.clock.monotonic_s()
    calls: list[Completion] = []
    for step in pattern.steps:
        name = chosen if step.model == CHOSEN else step.model
        calls.append(await ask(name, step_request(request, step, calls[-1].text if calls else "")))
    completion = summed(calls[-1], calls, deadline.clock.monotonic_s() - start_s)
    return Answered(completion, tuple(calls), because=" → ".join(call.model for call in calls))


def step_request(request: Request, step: PipelineStepConfig, previous: str) -> Request:
    """The request with the step's wording in place of the last user message."""
    parts = step.template.split("{prompt}")
    text = request.prompt.join(part.replace("{previous}", previous) for part in parts)
    index = max((i for i, message in enumerate(request.messages) if message.role == "user"), default=-1)
    messages = (*request.messages[: max(index, 0)], Message("user", text))
    sampling = request.sampling if step.max_tokens is None else replace(request.sampling, max_tokens=step.max_tokens)
    return replace(request, messages=messages, sampling=sampling)


async def answer_together(
    pattern: FanOutConfig, request: Request, chosen: str, ask: Ask, deadline: Deadline
) -> Answered:
    """Fan-out: all models at once, joined when enough have answered; late and failed ones are left out and cancelled.

    Raises:
        ModelError: fewer answers than the quorum.
    """
    start_s = deadline.clock.monotonic_s()
    names = list(dict.fromkeys(chosen if name == CHOSEN else name for name in pattern.models))
    tasks = {asyncio.ensure_future(ask(name, request)): name for name in names}
    alarm = asyncio.ensure_future(_sleep_until(deadline.sooner(pattern.deadline_s)))
    try:
        answers, failures = await _gather(tasks, alarm, _enough(pattern, len(names)))
    finally:
        await cancelled(*tasks, alarm)
    quorum = min(pattern.quorum, len(names))
    if len(answers) < quorum:
        raise _too_few(answers, failures, names, quorum)
    best = join_answers(pattern.join, answers, names, chosen)
    n_unfinished = len(names) - len(answers)
    calls = list(answers.values())
    completion = summed(best, calls, deadline.clock.monotonic_s() - start_s, n_unfinished)
    degraded = pattern.join != "first_valid" and n_unfinished > 0
    because = f"{pattern.join} of {len(answers)} of {len(names)} models: {best.model}"
    return Answered(completion, tuple(calls), n_unfinished, degraded, because)


def join_answers(join: str, answers: dict[str, Completion], names: Sequence[str], chosen: str) -> Completion:
    """The one answer.

    Args:
        join: first_valid, majority or best_logprob.
        answers: by model, in the order of arrival.
        names: the models in the order of the configuration.
        chosen: wins ties; then the order of the configuration.
    """
    if join == "first_valid":
        return next(iter(answers.values()))
    order = sorted(answers, key=lambda name: (name != chosen, names.index(name)))
    if join == "best_logprob":
        return answers[max(order, key=lambda name: _logprob_per_token(answers[name]))]
    votes = Counter(normalised_answer(answers[name].text) for name in order)
    return answers[max(order, key=lambda name: votes[normalised_answer(answers[name].text)])]


def _logprob_per_token(completion: Completion) -> float:
    """The lowest value where it is not known, so that a known one wins."""
    found = logprob_per_token(completion)
    return float("-inf") if found is None else found


def _enough(pattern: FanOutConfig, n_models: int) -> int:
    return min(pattern.quorum, n_models) if pattern.join == "first_valid" else n_models


async def _sleep_until(deadline: Deadline) -> None:
    left_s = deadline.left_s
    if left_s is None:
        await asyncio.Event().wait()
    else:
        await deadline.clock.sleep(left_s)


async def _gather(
    tasks: dict[asyncio.Task[Completion], str], alarm: asyncio.Task[Any], n_enough: int
) -> tuple[dict[str, Completion], dict[str, ModelError]]:
    """Answers and failures as they arrive, until there are enough or the alarm goes off."""
    answers: dict[str, Completion] = {}
    failures: dict[str, ModelError] = {}
    waiting: set[asyncio.Task[Any]] = {*tasks, alarm}
    while len(answers) < n_enough and len(waiting) > 1 and not alarm.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done & tasks.keys(), key=lambda task: list(tasks).index(task)):
            error = task.exception()
            if error is None:
                answers[tasks[task]] = task.result()
            elif isinstance(error, ModelError):
                failures[tasks[task]] = error
            else:
                raise error
    return answers, failures


def _too_few(
    answers: dict[str, Completion], failures: dict[str, ModelError], names: Sequence[str], quorum: int
) -> ModelError:
    late = [name for name in names if name not in answers and name not in failures]
    parts = [str(error) for error in failures.values()] + [f"model {name!r}: no answer in time" for name in late]
    message = f"{len(answers)} of {len(names)} models answered, the quorum is {quorum}: {'; '.join(parts)}"
    return Unavailable(message, model=", ".join(names))
