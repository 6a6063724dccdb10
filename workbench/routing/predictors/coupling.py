"""What a prompt's difficulty and the other models' differences say about a model's difference, learned from held-out estimates.

Hard prompts often hurt weak models more. Level and differences are estimated apart, each from its own noise, and so each misses what
the other found. A ridge regression of what held-out estimates left over on those estimates themselves joins them: a small matrix, shrunken
to nothing where the models have nothing to tell of each other. The result stays linear, so that it folds into the terms.

Source: L. Breiman, J. Friedman, Predicting Multivariate Responses in Multiple Linear Regression, JRSS B 59 (1997), "curds and whey".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from workbench.routing.predictors.additive import Terms
from workbench.routing.predictors.predictor import level_and_differences
from workbench.routing.predictors.spectrum import PENALTIES, validated
from workbench.routing.queries import FloatArray, IntArray

LEAST_SPREAD = 1e-6
"""Estimates that vary by less are one constant and rounding."""
_LINEAR = ("length", "task", "weights", "at_centre", "task_at_centre", "surface")


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """A correction `x + centred parts of x · matrix`, where the parts of x are its level and its differences; m models.

    Args:
        centre: mean level, then mean differences, of the estimates it was learned on, shape (1 + m,).
        matrix: shape (1 + m, m); zero where nothing was to be learned.
    """

    centre: FloatArray
    matrix: FloatArray

    @classmethod
    def fit(cls, estimates: FloatArray, quality: FloatArray, folds: IntArray) -> Self:
        """Learn from held-out estimates and measured quality, both (n, m); penalties by cross-validation, one for the differences.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> hard = rng.standard_normal((400, 1))
            >>> quality = hard * [1.0, 0.5] + 0.1 * rng.standard_normal((400, 2))
            >>> found = Coupling.fit(hard * [0.75, 0.75], quality, np.arange(400) % 5)
            >>> found.corrected(np.array([[0.75, 0.75]])).round(1).tolist()
            [[1.0, 0.5]]
        """
        parts = _parts(estimates)
        if parts.std(axis=0).max() < LEAST_SPREAD:
            return cls(parts.mean(axis=0), np.zeros((parts.shape[1], quality.shape[1])))
        found = validated(parts, _parts(quality) - parts, folds)
        useful = found.penalties < PENALTIES[-1]
        slope = np.where(useful, found.line.slope, 0.0)
        return cls(parts.mean(axis=0), slope[:, :1] + slope[:, 1:])

    def corrected(self, estimates: FloatArray) -> FloatArray:
        """The corrected estimates, shape (n, m)."""
        corrected: FloatArray = estimates + (_parts(estimates) - self.centre) @ self.matrix
        return corrected

    def folded(self, terms: Terms) -> Terms:
        """Terms whose sum is the corrected sum; what stands in for unfamiliar requests is left as it is."""
        arrays = {name: getattr(terms, name) for name in _LINEAR}
        changed = {name: array + _parts(array) @ self.matrix for name, array in arrays.items() if array.size}
        return replace(terms, offset=self.corrected(terms.offset[None, :])[0], **changed)


def _parts(values: FloatArray) -> FloatArray:
    """Level and differences side by side, shape (n, 1 + m)."""
    return np.column_stack(level_and_differences(values))
