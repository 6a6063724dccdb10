"""What a pattern gives back: one answer, and every call that was paid for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from workbench.core import Completion, Request, Timing, Usage


class Ask(Protocol):
    """Asks the model of that name; fallbacks, composing and pricing are behind it."""

    async def __call__(self, name: str, request: Request, *, is_step: bool = ..., is_final: bool = ...) -> Completion:
        """Its answer.

        Args:
            name: the model.
            request: what it is asked.
            is_step: whether the request's last message is worded already (a judge's question) and no template goes around it; False.
            is_final: whether nobody else follows where it fails, so that its fallbacks are asked; True.

        Raises:
            ModelError: it, and its fallbacks where they are asked, failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of a pattern.

    Args:
        completion: the answer, with the usage and cost of all calls and the latency of the critical path.
        calls: every completed call, in order of completion.
        n_unfinished: calls that failed or were cancelled, whose usage nobody knows.
        degraded: whether some model that should have taken part did not.
        because: one line for the trace.
    """

    completion: Completion
    calls: tuple[Completion, ...]
    n_unfinished: int = 0
    degraded: bool = False
    because: str = ""


def summed(answer: Completion, calls: Sequence[Completion], latency_s: float, n_unfinished: int = 0) -> Completion:
    """The answer with tokens, cost and operations of all calls; each is unknown where one call's is or a call did not finish."""
    if len(calls) == 1 and not n_unfinished:
        return replace(answer, timing=Timing(latency_s, answer.timing.ttft_s))
    usage = calls[0].usage
    for call in calls[1:]:
        usage = usage + call.usage
    return replace(
        answer,
        usage=Usage() if n_unfinished else usage,
        timing=Timing(latency_s),
        cost_usd=None if n_unfinished else total([call.cost_usd for call in calls]),
        compute_flop=None if n_unfinished else total([call.compute_flop for call in calls]),
    )


def total(amounts: Sequence[float | None]) -> float | None:
    """The sum; None where one is unknown.

    Example:
        >>> total([1.0, 2.0]), total([1.0, None])
        (3.0, None)
    """
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
