"""The exact part of a space: where one threshold is left, every setting of it is looked at and the best ones are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.routing import Predictions
from workbench.tuning.frontier import Frontier, Switches, capability_switches, cost_aware_switches
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.space.plan import Branch, Configuration, Plan, Value

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
MOST_KEPT = 200
"""Settings of one threshold that go on, evenly spread over cost."""


@dataclass(frozen=True, slots=True)
class SweptPart:
    """What one exact sweep found.

    Args:
        configurations: the settings on the front, thinned.
        n_settings: different settings within the space's range: all were looked at.
    """

    configurations: tuple[Configuration, ...]
    n_settings: int


def swept_part(
    plan: Plan, branch: Branch, point: Mapping[str, Value], predictions: Predictions, matrix: OutcomeMatrix
) -> SweptPart:
    """Every setting of the branch's threshold at one combination of its other parameters.

    Args:
        plan, branch: of the space; the branch is swept.
        point: the other parameters.
        predictions: held-out, for the rows of `matrix`.
        matrix: the tune split.

    Raises:
        ConfigError: seconds are weighed that were not measured.
    """
    assert branch.swept is not None, "only a swept branch has a threshold"
    parameter = next(p for p in branch.free if p.name == branch.swept)
    switches = _switches(branch, float(plan.value_at("per_second", point) or 0.0), predictions)
    frontier = Frontier.of(switches, matrix.score, matrix.cost_usd, matrix.latency_s)
    first, last = frontier.index_at(parameter.low), frontier.index_at(parameter.high)
    entries = np.arange(first, last + 1)
    kept = entries[thinned(_best(frontier, entries, plan.space.goals), frontier.cost_usd[entries], MOST_KEPT)]
    settings = [_middle(frontier, int(entry), parameter.low, parameter.high) for entry in kept]
    found = (plan.configuration(branch.kind, {**point, branch.swept: value}) for value in settings)
    return SweptPart(tuple(found), len(entries))


def _switches(branch: Branch, per_second: float, predictions: Predictions) -> Switches:
    if branch.kind == "capability":
        return capability_switches(predictions.quality, predictions.cost_usd)
    if not per_second:
        return cost_aware_switches(predictions.quality, predictions.cost_usd)
    if np.isnan(predictions.latency_s).any():
        raise ConfigError("per_second (μ) weighs seconds, but no latency was measured for some model")
    return cost_aware_switches(predictions.quality - per_second * predictions.latency_s, predictions.cost_usd)


def _best(frontier: Frontier, entries: IntArray, goals: Sequence[str]) -> IntArray:
    """Positions on the front; all of them where a goal is not on the frontier."""
    if "latency-p95" in goals or ("latency" in goals and frontier.latency_s is None):
        return np.arange(len(entries))
    columns = {"score": -frontier.score, "cost": frontier.cost_usd, "latency": frontier.latency_s}
    values = [column[entries] for goal in goals if (column := columns[goal]) is not None]
    return pareto(np.column_stack(values))


def _middle(frontier: Frontier, entry: int, low: float, high: float) -> float:
    """A threshold inside the range and, as far as that goes, in the middle of the gap in which nothing changes."""
    begin = max(float(frontier.thresholds[entry]), low)
    end = float(frontier.thresholds[entry + 1]) if entry + 1 < len(frontier) else np.inf
    if end > high:
        return high if not np.isfinite(frontier.thresholds[entry]) else begin + (high - begin) / 2
    return begin + (end - begin) / 2


def pareto(values: FloatArray) -> IntArray:
    """Rows that no other row beats: none is at most as large everywhere and smaller somewhere; of equal rows the first.

    Args:
        values: what shall be small, shape (k, goals).

    Returns:
        Row numbers by rising first goal.

    Example:
        >>> pareto(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0], [3.0, 1.0]])).tolist()
        [0, 1, 3]
    """
    order = np.lexsort((np.arange(len(values)), *values.T[::-1]))
    if values.shape[1] == 2:
        seconds = values[order, 1]
        before = np.concatenate([[np.inf], np.minimum.accumulate(seconds)[:-1]])
        return np.asarray(order[seconds < before], np.intp)
    front: list[int] = []
    beside = np.empty((0, values.shape[1]))
    for row in order.tolist():
        if not (beside <= values[row]).all(axis=1).any():
            front.append(row)
            beside = np.concatenate([beside, values[row : row + 1]])
    return np.array(front, np.intp)


def thinned(rows: IntArray, cost: FloatArray, most: int) -> IntArray:
    """At most so many of the rows, evenly spread in the order of cost, both ends kept.

    Example:
        >>> thinned(np.arange(5), np.array([5.0, 4.0, 3.0, 2.0, 1.0]), 3).tolist()
        [4, 2, 0]
    """
    by_cost = rows[np.argsort(cost[rows], kind="stable")]
    places = np.linspace(0, len(by_cost) - 1, min(most, len(by_cost)))
    return np.asarray(by_cost[np.rint(places).astype(np.intp)], np.intp)
