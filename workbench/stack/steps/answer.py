"""Answer: the pattern over models, each call with its fallback chain, the shared deadline and its price."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from workbench.core import Completion, Delta, ModelError, Request, Unavailable
from workbench.economics import HardwareProfile, priced
from workbench.models import Model
from workbench.orchestration import Answered, Deadline, DeadlinePassed, answer_by, each_in_time
from workbench.routing import FallbackChain
from workbench.stack.config import StackConfig
from workbench.stack.journey import Journey
from workbench.stack.steps.compose import Composer


class Answering:
    """The step that asks models.

    Args:
        config: of the whole stack.
        models: by name.
        composer: words the prompt for each model.
        profiles: hardware by name, for costs.
    """

    def __init__(
        self,
        config: StackConfig,
        models: Mapping[str, Model],
        composer: Composer,
        profiles: Mapping[str, HardwareProfile],
    ) -> None:
        self.pattern = config.answer.pattern
        self._deadline_s = config.answer.deadline_s
        self._fallbacks = FallbackChain(tuple(dict.fromkeys(config.choose.fallbacks)))
        self._cards = config.models
        self._models = models
        self._composer = composer
        self._profiles = profiles

    async def run(self, journey: Journey) -> Answered:
        """The pattern's answer.

        Raises:
            ModelError: the chosen model and all fallbacks failed, or the deadline passed.
        """
        deadline = journey.deadline.sooner(self._deadline_s)

        async def ask(name: str, request: Request) -> Completion:
            return await self._ask(journey, deadline, name, request)

        answered = await answer_by(self.pattern, journey.request, _chosen(journey), ask, deadline)
        journey.degraded |= answered.degraded
        return answered

    async def stream(self, journey: Journey) -> AsyncGenerator[Delta, None]:
        """The chosen model's answer in pieces; a fallback steps in as long as no text has come.

        Raises:
            ModelError: all failed before the first text, or one failed after it.
        """
        deadline = journey.deadline.sooner(self._deadline_s)
        errors: list[ModelError] = []
        for name in self._attempts(_chosen(journey), journey):
            _note_fallback(journey, errors, name)
            has_text = False
            try:
                async with aclosing(self._stream_one(journey, deadline, name)) as deltas:
                    async for delta in deltas:
                        has_text |= bool(delta.text)
                        yield delta
            except ModelError as exc:
                errors.append(exc)
                journey.failures.append(str(exc))
                if has_text or deadline.left_s == 0:
                    raise
            else:
                return
        raise exhausted(errors, _chosen(journey))

    async def _ask(self, journey: Journey, deadline: Deadline, name: str, request: Request) -> Completion:
        """One call with its fallback chain."""
        errors: list[ModelError] = []
        for attempt in self._attempts(name, journey):
            _note_fallback(journey, errors, attempt)
            try:
                return await self._call(journey, deadline, attempt, request)
            except ModelError as exc:
                errors.append(exc)
                journey.failures.append(str(exc))
                if deadline.left_s == 0:
                    break
        raise exhausted(errors, name)

    async def _call(self, journey: Journey, deadline: Deadline, name: str, request: Request) -> Completion:
        is_step = self.pattern.kind == "pipeline"
        composed = self._composer.for_model(request, name, is_step)
        try:
            completion = await deadline.wait(self._models[name].complete(composed.request))
        except DeadlinePassed as exc:
            journey.n_unknown += 1
            raise self._late(name) from exc
        except asyncio.CancelledError:
            journey.n_unknown += 1
            raise
        return self._paid(journey, completion)

    async def _stream_one(self, journey: Journey, deadline: Deadline, name: str) -> AsyncGenerator[Delta, None]:
        composed = self._composer.for_model(journey.request, name)
        is_complete = False
        try:
            async with aclosing(each_in_time(self._models[name].stream(composed.request), deadline)) as pieces:
                async for delta in pieces:
                    if delta.completion is None:
                        yield delta
                    else:
                        is_complete = True
                        yield Delta(delta.text, self._paid(journey, delta.completion))
        except DeadlinePassed as exc:
            raise self._late(name) from exc
        except ModelError:
            is_complete = True  # it failed; nothing is owed for what never came
            raise
        finally:
            if not is_complete:
                journey.n_unknown += 1

    def _paid(self, journey: Journey, completion: Completion) -> Completion:
        """The completion with its cost, entered in the journey."""
        completion = priced(completion, self._cards[completion.model].price, self._profiles)
        journey.calls.append(completion)
        journey.n_unknown += completion.usage.total_tokens is None
        return completion

    def _attempts(self, name: str, journey: Journey) -> tuple[str, ...]:
        return self._fallbacks.attempts(name, journey.permitted)

    def _late(self, name: str) -> Unavailable:
        limit = (
            "the request's deadline"
            if self._deadline_s is None
            else f"{self._deadline_s:g} s or the request's deadline"
        )
        because = f"no answer within {limit}; ask for a shorter answer or allow more time"
        return Unavailable(because, model=name, status=504)


def exhausted(errors: list[ModelError], name: str) -> ModelError:
    """The error after the last attempt: the only one as it is, several in one sentence."""
    if len(errors) == 1:
        return errors[0]
    if not errors:
        return Unavailable("it may not process this request and no fallback may", model=name)
    every = "; ".join(str(error) for error in errors)
    return Unavailable(f"it and {len(errors) - 1} fallbacks failed: {every}", model=name, status=errors[-1].status)


def _note_fallback(journey: Journey, errors: list[ModelError], attempt: str) -> None:
    if errors:
        journey.fallbacks.append((errors[-1].model, attempt))
        journey.degraded = True


def _chosen(journey: Journey) -> str:
    assert journey.model is not None, "the choice comes before the answer"
    return journey.model
