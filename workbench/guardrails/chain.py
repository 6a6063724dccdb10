"""Guards in order: each with its deadline, and what their failure leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.core import Blocked, Clock
from workbench.core.registry import Registry
from workbench.guardrails.config import GuardConfig
from workbench.guardrails.guard import Guard, GuardContext, failed
from workbench.guardrails.verdict import Verdict
from workbench.guardrails.view import View

# A guard is a class `(config, name)`.
GUARD_KINDS = Registry(
    "guard kind",
    {
        "length": "workbench.guardrails.length:LengthGuard",
        "phrases": "workbench.guardrails.phrases:PhrasesGuard",
        "json_schema": "workbench.guardrails.json_schema:JsonSchemaGuard",
    },
)


def make_guards(configs: Sequence[Any]) -> list[Guard]:
    """Guards with names that tell them apart: the configured one, else the kind, numbered from the second on.

    Raises:
        ConfigError: a guard's configuration cannot work, e.g. a JSON Schema that is none.
        MissingExtra: a guard's library is not installed.
    """
    taken = {config.name for config in configs if config.name}
    guards: list[Guard] = []
    for config in configs:
        name = config.name or _free_name(config.kind, taken)
        taken.add(name)
        guards.append(GUARD_KINDS.load(config.kind)(config, name))
    return guards


def _free_name(kind: str, taken: set[str]) -> str:
    numbered = (f"{kind}-{number}" for number in range(2, len(taken) + 3))
    return kind if kind not in taken else next(name for name in numbered if name not in taken)


class GuardChain:
    """Judges texts by all guards, the first enforced block ends it.

    Args:
        guards: in order.
        clock: what tells the time.
    """

    def __init__(self, guards: Sequence[Guard], clock: Clock) -> None:
        self.guards = tuple(guards)
        self._clock = clock

    async def check(self, text: View, context: GuardContext) -> list[Verdict]:
        """The verdicts of the guards that were asked, in order."""
        verdicts: list[Verdict] = []
        for guard in self.guards:
            verdict = await self._judge(guard, text, context)
            verdicts.append(verdict)
            if verdict.action == "block" and not verdict.is_shadow:
                break
        return verdicts

    async def _judge(self, guard: Guard, text: View, context: GuardContext) -> Verdict:
        start_s = self._clock.monotonic_s()
        deadline_s = guard.config.deadline_s
        try:
            if deadline_s is None:
                verdict = guard.check(text, context)
            else:
                verdict = await asyncio.wait_for(asyncio.to_thread(guard.check, text, context), deadline_s)
        except TimeoutError:
            verdict = failed(guard, context, "timeout", f"no judgement within {deadline_s:g} s")
        except Exception as exc:  # a guard that breaks must not decide by accident: `on_failure` does
            verdict = failed(guard, context, "error", f"the guard failed with {type(exc).__name__}")
        return replace(verdict, latency_s=self._clock.monotonic_s() - start_s)


def blocking(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The first verdict that blocks, shadows aside."""
    return next((v for v in verdicts if v.action == "block" and not v.is_shadow), None)


def raise_if_blocked(verdicts: Sequence[Verdict]) -> None:
    """Stop a request that a guard blocks.

    Raises:
        Blocked: with the verdict, which holds no text.
    """
    verdict = blocking(verdicts)
    if verdict is not None:
        what = "prompt" if verdict.stage == "inspect" else "answer"
        raise Blocked(f"the {what} was blocked: {verdict}", guard=verdict.guard, verdict=verdict)


def enforced(guard: Guard) -> bool:
    """Whether the guard's verdicts are acted upon."""
    return guard.config.mode == "enforce"


__all__ = [
    "GUARD_KINDS",
    "GuardChain",
    "GuardConfig",
    "blocking",
    "enforced",
    "make_guards",
    "raise_if_blocked",
]
