"""Inspect: input guards on every message of the conversation, not only the last."""

from __future__ import annotations

from dataclasses import replace

from workbench.core import Clock
from workbench.guardrails import (
    GuardChain,
    GuardContext,
    NormalForm,
    Verdict,
    View,
    combined,
    make_guards,
    raise_if_blocked,
    rewritten,
)
from workbench.guardrails.json_schema import compiled
from workbench.stack.config import StackConfig
from workbench.stack.journey import Journey


class Inspection:
    """The step before a model sees anything.

    Args:
        config: of the whole stack.
        clock: what tells the time.
    """

    def __init__(self, config: StackConfig, clock: Clock) -> None:
        self._form: NormalForm = config.inspect.normalise
        self._chain = GuardChain(make_guards(config.inspect.guards), clock)
        self._checks_json = any(guard.kind == "json_schema" for guard in config.check.guards)

    async def run(self, journey: Journey) -> str:
        """Judge and, where a guard says so, rewrite the messages; returns the line for the trace.

        Raises:
            Blocked: a guard says no.
            ConfigError: the request's JSON Schema is none.
        """
        request = journey.request
        if self._checks_json and request.sampling.json_schema is not None:
            compiled(request.sampling.json_schema)
        messages = list(request.messages)
        found: list[Verdict] = []
        for turn, message in enumerate(messages):
            verdicts = await self._chain.check(View(message.content, self._form), GuardContext("inspect", turn))
            journey.verdicts += verdicts
            found += [verdict for verdict in verdicts if verdict.action != "allow"]
            raise_if_blocked(verdicts)
            if combined(verdicts) != "allow":
                messages[turn] = replace(message, content=rewritten(message.content, verdicts))
        journey.request = request.with_messages(tuple(messages))
        return summary(len(self._chain.guards), found)


def summary(n_guards: int, found: list[Verdict]) -> str:
    """One line about what guards found."""
    if not n_guards:
        return "no guards"
    return "; ".join(map(str, found)) or f"{n_guards} guard{'s' if n_guards > 1 else ''} found nothing"
