"""The settings of each strategy that are worth trying, taken from the exact switches on the choose split and never from a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.core import ConfigError
from workbench.evaluation import Outcomes
from workbench.routing import Capability, CostAware, Hybrid, LatencyAware, Objective, Predictions, ServiceCurve
from workbench.routing.service_curve import expected_s
from workbench.tuning.frontier import Frontier, Switches, capability_switches, cost_aware_switches
from workbench.tuning.service_curves import curves_of_outcomes
from workbench.tuning.strategy_trials import middle_thresholds
from workbench.tuning.sweeps import SweepState

FloatArray = npt.NDArray[np.float64]
Curves = Sequence[ServiceCurve | None]
SwitchesOf = Callable[[FloatArray, FloatArray], Switches]


def recorded_curves(
    recordings: Sequence[Outcomes], models: Sequence[str], percentile: float | None = None
) -> tuple[ServiceCurve, ...]:
    """One service curve a model from recordings at several concurrencies, in the order of `models`.

    Args:
        recordings: of the same models, each at a load of its own.
        models: names of the columns.
        percentile: of the seconds of whole answers; None is their mean.

    Raises:
        ConfigError: a model was recorded in none of them.
    """
    frames = [part.frame.with_columns(pl.col("sample") + 1_000_000 * i) for i, part in enumerate(recordings)]
    prompts = pl.concat([part.prompts for part in recordings]).unique("prompt_id")
    together = Outcomes.from_frames(pl.concat(frames), prompts, recordings[0].manifest)
    curves = curves_of_outcomes(together, percentile=percentile)
    missing = [name for name in models if name not in curves]
    if missing:
        raise ConfigError(f"no seconds were recorded for {', '.join(missing)}; record each model at every load")
    return tuple(curves[name] for name in models)


def cost_aware_settings(state: SweepState) -> list[Objective]:
    """λ in the middle of every gap of the exact frontier on the choose split."""
    return [CostAware(exchange) for exchange in middle_thresholds(_frontier(state, cost_aware_switches))]


def capability_settings(state: SweepState, floors: Mapping[str, float] | None = None) -> list[Objective]:
    """Floors in the middle of every gap of the exact frontier on the choose split.

    Args:
        state: of a sweep, best of one with objective "capability", whose predictions are calibrated.
        floors: task → a floor of its own, the same in every setting.
    """
    found = middle_thresholds(_frontier(state, capability_switches))
    return [Capability(floor, floors or {}) for floor in found]


def latency_aware_settings(state: SweepState, curves: Curves, target_s: float | None = None) -> list[Objective]:
    """Floors in the middle of every gap of "the soonest answer above the floor", an exact frontier with seconds for money."""
    seconds = _quiet_seconds(state, curves)
    frontier = _frontier(state, capability_switches, seconds)
    return [LatencyAware(target_s, floor, curves=tuple(curves)) for floor in middle_thresholds(frontier)]


def hybrid_settings(
    state: SweepState,
    curves: Curves,
    *,
    per_second: float = 0.0,
    floor: float = -np.inf,
    slo_s: float | None = None,
) -> list[Objective]:
    """λ in the middle of every gap of "quality less what its seconds are worth", under the same limits in every setting.

    Args:
        state: of a sweep.
        curves: seconds by load, one a column.
        per_second: score that one second is worth.
        floor: least predicted score.
        slo_s: most expected seconds.
    """
    replay = state.choose[state.chosen.name]
    worth = replay.predictions.quality - per_second * _quiet_seconds(state, curves)
    switches = cost_aware_switches(worth, replay.predictions.cost_usd)
    frontier = Frontier.of(switches, replay.matrix.score, replay.matrix.cost_usd)
    return [
        Hybrid(exchange, per_second, floor, slo_s=slo_s, curves=tuple(curves))
        for exchange in middle_thresholds(frontier)
    ]


def _quiet_seconds(state: SweepState, curves: Curves) -> FloatArray:
    """Expected seconds on the choose split while nothing is in flight."""
    predictions: Predictions = state.choose[state.chosen.name].predictions
    return expected_s(tuple(curves), predictions.latency_s, None, None)


def _frontier(state: SweepState, switches_of: SwitchesOf, spent: FloatArray | None = None) -> Frontier:
    replay = state.choose[state.chosen.name]
    cost = replay.predictions.cost_usd if spent is None else spent
    switches = switches_of(replay.predictions.quality, cost)
    return Frontier.of(switches, replay.matrix.score, replay.matrix.cost_usd)
