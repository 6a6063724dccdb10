"""Hybrid choice: weights for what is nice to have, limits for what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from workbench.core import ConfigError
from workbench.routing.circumstances import Circumstances
from workbench.routing.objectives import Row, check_exchange, check_floors, first_best, reaches
from workbench.routing.predictions import Predictions
from workbench.routing.queries import BoolArray, FloatArray, IntArray
from workbench.routing.service_curve import ServiceCurve, expected_s

LARGEST_EXCHANGE = 1e100
"""Stands in for an infinite λ (a spent budget): beyond any quality, and 0 USD still cost nothing."""


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The largest `quality − exchange · cost_usd − per_second · latency_s` among the models within every limit; none where none is.

    Limits are hard: a request that no model can serve within them is not served by a near miss. Regions, context windows and
    circuits are limits too; they come in as eligibility.

    Args:
        exchange: λ, score that one USD must buy; a λ that comes with the request stands in for it.
        per_second: score that one second is worth.
        floor, floors: least predicted score, and by task; minus infinity is none.
        slo_s: most expected seconds; None is no limit.
        cost_limit_usd: most predicted USD of one answer; None is no limit. What is left of a budget is a limit as well, where it comes
            with the request.
        curves: seconds by load, one a column; see `LatencyAware`.
    """

    exchange: float = 0.0
    per_second: float = 0.0
    floor: float = -np.inf
    floors: Mapping[str, float] = field(default_factory=dict, hash=False)
    slo_s: float | None = None
    cost_limit_usd: float | None = None
    curves: tuple[ServiceCurve | None, ...] = ()
    kind: ClassVar[str] = "hybrid"

    def __post_init__(self) -> None:
        check_exchange(self.exchange)
        check_floors(self.floor, self.floors)
        if not (np.isfinite(self.exchange) and np.isfinite(self.per_second) and self.per_second >= 0):
            raise ConfigError(
                f"the weights are λ={self.exchange} score per USD and {self.per_second} score per second; both must be finite, 0 or more"
            )
        for name, limit in (("slo_s", self.slo_s), ("cost_limit_usd", self.cost_limit_usd)):
            if limit is not None and not limit > 0:
                raise ConfigError(f"{name} is {limit}; a limit must be above 0, or null for none")

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where no eligible one is within every limit."""
        utility, within, _ = self.weighed(predictions, given)
        return first_best(utility, predictions.cost_usd, eligible & within)

    def weighed(
        self, predictions: Predictions, given: Circumstances | None
    ) -> tuple[FloatArray, BoolArray, FloatArray]:
        """What is maximised, where every limit holds, and the expected seconds; each of shape (n, m).

        Seconds that nobody knows are within no limit on them.
        """
        seconds = self.expected_s(predictions, given)
        utility = predictions.quality - self._exchange(given) * predictions.cost_usd
        if self.per_second:
            utility = utility - self.per_second * seconds
        within = reaches(predictions.quality, self.floor, self.floors, given)
        if self.slo_s is not None:
            within = within & (seconds <= self.slo_s)
        if self.cost_limit_usd is not None:
            within = within & (predictions.cost_usd <= self.cost_limit_usd)
        if given is not None and given.left_usd is not None:
            within = within & (predictions.cost_usd <= given.left_usd[:, None])
        return utility, within, seconds

    def _exchange(self, given: Circumstances | None) -> float | FloatArray:
        """λ, one or a row each; finite, so that a model without cost keeps its quality."""
        if given is None or given.exchange is None:
            return self.exchange
        return np.minimum(given.exchange, LARGEST_EXCHANGE)[:, None]

    def expected_s(self, predictions: Predictions, given: Circumstances | None) -> FloatArray:
        """Seconds that one more request takes at each model, shape (n, m)."""
        in_flight, recent_s = (None, None) if given is None else (given.in_flight, given.recent_s)
        return expected_s(self.curves, predictions.latency_s, in_flight, recent_s)

    def because(self, row: Row) -> str:
        """The sum as it was weighed, and the best of the others within the limits."""
        found = self.weighed(row.predictions, row.given)
        utility, within, all_seconds = (values[0].tolist() for values in found)
        others = [j for j in row.others if within[j]]
        n_out = len(row.others) - len(others)
        seconds = all_seconds[row.chosen]
        parts = f"{row.quality[row.chosen]:.2f} predicted, {row.cost_usd[row.chosen]:.3g} USD"
        parts += f", {seconds:.3g} s" if np.isfinite(seconds) else ""
        because = f"{parts}: worth {utility[row.chosen]:.3f}"
        because += f", {n_out} outside the limits" if n_out else ""
        if not others:
            return f"{because}, the only model within the limits"
        rival = max(others, key=lambda j: utility[j])
        return f"{because}; {row.models[rival]} {utility[rival]:.3f}, {row.at_cost_of(rival)}"

    def to_json(self) -> dict[str, Any]:
        """Weights, limits and curves."""
        return {
            "exchange": self.exchange,
            "per_second": self.per_second,
            "floor": self.floor if np.isfinite(self.floor) else None,
            "floors": dict(self.floors),
            "slo_s": self.slo_s,
            "cost_limit_usd": self.cost_limit_usd,
            "curves": [curve.to_json() if curve else None for curve in self.curves],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Hybrid:
        """The objective again."""
        curves = tuple(ServiceCurve.from_json(curve) for curve in value.get("curves", ()))
        floor = value.get("floor")
        return cls(**{**value, "curves": curves, "floor": -np.inf if floor is None else floor})
