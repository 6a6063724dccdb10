"""Counts of what a stack did, in process; the gateway renders them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound.

    Args:
        bounds: inclusive upper bounds, ascending; one more bucket holds what is above the last.
        counts: observations in each bucket, not cumulative.
        total: sum of all observations.
    """

    bounds: tuple[float, ...] = LATENCY_BOUNDS_S
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def n(self) -> int:
        """How many were observed."""
        return sum(self.counts)


@dataclass(slots=True)
class StackMetrics:
    """Counters since the stack was built. Labels are names of the configuration, never of callers.

    Args:
        requests: (outcome, model) → requests; outcome is answered, blocked, refused, failed or cancelled; model is "" if none.
        tokens: (kind, model) → tokens; kind is prompt, cached or completion.
        cost_usd: model → USD of priced calls.
        unpriced_calls: model → calls whose cost is unknown.
        latency_s: outcome → seconds from arrival to the end.
        ttft_s: seconds from arrival to the first released text, of streams.
        cache: "hit", "joined" or "miss" → look-ups.
        guards: (stage, guard, action or status if not ok) → verdicts.
        fallbacks: (from, to) → times.
        skipped: model → times it was not asked because its circuit was open.
        hedges: (winner, loser, won or lost) → times a second model was asked beside a slow one; won: the second was quicker.
        probes: (model, answered or failed) → calls that tried whether an outage was over.
        wasted_usd: model → USD of calls whose answer nobody used, hedges and probes, at most: a cancelled call counts as its longest
            answer.
        unpriced_waste: model → such calls whose price is unknown.
        degraded: degraded answers.
        audit_failures: records that could not be written.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    cost_usd: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    unpriced_calls: Counter[str] = field(default_factory=Counter)
    latency_s: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    ttft_s: Histogram = field(default_factory=Histogram)
    cache: Counter[str] = field(default_factory=Counter)
    guards: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    fallbacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    hedges: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    probes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wasted_usd: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    unpriced_waste: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    audit_failures: int = 0

    def waste(self, model: str, cost_usd: float | None) -> None:
        """Count a call whose answer nobody used."""
        if cost_usd is None:
            self.unpriced_waste[model] += 1
        else:
            self.wasted_usd[model] += cost_usd
