"""Budget pacing: λ rises when money goes faster than planned and falls when it goes slower.

    plan(t) = budget · t / period          λ(t) = λ₀ · exp((spent(t) − plan(t)) / (budget · slack))

Spending above plan makes every dollar dearer, which lowers spending: the deviation settles where the rate of spending is the
plan's. `slack` is the deviation, as a share of the budget, that multiplies λ by e; a small one follows closely and swings, a large
one is smooth and drifts. A λ₀ that is off by a factor f leaves ln f · slack of the budget unspent, or spends it too early.
λ is a pure function of money and time, so that a replay finds what was live.

Source: the dual variable of a budget as its multiplier: S. Balseiro and Y. Gur, "Learning in Repeated Auctions with Budgets",
Management Science 65 (2019), there with additive steps.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from workbench.core import Clock
from workbench.core.price import Strict

STEEPEST = 30.0
"""Bound of the exponent either way: e³⁰ is beyond any exchange rate, and finite."""


class PacingConfig(Strict):
    """A budget over a period."""

    budget_usd: Annotated[float, Field(gt=0, description="USD that all requests of one period may cost")]
    period_s: Annotated[float, Field(gt=0, description="seconds of the period; a new one begins when it is over")] = (
        86400.0
    )
    slack: Annotated[
        float, Field(gt=0, le=1, description="deviation from plan, as a share of the budget, that multiplies λ by e")
    ] = 0.02


def paced_exchange(exchange: float, spent_usd: float, elapsed_s: float, config: PacingConfig) -> float:
    """λ at this moment; infinite (the cheapest model) once the budget is spent.

    Args:
        exchange: λ₀, above 0.
        spent_usd: in this period.
        elapsed_s: since its beginning.
        config: the budget.

    Example:
        >>> config = PacingConfig(budget_usd=100, period_s=1000, slack=0.1)
        >>> paced_exchange(2.0, 50, 500, config), round(paced_exchange(2.0, 60, 500, config), 3)
        (2.0, 5.437)
    """
    if spent_usd >= config.budget_usd:
        return math.inf
    plan_usd = config.budget_usd * min(1.0, elapsed_s / config.period_s)
    deviation = (spent_usd - plan_usd) / (config.budget_usd * config.slack)
    return exchange * math.exp(max(-STEEPEST, min(STEEPEST, deviation)))


class BudgetPacer:
    """What a stack has spent in the present period, and the λ that follows.

    Args:
        config: the budget.
        exchange: λ₀: where λ begins, best the one that a sweep chose for this spend.
        clock: what tells the time.

    Example:
        >>> from workbench.core import SystemClock
        >>> pacer = BudgetPacer(PacingConfig(budget_usd=1.0), 2.0, SystemClock())
        >>> pacer.spend(1.0)
        >>> pacer.exchange()
        inf
    """

    def __init__(self, config: PacingConfig, exchange: float, clock: Clock) -> None:
        self.config = config
        self.spent_usd = 0.0
        self._exchange = exchange
        self._clock = clock
        self._began_s = clock.monotonic_s()

    def exchange(self) -> float:
        """λ now."""
        return paced_exchange(self._exchange, self.spent_usd, self._elapsed_s(), self.config)

    def left_usd(self) -> float:
        """What is left of the period's budget, not below 0."""
        self._elapsed_s()
        return max(0.0, self.config.budget_usd - self.spent_usd)

    def spend(self, usd: float) -> None:
        """Count money that was spent."""
        self._elapsed_s()
        self.spent_usd += usd

    def _elapsed_s(self) -> float:
        """Seconds since the present period began; begins a new one when it is over."""
        elapsed_s = self._clock.monotonic_s() - self._began_s
        if elapsed_s >= self.config.period_s:
            n_periods = math.floor(elapsed_s / self.config.period_s)
            self._began_s += n_periods * self.config.period_s
            self.spent_usd = 0.0
            elapsed_s -= n_periods * self.config.period_s
        return elapsed_s
