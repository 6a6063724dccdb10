"""Recall: the answer that was given to exactly this question before, or is being made right now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from workbench.caching import ExactCache, SingleFlight, exact_key
from workbench.core import Clock, Completion, Timing
from workbench.core.hashing import sha256_json
from workbench.guardrails import Verdict, combined
from workbench.routing import Decision
from workbench.stack.config import StackConfig
from workbench.stack.journey import Journey


@dataclass(frozen=True, slots=True)
class Made:
    """An answer with what is said about it again when it is recalled.

    Args:
        completion: checked and priced.
        decision: of its making.
        verdicts: of the output guards.
        degraded: whether it was made in another way than configured.
    """

    completion: Completion
    decision: Decision
    verdicts: tuple[Verdict, ...]
    degraded: bool


class Recall:
    """The exact cache in front of the models.

    Args:
        config: of the whole stack.
        policy_sha256: hash of the policy's files; another policy is another cache.
        clock: what tells the time.
    """

    def __init__(self, config: StackConfig, policy_sha256: str, clock: Clock) -> None:
        exact = config.recall.exact
        self._cache: ExactCache[Made] | None = ExactCache(exact, clock) if exact else None
        self._flights: SingleFlight[Made] = SingleFlight()
        self._scope = answer_scope(config, policy_sha256)

    def run(self, journey: Journey) -> tuple[Made | None, str]:
        """The stored answer, None on a miss, and the line for the trace; notes the key under which the answer may be stored."""
        request = journey.request
        if self._cache is None:
            return None, "no cache"
        if not request.use_cache:
            return None, "a fresh answer is asked for"
        if request.sampling.temperature > 0:
            return None, f"temperature {request.sampling.temperature:g}: answers differ, none is kept"
        journey.cache_key = exact_key(request, self._scope)
        hit = self._cache.get(journey.cache_key)
        if hit is None:
            return None, "not seen before"
        return hit.value, f"given {hit.age_s:.1f} s ago by {hit.value.completion.model}; costs 0"

    async def join(self, journey: Journey, make: Callable[[], Awaitable[Made]]) -> tuple[Made, bool]:
        """The answer of `make`, or of the one that already runs for the same key; and whether it was joined."""
        if journey.cache_key is None:
            return await make(), False
        return await self._flights.run(journey.cache_key, make)

    def admit(self, journey: Journey, made: Made) -> bool:
        """Store a complete, undegraded answer of the policy's own choice that guards let pass; returns whether it was stored."""
        if self._cache is None or journey.cache_key is None or made.degraded:
            return False
        if journey.decision is not None and journey.decision.is_explored:
            return False
        if made.completion.finish_reason != "stop" or combined(made.verdicts) not in ("allow", "rewrite"):
            return False
        self._cache.put(journey.cache_key, made)
        return True


def recalled(made: Made, latency_s: float) -> Completion:
    """The stored answer as this request's: nothing was computed and nothing is owed."""
    known_flop = None if made.completion.compute_flop is None else 0.0
    return replace(made.completion, timing=Timing(latency_s), cost_usd=0.0, compute_flop=known_flop, memory_gib=None)


def answer_scope(config: StackConfig, policy_sha256: str) -> str:
    """Hash of everything in the configuration that may shape an answer, and of the policy."""
    data = config.to_data()
    shaping = {key: data[key] for key in ("models", "inspect", "choose", "compose", "answer", "check")}
    return sha256_json({**shaping, "policy": policy_sha256})
