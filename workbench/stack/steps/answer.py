"""Answer: the pattern over models, each call through its fallback chain, with the shared deadline and its price."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from workbench.core import Completion, Delta, Request
from workbench.orchestration import Answered, answer_by
from workbench.stack.config import AnswerConfig
from workbench.stack.journey import Journey
from workbench.stack.steps.attempts import Attempts, Wording


class Answering:
    """The step that asks models.

    Args:
        config: pattern and deadline.
        attempts: asks one model, its fallbacks included.
    """

    def __init__(self, config: AnswerConfig, attempts: Attempts) -> None:
        self.pattern = config.pattern
        self._deadline_s = config.deadline_s
        self._has_steps = config.pattern.kind == "pipeline"
        self._attempts = attempts

    async def run(self, journey: Journey) -> Answered:
        """The pattern's answer.

        Raises:
            ModelError: the chosen model and all fallbacks failed, or the deadline passed.
        """
        deadline = journey.deadline.sooner(self._deadline_s)

        async def ask(name: str, request: Request, *, is_step: bool = False, is_final: bool = True) -> Completion:
            wording = Wording(request, is_step or self._has_steps)
            return await self._attempts.ask(journey, deadline, name, wording, is_final)

        answered = await answer_by(self.pattern, journey.request, _chosen(journey), ask, deadline)
        journey.degraded |= answered.degraded
        return answered

    async def stream(self, journey: Journey) -> AsyncGenerator[Delta, None]:
        """The chosen model's answer in pieces; a fallback steps in as long as no text has come.

        Raises:
            ModelError: all failed before the first text, or one failed after it.
        """
        deadline = journey.deadline.sooner(self._deadline_s)
        async with aclosing(self._attempts.stream(journey, deadline, _chosen(journey))) as deltas:
            async for delta in deltas:
                yield delta


def _chosen(journey: Journey) -> str:
    assert journey.model is not None, "the choice comes before the answer"
    return journey.model
