"""Latency-aware choice: the model that will be done soonest, or the cheapest that will be done in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from workbench.core import ConfigError
from workbench.routing.circumstances import Circumstances, draws_of
from workbench.routing.objectives import Row, check_floors, first_best, reaches
from workbench.routing.predictions import Predictions
from workbench.routing.queries import BoolArray, FloatArray, IntArray
from workbench.routing.service_curve import ServiceCurve, expected_s

Measure = Literal["latency", "ttft"]


@dataclass(frozen=True, slots=True)
class LatencyAware:
    """Among models that reach the quality floor: the least expected seconds, or with a target the cheapest within it.

    The expected seconds of model j are its service curve at `calls in flight + 1`. Where none meets the target, the fastest; where
    none reaches the floor, the floor is dropped and the explanation says so.

    Args:
        target_s: seconds that are soon enough; None always wants the fastest.
        floor, floors: least acceptable predicted score, and by task; minus infinity is none.
        curves: one a column, None where not measured (then the recent average, then the prediction); empty is none at all.
        measure: whether curves hold seconds of the whole answer or to the first token.
        percentile: which percentile of the measured seconds the curves hold; None is their mean.
        power_of_two: look at two candidates drawn by lot instead of all. With many clients that each see a part of the load, the
            one best model would be rushed by all at once.

    Source: power of two choices: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12 (2001).
    """

    target_s: float | None = None
    floor: float = -np.inf
    floors: Mapping[str, float] = field(default_factory=dict, hash=False)
    curves: tuple[ServiceCurve | None, ...] = ()
    measure: Measure = "latency"
    percentile: float | None = None
    power_of_two: bool = False
    kind: ClassVar[str] = "latency-aware"

    def __post_init__(self) -> None:
        check_floors(self.floor, self.floors)
        if self.target_s is not None and not self.target_s > 0:
            raise ConfigError(f"the latency target is {self.target_s} s; it must be above 0, or null for the fastest")

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where nothing is eligible."""
        able = eligible & reaches(predictions.quality, self.floor, self.floors, given)
        able = np.where(able.any(axis=1, keepdims=True), able, eligible)
        if self.power_of_two:
            able = two_of(able, _draws(given, len(able)))
        seconds = self.expected_s(predictions, given)
        fastest = first_best(-seconds, predictions.cost_usd, able)
        if self.target_s is None:
            return fastest
        in_time = able & (seconds <= self.target_s)
        cheapest = first_best(-predictions.cost_usd, seconds, in_time)
        return np.where(in_time.any(axis=1), cheapest, fastest)

    def expected_s(self, predictions: Predictions, given: Circumstances | None) -> FloatArray:
        """Seconds that one more request takes at each model, shape (n, m). Predictions know whole answers only."""
        in_flight, recent_s = (None, None) if given is None else (given.in_flight, given.recent_s)
        whole = self.measure == "latency"
        predicted_s = predictions.latency_s if whole else np.full(predictions.latency_s.shape, np.nan)
        return expected_s(self.curves, predicted_s, in_flight, recent_s)

    def because(self, row: Row) -> str:
        """The expected seconds with the calls in flight, beside the target or the next best."""
        seconds = self.expected_s(row.predictions, row.given)[0].tolist()
        what = "to the first token" if self.measure == "ttft" else "expected"
        at = "" if self.percentile is None else f" (p{self.percentile:g})"
        because = f"{_shown(seconds[row.chosen])} {what}{at}{_load(row, row.chosen)}"
        floor = self.floors.get(row.task or "", self.floor)
        if row.quality[row.chosen] < floor:
            because += f", none reaches the floor {floor:g}"
        if self.target_s is not None and seconds[row.chosen] <= self.target_s:
            because += f" ≤ {self.target_s:g} s target"
        elif self.target_s is not None:
            because += f", the fastest; none meets the target of {self.target_s:g} s"
        is_above = row.quality[row.chosen] >= floor  # where nobody is, the floor was dropped and all were looked at
        able = [j for j in row.others if row.quality[j] >= floor or not is_above]
        rival = min(able, key=lambda j: seconds[j], default=None)
        if rival is None:
            return f"{because}, the only model" + (f" above the floor {floor:g}" if row.others else " eligible")
        return f"{because}; {row.models[rival]} {_shown(seconds[rival])}{_load(row, rival)}, {row.at_cost_of(rival)}"

    def to_json(self) -> dict[str, Any]:
        """Target, floors and curves."""
        return {
            "target_s": self.target_s,
            "floor": self.floor if np.isfinite(self.floor) else None,
            "floors": dict(self.floors),
            "curves": [curve.to_json() if curve else None for curve in self.curves],
            "measure": self.measure,
            "percentile": self.percentile,
            "power_of_two": self.power_of_two,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LatencyAware:
        """The objective again."""
        curves = tuple(ServiceCurve.from_json(curve) for curve in value.get("curves", ()))
        floor = value.get("floor")
        return cls(**{**value, "curves": curves, "floor": -np.inf if floor is None else floor})


def two_of(able: BoolArray, draws: FloatArray) -> BoolArray:
    """Two of the true columns of each row, drawn by lot; all of them where there are fewer than three.

    Args:
        able: shape (n, m).
        draws: two numbers in 0..1 a row, shape (n, 2).
    """
    count = able.sum(axis=1)
    first = np.minimum((draws[:, 0] * count).astype(np.intp), np.maximum(count - 1, 0))
    second = np.minimum((draws[:, 1] * (count - 1)).astype(np.intp), np.maximum(count - 2, 0))
    second += second >= first
    place = np.cumsum(able, axis=1) - 1
    drawn: BoolArray = able & ((place == first[:, None]) | (place == second[:, None]))
    return np.where((count < 3)[:, None], able, drawn)


def _draws(given: Circumstances | None, n: int) -> FloatArray:
    if given is not None and given.draws is not None:
        return given.draws
    return draws_of(("",) * n)


def _shown(seconds: float) -> str:
    return "unknown seconds" if np.isinf(seconds) else f"{seconds:.3g} s"


def _load(row: Row, column: int) -> str:
    in_flight = row.batch[1].in_flight
    return "" if in_flight is None else f" with {in_flight[row.index, column]:.0f} in flight"
