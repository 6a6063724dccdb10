"""Areas and crossing points of exact curves. Every formula is printed with the number it gives (`FORMULAS`).

Known traps these avoid: ten-bin curves, `np.interp` on a curve that is not monotone, areas that start at the policy's own first
point but divide by the whole range, and the share of strong calls mistaken for cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError

FloatArray = npt.NDArray[np.float64]

FORMULAS = {
    "aiq": "∫ hull(c) dc / (c_max − c_min), hull = non-decreasing concave hull of the policy's (mean cost, mean score) points, "
    "c_min and c_max = mean costs of the cheapest and the dearest single model; left of the hull's first point it counts 0",
    "apgr": "∫₀¹ (r(x) − r(weak)) / (r(strong) − r(weak)) dx, x = share of calls to the strong model, every threshold (two models)",
    "cpt": "CPT(p) = least share of calls to the strong model at which the recovered gap reaches p, on the curve made monotone",
    "optimism": "score on the choose split − score on the report split",
    "utility": "argmax_j predicted quality_j − λ · predicted cost_j, λ in score per USD; ties to the cheaper model",
}


def hull_of(cost: FloatArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Vertices of the non-decreasing concave hull: cost strictly rising, score strictly rising, slopes falling.

    Randomising between two neighbouring vertices attains every point of the segment between them.

    Example:
        >>> hull_of(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.2, 0.3, 0.8, 0.7]))
        (array([0., 2.]), array([0.2, 0.8]))
    """
    order = np.lexsort((-score, cost))
    best = np.maximum.accumulate(score[order])
    rises = np.concatenate([[True], best[1:] > best[:-1]])
    points = list(zip(cost[order][rises].tolist(), best[rises].tolist(), strict=True))
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    corners = np.array(hull)
    return corners[:, 0], corners[:, 1]


def _is_below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or below the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def hull_score_at(cost: FloatArray, score: FloatArray, budget: float) -> float:
    """Best expected score of the points, randomising allowed, at no more than `budget` mean cost; NaN below the cheapest."""
    x, y = hull_of(cost, score)
    return float("nan") if budget < x[0] else float(np.interp(budget, x, y))


def aiq(cost: FloatArray, score: FloatArray, *, least_cost: float, most_cost: float) -> float:
    """Area under the non-decreasing concave hull from `least_cost` to `most_cost`, divided by that range.

    Args:
        cost: mean cost of each setting of a policy, shape (K,).
        score: mean score of each, shape (K,).
        least_cost: mean cost of the cheapest single model; left of the hull's first point the curve counts 0.
        most_cost: mean cost of the dearest; beyond the last vertex the hull stays level.

    Returns:
        A score; NaN when the range is empty.

    Example:
        >>> aiq(np.array([0.0, 1.0]), np.array([0.0, 1.0]), least_cost=0, most_cost=1)
        0.5
    """
    if not most_cost > least_cost:
        return float("nan")
    x, y = hull_of(cost, score)
    begin, end = min(max(least_cost, x[0]), most_cost), most_cost
    inner = (x > begin) & (x < end)
    grid = np.concatenate([[begin], x[inner], [end]])
    return float(np.trapezoid(np.interp(grid, x, y), grid) / (most_cost - least_cost))


@dataclass(frozen=True, slots=True, eq=False)
class CallCurve:
    """Mean score over the share of calls to the strong model, at every threshold of an uplift signal.

    Args:
        share: 0..1 rising, shape (K,); requests with equal signal move together.
        score: mean score, shape (K,); between two entries random choice among the tied gives the straight line.
    """

    share: FloatArray
    score: FloatArray

    @property
    def recovered(self) -> FloatArray:
        """(score − weak) / (strong − weak), shape (K,)."""
        weak, strong = self.score[0], self.score[-1]
        if strong == weak:
            raise ConfigError("both models have the same mean score; there is no gap to recover")
        recovered: FloatArray = (self.score - weak) / (strong - weak)
        return recovered


def call_curve(signal: FloatArray, weak: FloatArray, strong: FloatArray) -> CallCurve:
    """The curve of "strong where signal ≥ t" for every t, arrays of shape (n,)."""
    order = np.argsort(-signal, kind="stable")
    ordered = signal[order]
    last = np.concatenate([ordered[1:] != ordered[:-1], [True]])
    gained = np.cumsum((strong - weak)[order])[last]
    n = len(signal)
    share = np.concatenate([[0.0], (np.flatnonzero(last) + 1) / n])
    return CallCurve(share, weak.mean() + np.concatenate([[0.0], gained / n]))


def apgr(curve: CallCurve) -> float:
    """Area under the recovered gap over the share of strong calls; 0.5 is random.

    Example:
        >>> weak, strong = np.array([0.0, 1.0]), np.array([1.0, 1.0])
        >>> apgr(call_curve(np.array([1.0, 0.0]), weak, strong)), apgr(call_curve(np.array([0.0, 0.0]), weak, strong))
        (0.75, 0.5)
    """
    return float(np.trapezoid(curve.recovered, curve.share))


def cpt(curve: CallCurve, recovered: float) -> float:
    """Least share of strong calls that recovers the given part of the gap, on the curve's running maximum.

    Args:
        curve: from `call_curve`.
        recovered: 0..1, usually 0.2, 0.5 or 0.8.
    """
    if not 0 <= recovered <= 1:
        raise ConfigError(f"CPT is asked at {recovered}; the recovered part of the gap is between 0 and 1")
    height = curve.recovered
    index = int(np.argmax(np.maximum.accumulate(height) >= recovered))
    if index == 0:
        return float(curve.share[0])
    # The running maximum is first reached on this segment, which therefore rises from below `recovered`.
    x0, x1, y0, y1 = curve.share[index - 1], curve.share[index], height[index - 1], height[index]
    return float(x0 + (x1 - x0) * (recovered - y0) / (y1 - y0))
