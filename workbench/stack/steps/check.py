"""Check: output guards on the answer, whole or while it streams."""

from __future__ import annotations

from dataclasses import replace

from workbench.core import Clock, Completion, Request
from workbench.guardrails import (
    GuardChain,
    GuardContext,
    NormalForm,
    StreamRelease,
    View,
    make_guards,
    raise_if_blocked,
    rewritten,
)
from workbench.stack.config import StackConfig
from workbench.stack.journey import Journey
from workbench.stack.steps.inspect import summary


class Checking:
    """The step between the models and the caller.

    Args:
        config: of the whole stack.
        clock: what tells the time.

    Raises:
        ConfigError: a guard cannot work as configured.
    """

    def __init__(self, config: StackConfig, clock: Clock) -> None:
        self._form: NormalForm = config.inspect.normalise
        self.chain = GuardChain(make_guards(config.check.guards), clock)

    async def run(self, journey: Journey, completion: Completion) -> tuple[Completion, str]:
        """The answer as guards let it pass, and the line for the trace.

        Raises:
            Blocked: a guard says no.
        """
        verdicts = await self.chain.check(View(completion.text, self._form), context_of(journey.request))
        journey.verdicts += verdicts
        raise_if_blocked(verdicts)
        found = [verdict for verdict in verdicts if verdict.action != "allow"]
        return replace(completion, text=rewritten(completion.text, verdicts)), summary(len(self.chain.guards), found)

    def release(self, request: Request) -> StreamRelease:
        """What holds back one stream's text."""
        return StreamRelease(self.chain, context_of(request), self._form)


def context_of(request: Request) -> GuardContext:
    """What output guards may know."""
    return GuardContext("check", json_schema=request.sampling.json_schema)
