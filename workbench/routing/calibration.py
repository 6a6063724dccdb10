"""Calibration: turning predicted scores into chances that come true, and showing how far they do.

Isotonic regression (pool adjacent violators) and Platt scaling are fitted on rows that the predictor did not see. Both are kept as the
points of a rising line, so that a live request is calibrated by one interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.routing.queries import FloatArray

METHODS = ("isotonic", "platt")
LEAST_ROWS = 20
"""Fewer held-out rows cannot tell a calibration from noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A rising line from predicted to realised score for each model; outside its points it stays level.

    Args:
        method: "isotonic" or "platt".
        predicted: rising abscissae of each model, m arrays.
        realised: their values, m arrays.

    Example:
        >>> line = Calibration.fit("isotonic", np.linspace(0, 1, 100)[:, None], (np.arange(100)[:, None] >= 50) * 1.0)
        >>> line.applied(np.array([[0.1], [0.9]])).tolist()
        [[0.0], [1.0]]
    """

    method: str
    predicted: tuple[FloatArray, ...]
    realised: tuple[FloatArray, ...]

    @classmethod
    def fit(cls, method: str, predicted: FloatArray, realised: FloatArray) -> Self:
        """From held-out predictions and measured scores, both (n, m).

        Raises:
            ConfigError: unknown method, shapes differ, a value is not finite, or fewer than 20 rows.
        """
        if method not in METHODS:
            raise ConfigError(f"unknown calibration {method!r}: {did_you_mean(method, METHODS)}")
        if predicted.shape != realised.shape or predicted.ndim != 2:
            raise ConfigError(f"predictions {predicted.shape} and scores {realised.shape} must both be (rows, models)")
        if len(predicted) < LEAST_ROWS:
            raise ConfigError(
                f"{len(predicted)} held-out rows are too few to calibrate on; at least {LEAST_ROWS} are needed"
            )
        if not (np.isfinite(predicted).all() and np.isfinite(realised).all()):
            raise ConfigError("predictions or scores hold NaN or infinities; fill or drop them before calibrating")
        fitted = [_FITS[method](predicted[:, j], realised[:, j]) for j in range(predicted.shape[1])]
        return cls(method, tuple(x for x, _ in fitted), tuple(y for _, y in fitted))

    def applied(self, quality: FloatArray) -> FloatArray:
        """Calibrated scores, shape (n, m); each cell depends on itself alone."""
        pairs = zip(self.predicted, self.realised, strict=True)
        return np.column_stack([np.interp(quality[:, j], x, y) for j, (x, y) in enumerate(pairs)])

    def to_arrays(self) -> dict[str, FloatArray]:
        """Plain arrays for saving."""
        named = {f"predicted{j}": x for j, x in enumerate(self.predicted)}
        return named | {f"realised{j}": y for j, y in enumerate(self.realised)}

    @classmethod
    def from_arrays(cls, method: str, arrays: dict[str, Any]) -> Self:
        """The calibration again."""
        models = range(len(arrays) // 2)
        return cls(
            method, tuple(arrays[f"predicted{j}"] for j in models), tuple(arrays[f"realised{j}"] for j in models)
        )


def isotonic(predicted: FloatArray, realised: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rising step function with the least squared error, as the points (centre of a block, its mean), shape (k,) each.

    Source: M. Ayer et al., An Empirical Distribution Function for Sampling with Incomplete Information, Ann. Math. Stat. 26 (1955).
    """
    order = np.argsort(predicted, kind="stable")
    blocks: list[list[float]] = []  # weight, sum of predicted, sum of realised
    for x, y in zip(predicted[order].tolist(), realised[order].tolist(), strict=True):
        blocks.append([1.0, x, y])
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][0] >= blocks[-1][2] * blocks[-2][0]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    table = np.array(blocks)
    return table[:, 1] / table[:, 0], table[:, 2] / table[:, 0]


def platt(predicted: FloatArray, realised: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A logistic line σ(a x + b), a ≥ 0, as 257 points over the predicted range.

    Targets are drawn in by one pseudo-row on either side, as Platt does; scores between 0 and 1 count as fractions.

    Source: J. Platt, Probabilistic Outputs for Support Vector Machines, Advances in Large Margin Classifiers (1999).
    """
    from scipy.optimize import minimize

    n, right = len(realised), float(np.clip(realised, 0, 1).sum())
    low, high = 1.0 / (n - right + 2.0), (right + 1.0) / (right + 2.0)
    target = low + (high - low) * np.clip(realised, 0.0, 1.0)
    middle, spread = float(predicted.mean()), float(predicted.std()) or 1.0
    x = (predicted - middle) / spread

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        z = w[0] * x + w[1]
        error = 1.0 / (1.0 + np.exp(-np.clip(z, -40, 40))) - target
        return float(np.mean(np.logaddexp(0.0, z) - target * z)), np.array([np.mean(error * x), np.mean(error)])

    a, b = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)]).x
    points = np.linspace(float(predicted.min()), float(predicted.max()), 257)
    return points, 1.0 / (1.0 + np.exp(-(a * (points - middle) / spread + b)))


_FITS = {"isotonic": isotonic, "platt": platt}


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Predicted against realised scores in bins of equal size, and the expected calibration error.

    Args:
        predicted, realised: mean of each bin, shape (k,).
        count: rows in each bin, shape (k,).
        ece: mean over rows of |predicted − realised| of their bin.
        ece_ci: 95 % by resampling groups. The ECE of a perfect predictor is above 0, because bins are noisy: compare with `ece_by_chance`.
        ece_by_chance: ECE that perfectly calibrated predictions would show on average on as many rows.
    """

    predicted: FloatArray
    realised: FloatArray
    count: FloatArray
    ece: float
    ece_ci: tuple[float, float]
    ece_by_chance: float


def reliability(
    predicted: FloatArray,
    realised: FloatArray,
    groups: Sequence[str],
    rng: np.random.Generator,
    *,
    bins: int = 10,
    draws: int = 400,
) -> Reliability:
    """The reliability curve of one model's predictions, shape (n,) each.

    Raises:
        ConfigError: no rows.
    """
    if not len(predicted):
        raise ConfigError("a reliability curve needs at least one row")
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    bin_of = np.empty(len(order), np.intp)
    for number, part in enumerate(parts):
        bin_of[part] = number
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    weights = (np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[group] for _ in range(draws))
    drawn = [_ece(predicted, realised, bin_of, len(parts), w.astype(np.float64)) for w in weights]
    chance = np.clip(predicted, 0.0, 1.0)
    perfect = [
        _ece(chance, (rng.random(len(chance)) < chance).astype(np.float64), bin_of, len(parts), None) for _ in range(50)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    means = [(float(predicted[p].mean()), float(realised[p].mean()), float(len(p))) for p in parts]
    x, y, count = (np.array(column) for column in zip(*means, strict=True))
    ece = _ece(predicted, realised, bin_of, len(parts), None)
    return Reliability(x, y, count, ece, (float(low), float(high)), float(np.mean(perfect)))


def _ece(predicted: FloatArray, realised: FloatArray, bin_of: Any, bins: int, weights: FloatArray | None) -> float:
    w = np.ones(len(predicted)) if weights is None else weights
    gaps = np.bincount(bin_of, w * (predicted - realised), minlength=bins)
    return float(np.abs(gaps).sum() / w.sum())
