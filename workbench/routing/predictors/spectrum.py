"""Ridge regression with every penalty at once: features decomposed one time, penalties chosen on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from workbench.routing.predictors.folds import FOLDS
from workbench.routing.queries import FloatArray, IntArray

PENALTIES = 10.0 ** np.arange(-2.0, 4.01, 0.5)
"""Tried penalties, in units of the mean eigenvalue of the features' Gram matrix."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """`target = intercept + features · slope`, shapes (t,) and (p, t)."""

    intercept: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Centred features decomposed once, so that every penalty of every target is a product; the intercept is not penalised.

    With fewer rows than features the rows' Gram matrix is decomposed instead: the same solution for less work.
    """

    centre: FloatArray
    mean: FloatArray
    values: FloatArray
    basis: FloatArray
    moments: FloatArray
    unit: float

    @classmethod
    def of(cls, features: FloatArray, target: FloatArray) -> Self:
        """Decompose features (n, p) for targets (n, t)."""
        centre, mean = features.mean(axis=0), target.mean(axis=0)
        x, y = features - centre, target - mean
        n, p = x.shape
        values, vectors = np.linalg.eigh(x.T @ x if p <= n else x @ x.T)
        values = np.maximum(values, 0.0)
        unit = max(float(values.sum()) / max(p, 1), np.finfo(np.float64).tiny)
        basis, moments = (vectors, vectors.T @ (x.T @ y)) if p <= n else (x.T @ vectors, vectors.T @ y)
        return cls(centre, mean, values, basis, moments, unit)

    def solved(self, penalties: FloatArray) -> Line:
        """The solution with one relative penalty a target column, or one for all."""
        slope = self.basis @ (self.moments / (self.values[:, None] + penalties * self.unit))
        return Line(self.mean - self.centre @ slope, slope)


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """Chosen penalties, and what models that did not see a row say about it.

    Args:
        penalties: of the first target column, and of all the others together.
        held_out: estimates of every target for every row, shape (n, t), by the folds' models at those penalties.
    """

    penalties: tuple[float, float]
    held_out: FloatArray

    def by_column(self) -> FloatArray:
        """One penalty a target column, shape (t,)."""
        first, others = self.penalties
        return np.array([first] + [others] * (self.held_out.shape[1] - 1))


def validated(features: FloatArray, target: FloatArray, folds: IntArray) -> Validated:
    """The penalties with the least cross-validated squared error, for the first target column and for the others together.

    Where there is too little to validate: the largest penalties, and the means as estimates.
    """
    n, columns = target.shape
    most = float(PENALTIES[-1])
    if len(np.unique(folds)) < 2:
        return Validated((most, most), np.broadcast_to(target.mean(axis=0), (n, columns)).copy())
    held_out = np.empty((len(PENALTIES), n, columns))
    for fold in range(FOLDS):
        held = folds == fold
        if not held.any():
            continue
        spectrum = Spectrum.of(features[~held], target[~held])
        for index, penalty in enumerate(PENALTIES):
            line = spectrum.solved(penalty)
            held_out[index, held] = line.intercept + features[held] @ line.slope
    squares = ((held_out - target) ** 2).sum(axis=1)
    first, others = int(squares[:, 0].argmin()), int(squares[:, 1:].sum(axis=1).argmin())
    best = np.concatenate([held_out[first][:, :1], held_out[others][:, 1:]], axis=1)
    return Validated((float(PENALTIES[first]), float(PENALTIES[others])), best)
