"""Settle: budget, audit record and metrics; also of requests that failed, were blocked or cancelled."""

from __future__ import annotations

from typing import Any, Literal

from workbench.audit import AuditLog
from workbench.budgets import SessionBudget
from workbench.core import Blocked, BudgetExceeded, Completion, StoreError
from workbench.routing import BudgetPacer
from workbench.routing.stickiness import Sessions
from workbench.stack.journey import Journey
from workbench.stack.metrics import StackMetrics

Outcome = Literal["answered", "blocked", "refused", "failed", "cancelled"]


def outcome_of(error: BaseException | None) -> Outcome:
    """How a request ended."""
    if error is None:
        return "answered"
    if isinstance(error, Blocked):
        return "blocked"
    if isinstance(error, BudgetExceeded):
        return "refused"
    return "failed" if isinstance(error, Exception) else "cancelled"


class Settlement:
    """The last step. Every request passes it once.

    Args:
        budget: session budgets; None without.
        audit: the log; None without.
        config_sha256: stands in every record.
        regions: model → region.
        metrics: what is counted.
        pacer: counts the period's spending; None without.
        sessions: remembers which models know a conversation; None without.
    """

    def __init__(
        self,
        budget: SessionBudget | None,
        audit: AuditLog | None,
        config_sha256: str,
        regions: dict[str, str | None],
        metrics: StackMetrics,
        pacer: BudgetPacer | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self._budget = budget
        self._audit = audit
        self._config_sha256 = config_sha256
        self._regions = regions
        self._metrics = metrics
        self._pacer = pacer
        self._sessions = sessions

    def settle_spending(self, journey: Journey) -> None:
        """Replace the reservation by what was used and count the calls. Calling it again changes nothing."""
        if journey.is_paid:
            return
        journey.is_paid = True
        if self._budget is not None and journey.reservation is not None:
            self._budget.settle(journey.reservation, journey.used_tokens(), journey.used_usd())
        for call in journey.calls:
            self._count_call(call)
        if self._pacer is not None:
            self._pacer.spend(sum(call.cost_usd for call in journey.calls if call.cost_usd is not None))
        if self._sessions is not None:
            for call in journey.calls:
                self._sessions.note(journey.request, call.model, call.usage.prompt_tokens)

    async def run(
        self, journey: Journey, latency_s: float, completion: Completion | None, error: BaseException | None = None
    ) -> str:
        """Settle one request; returns the line for the trace.

        Args:
            journey: where it has come.
            latency_s: seconds since its arrival.
            completion: the answer given; None when there is none.
            error: why there is none.

        Raises:
            StoreError: the audit record could not be written and the configuration says that no answer may leave without.
        """
        if not journey.is_flying:
            self.settle_spending(journey)
        outcome = outcome_of(error)
        self._count(journey, outcome, latency_s)
        because = _sentence(journey, completion)
        if self._audit is None:
            return because
        try:
            await self._audit.append(self._record(journey, outcome, latency_s, completion, error))
        except StoreError as exc:
            self._metrics.audit_failures += 1
            if self._audit.config.on_failure == "block":
                raise
            journey.degraded = True
            return f"{because}, NO audit record ({exc})"
        return f"{because}, audit record written"

    def _record(
        self,
        journey: Journey,
        outcome: Outcome,
        latency_s: float,
        completion: Completion | None,
        error: BaseException | None,
    ) -> dict[str, Any]:
        """Names, counts and hashes; no text of a prompt or an answer."""
        assert self._audit is not None
        request = journey.request
        model = completion.model if completion else journey.model
        calls = journey.calls
        return {
            "event": "request",
            "request_id": request.request_id,
            "outcome": outcome,
            "error": type(error).__name__ if error else None,
            "tenant": self._audit.pseudonym(request.tenant),
            "session": self._audit.pseudonym(request.session) if request.session else None,
            "task": request.task,
            "model": model,
            "region": self._regions.get(model) if model else None,
            "chosen": journey.model,
            "propensity": journey.decision.propensity if journey.decision else None,
            "config_sha256": self._config_sha256,
            "verdicts": [
                {
                    "stage": v.stage,
                    "guard": v.guard,
                    "action": v.action,
                    "status": v.status,
                    "findings": len(v.findings),
                }
                for v in journey.verdicts
            ],
            "calls": [call.model for call in calls],
            "prompt_tokens": _total_tokens([call.usage.prompt_tokens for call in calls], journey.n_unknown),
            "completion_tokens": _total_tokens([call.usage.completion_tokens for call in calls], journey.n_unknown),
            "cost_usd": journey.used_usd(),
            "latency_s": round(latency_s, 6),
            "cached": journey.is_cached,
            "degraded": journey.degraded,
        }

    def _count(self, journey: Journey, outcome: Outcome, latency_s: float) -> None:
        metrics = self._metrics
        metrics.requests[outcome, journey.model or ""] += 1
        metrics.latency_s[outcome].observe(latency_s)
        metrics.degraded += journey.degraded
        if journey.ttft_s is not None:
            metrics.ttft_s.observe(journey.ttft_s)
        for verdict in journey.verdicts:
            said = verdict.action if verdict.status == "ok" else verdict.status
            metrics.guards[verdict.stage, verdict.guard, said] += 1
        for pair in journey.fallbacks:
            metrics.fallbacks[pair] += 1
        metrics.skipped.update(journey.skipped)
        for hedge in journey.hedges:
            metrics.hedges[hedge.winner, hedge.loser, "won" if hedge.is_won else "lost"] += 1
            metrics.waste(hedge.loser, hedge.wasted_usd)

    def _count_call(self, call: Completion) -> None:
        usage = call.usage
        counts = {"prompt": usage.prompt_tokens, "cached": usage.cached_tokens, "completion": usage.completion_tokens}
        for kind, count in counts.items():
            if count is not None:
                self._metrics.tokens[kind, call.model] += count
        if call.cost_usd is None:
            self._metrics.unpriced_calls[call.model] += 1
        else:
            self._metrics.cost_usd[call.model] += call.cost_usd


def _sentence(journey: Journey, completion: Completion | None) -> str:
    if journey.is_cached:
        return "0 USD (cached)"
    if completion is None:
        return f"no answer, {len(journey.calls)} calls"
    usage, cost = completion.usage, completion.cost_usd
    tokens = f"{_shown(usage.prompt_tokens)} + {_shown(usage.completion_tokens)} tokens"
    stored = ", kept in the cache" if journey.is_stored else ""
    return f"{tokens}, {'cost unknown' if cost is None else f'{cost:.3g} USD'}{stored}"


def _shown(count: int | None) -> str:
    return "?" if count is None else str(count)


def _total_tokens(counts: list[int | None], n_unknown: int) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) and not n_unknown else None
