"""Vectors on an integer grid, so that a dot product has the same bits alone, in a batch, on one thread or many.

Floating-point sums depend on the order of addition, and a matrix product of one row is added up in another order than one of a
thousand rows. On integers every partial sum is exact as long as it stays below the mantissa (2^24 in float32, 2^53 in float64),
so the order does not matter. By Cauchy-Schwarz a partial sum of a·b is at most |a|·|b|: bounding the norms bounds them all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.routing.queries import FloatArray

COARSE = 4064.0
"""Norm of a vector for float32 products: with rounding (half a step a dimension, up to 4096 dimensions: 4064 + 32) its square is 2^24."""
FINE = 2.0**20
"""Norm of a vector for float64 products against weights of norm `WEIGHT_NORM`."""
WEIGHT_NORM = 2.0**31
_STEP, _ONE, _FINE, _COARSE_A_FINE = (np.array(value) for value in (2.0**22, 1.0, FINE, COARSE / FINE))
"""As arrays: on one row, turning a Python number into one takes longer than the arithmetic."""
_LARGEST = 2.0**52
"""Bound of sums of float64 integers; half of what is exact, the rest is for rounding."""


def unit_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Rows scaled to norm 1, shape (n, d); a zero row stays zero. Each row's result depends on that row alone."""
    return scaled_rows(vectors) / FINE


def scaled_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Rows scaled to norm `FINE`, not yet whole: what both grids are rounded from, shape (n, d)."""
    grid = vectors.astype(np.float64)
    grid *= _STEP
    np.rint(grid, out=grid)
    norm = np.sqrt(np.vecdot(grid, grid))[:, None]  # exact for rows up to 20 long: their squares sum to less than 2^53
    grid /= np.maximum(norm, _ONE) / _FINE  # a row of whole numbers is zero or at least 1 long
    return grid


def coarse_rows(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Unit rows in steps of 1/4064 as float32 integers: `a @ b.T` of two such arrays is exact, `COARSE ** 2` times the cosine."""
    return coarse_of(scaled_rows(vectors))


def coarse_of(scaled: FloatArray) -> npt.NDArray[np.float32]:
    """The same of rows that are scaled already."""
    coarse: FloatArray = scaled * _COARSE_A_FINE
    return np.rint(coarse, out=coarse).astype(np.float32)


def fine_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Unit rows in steps of 2^-20 as float64 integers, for products with `grid_weights`."""
    return np.rint(scaled_rows(vectors))


def grid_weights(weights: FloatArray) -> tuple[FloatArray, float]:
    """Weights (d, m) as integers, and the factor that turns `fine_rows(x) @ integers` into `x @ weights`."""
    largest = float(np.sqrt((weights * weights).sum(axis=0)).max(initial=0.0))
    step = largest / WEIGHT_NORM if largest > 0 else 1.0
    step = 2.0 ** np.ceil(np.log2(step))
    return np.rint(weights / step), float(step / FINE)


def grid_factors(factors: FloatArray, largest_sum: float) -> FloatArray:
    """Factors (p, m) in steps of a power of two so coarse that products with features in steps of 1 / `FINE` are exact.

    They are divided by `FINE`, for features that are whole: `fine_rows(x) @ grid_factors(w, …)` is close to `unit_rows(x) @ w`.

    Args:
        factors: of each feature for each model.
        largest_sum: bound of |Σ feature · factor| over any part of the features, in the factors' unit.
    """
    step = 2.0 ** np.ceil(np.log2(largest_sum * FINE / _LARGEST)) if largest_sum > 0 else 1.0
    whole: FloatArray = np.rint(factors / step)
    return whole * (step / FINE)
