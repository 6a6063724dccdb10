"""What predictions are worth for choosing: squared error weighs all models alike, a choice hangs on the few that compete."""

from __future__ import annotations

import numpy as np

from workbench.routing.queries import FloatArray

EXCHANGES = 40


def choice_area(estimate: FloatArray, score: FloatArray, cost: FloatArray) -> float:
    """Mean realised score over the cost range when each request goes to `argmax estimate − λ · mean cost`, over many λ.

    A coarse cousin of AIQ (`workbench.tuning.metrics`), cheap enough to compare a dozen blends: the running maximum of the realised
    points, straight between them, from the cheapest model's mean cost to the dearest's; 0 left of the first point.

    Args:
        estimate: predicted quality, shape (n, m).
        score, cost: measured, shape (n, m).
    """
    means = cost.mean(axis=0)
    low, high = float(means.min()), float(means.max())
    rows = np.arange(len(score))
    if not high > low:
        return float(score[rows, estimate.argmax(axis=1)].mean())
    gaps = np.diff(np.sort(means))
    exchanges = np.geomspace(1e-3 / (high - low), 1.0 / gaps[gaps > 0].min(), EXCHANGES)
    picks = [(estimate - exchange * means).argmax(axis=1) for exchange in [0.0, *exchanges]]
    points = np.array([(cost[rows, pick].mean(), score[rows, pick].mean()) for pick in picks])
    points = points[np.lexsort((-points[:, 1], points[:, 0]))]
    best = np.maximum.accumulate(points[:, 1])
    begin = min(max(low, float(points[0, 0])), high)
    inner = points[(points[:, 0] > begin) & (points[:, 0] < high), 0]
    grid = np.concatenate([[begin], inner, [high]])
    return float(np.trapezoid(np.interp(grid, points[:, 0], best), grid) / (high - low))
