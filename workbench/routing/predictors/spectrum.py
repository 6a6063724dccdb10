"""Ridge regression with every penalty at once: features decomposed one time, penalties chosen on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from workbench.routing.predictors.folds import FOLDS
from workbench.routing.queries import FloatArray, IntArray

PENALTIES = 10.0 ** np.arange(-2.0, 4.01, 0.5)
"""Tried penalties, in units of the mean eigenvalue of the features' Gram matrix."""
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """`target = intercept + features · slope`, shapes (t,) and (p, t)."""

    intercept: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over rows that a least-squares fit needs; those of a part are taken off those of the whole."""

    n: int
    x: FloatArray
    y: FloatArray
    xx: FloatArray
    xy: FloatArray

    @classmethod
    def of(cls, features: FloatArray, target: FloatArray) -> Self:
        """Of features (n, p) and targets (n, t)."""
        return cls(len(features), features.sum(axis=0), target.sum(axis=0), features.T @ features, features.T @ target)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.x + other.x, self.y + other.y, self.xx + other.xx, self.xy + other.xy)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.n - other.n, self.x - other.x, self.y - other.y, self.xx - other.xx, self.xy - other.xy)


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Centred features decomposed once, so that every penalty of every target is a product; the intercept is not penalised."""

    centre: FloatArray
    mean: FloatArray
    values: FloatArray
    basis: FloatArray
    moments: FloatArray
    unit: float

    @classmethod
    def of(cls, features: FloatArray, target: FloatArray) -> Self:
        """Decompose features (n, p) for targets (n, t); with fewer rows than features by the rows' products, for less work."""
        n, p = features.shape
        if p <= n:
            return cls.of_moments(Moments.of(features, target))
        centre, mean = features.mean(axis=0), target.mean(axis=0)
        x, y = features - centre, target - mean
        values, vectors = np.linalg.eigh(x @ x.T)
        values = np.maximum(values, 0.0)
        return cls(centre, mean, values, x.T @ vectors, vectors.T @ y, _unit(values, p, float((features**2).sum())))

    @classmethod
    def of_moments(cls, sums: Moments) -> Self:
        """The same from sums."""
        centre, mean = sums.x / sums.n, sums.y / sums.n
        values, basis = np.linalg.eigh(sums.xx - sums.n * np.outer(centre, centre))
        values = np.maximum(values, 0.0)
        moments = basis.T @ (sums.xy - sums.n * np.outer(centre, mean))
        return cls(centre, mean, values, basis, moments, _unit(values, len(values), float(np.trace(sums.xx))))

    def solved(self, penalties: FloatArray) -> Line:
        """The solution with one relative penalty a target column, or one for all."""
        slope = self.basis @ (self.moments / (self.values[:, None] + penalties * self.unit))
        return Line(self.mean - self.centre @ slope, slope)


def _unit(values: FloatArray, p: int, squares: float) -> float:
    """Mean eigenvalue over the p features, not below the rounding of the features' squares: constant features get no slope."""
    return max(float(values.sum()), ROUNDING * squares, float(np.finfo(np.float64).tiny)) / max(p, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """Chosen penalties, the fit with them, and what models that did not see a row say about it.

    Args:
        penalties: of each target column, shape (t,).
        line: fitted on all rows.
        held_out: estimates of every target for every row, shape (n, t), by the folds' models at those penalties.
    """

    penalties: FloatArray
    line: Line
    held_out: FloatArray


def validated(features: FloatArray, target: FloatArray, folds: IntArray, *, together: bool = True) -> Validated:
    """The penalties with the least cross-validated squared error.

    Args:
        features, target: shapes (n, p) and (n, t).
        folds: of each row.
        together: one penalty for the first column and one for all the others; else each column has its own.

    Where there is too little to validate: the largest penalties, and the means as estimates.
    """
    n, columns = target.shape
    whole, parts = _spectra(features, target, folds)
    if not parts:
        most = np.full(columns, PENALTIES[-1])
        return Validated(most, whole.solved(most), np.broadcast_to(target.mean(axis=0), (n, columns)).copy())
    held_out = np.empty((len(PENALTIES), n, columns))
    for fold, spectrum in parts.items():
        held = folds == fold
        for index, penalty in enumerate(PENALTIES):
            line = spectrum.solved(penalty)
            held_out[index, held] = line.intercept + features[held] @ line.slope
    squares = ((held_out - target) ** 2).sum(axis=1)
    if together:
        squares[:, 1:] = squares[:, 1:].sum(axis=1, keepdims=True)
    best = squares.argmin(axis=0)
    kept = held_out[best, :, np.arange(columns)].T
    return Validated(PENALTIES[best], whole.solved(PENALTIES[best]), kept)


def _spectra(features: FloatArray, target: FloatArray, folds: IntArray) -> tuple[Spectrum, dict[int, Spectrum]]:
    """Of all rows, and fold → of the rows outside it; no folds where there are fewer than two."""
    present = [fold for fold in range(FOLDS) if (folds == fold).any()]
    n, p = features.shape
    if len(present) < 2:
        return Spectrum.of(features, target), {}
    if 2 * p > n:
        outside = {fold: Spectrum.of(features[folds != fold], target[folds != fold]) for fold in present}
        return Spectrum.of(features, target), outside
    sums = {fold: Moments.of(features[folds == fold], target[folds == fold]) for fold in present}
    total = sums[present[0]]
    for fold in present[1:]:
        total = total + sums[fold]
    return Spectrum.of_moments(total), {fold: Spectrum.of_moments(total - sums[fold]) for fold in present}
