"""What is known about one request while it is on its way. Steps read and extend it; nobody else sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.budgets import Reservation
from workbench.core import Completion, Request, Trace
from workbench.guardrails import Verdict
from workbench.orchestration import Deadline, total
from workbench.routing import Decision


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second model asked beside a slow one.

    Args:
        winner: whose answer counts.
        loser: whose call was cancelled.
        is_won: whether the second model was the quicker one.
        wasted_usd: cost of the loser: what it reported, else at most its longest answer; None where no price is known.
    """

    winner: str
    loser: str
    is_won: bool
    wasted_usd: float | None


@dataclass(slots=True)
class Journey:
    """One request on its way.

    Args:
        request: as guards left it; the tenant is the one that admission found.
        arrived_s: monotonic seconds.
        deadline: the request's own.
        trace: its explanation so far.
        permitted: models that may see it (region).
        unaffordable: models that cost more than the request or its session allows.
        reservation: tokens and money set aside; None without a session budget.
        cache_key: None when the answer is not to be cached.
        decision: what the policy said.
        verdicts: of all guards so far.
        calls: completed calls, priced.
        n_unknown: calls begun whose usage nobody knows (cancelled, or not reported).
        failures: model → why it failed, for the trace.
        fallbacks: (from, to) for each time another model stepped in.
        skipped: models that were not asked because their circuit was open.
        hedges: second models asked beside a slow one.
        ttft_s: seconds from arrival to the first released text of a stream.
        is_cached: whether a stored or a joined answer was given.
        is_stored: whether the answer was admitted to the cache.
        is_flying: whether the answer is being made in a task that others may wait for.
        is_paid: whether budget and counters have its calls.
        degraded: whether it was answered in another way than configured.
    """

    request: Request
    arrived_s: float
    deadline: Deadline
    trace: Trace
    permitted: frozenset[str] = frozenset()
    unaffordable: frozenset[str] = frozenset()
    reservation: Reservation | None = None
    cache_key: str | None = None
    decision: Decision | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    calls: list[Completion] = field(default_factory=list)
    n_unknown: int = 0
    failures: list[str] = field(default_factory=list)
    fallbacks: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    hedges: list[Hedge] = field(default_factory=list)
    ttft_s: float | None = None
    is_cached: bool = False
    is_stored: bool = False
    is_flying: bool = False
    is_paid: bool = False
    degraded: bool = False

    @property
    def model(self) -> str | None:
        """The chosen model; None before the choice."""
        return self.decision.model if self.decision else None

    def used_tokens(self) -> int:
        """Tokens to charge: what calls reported; where one is unknown, at least what was reserved."""
        known = sum(call.usage.total_tokens or 0 for call in self.calls)
        reserved = self.reservation.tokens if self.reservation else 0
        return max(known, reserved) if self.n_unknown else known

    def used_usd(self) -> float | None:
        """USD to charge; None where a call's cost is unknown."""
        return None if self.n_unknown else total([call.cost_usd for call in self.calls])
