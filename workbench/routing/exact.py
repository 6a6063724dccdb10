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
_STEP = 2.0**22


def unit_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Rows scaled to norm 1, shape (n, d); a zero row stays zero. Each row's result depends on that row alone."""
    grid = np.rint(vectors.astype(np.float64) * _STEP)
    norm = np.sqrt((grid * grid).sum(axis=1, keepdims=True))
    return grid / np.where(norm > 0, norm, 1.0)


def coarse_rows(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Unit rows in steps of 1/4064 as float32 integers: `a @ b.T` of two such arrays is exact, `COARSE ** 2` times the cosine."""
    return np.rint(unit_rows(vectors) * COARSE).astype(np.float32)


def fine_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Unit rows in steps of 2^-20 as float64 integers, for products with `grid_weights`."""
    return np.rint(unit_rows(vectors) * FINE)


def grid_weights(weights: FloatArray) -> tuple[FloatArray, float]:
    """Weights (d, m) as integers, and the factor that turns `fine_rows(x) @ integers` into `x @ weights`."""
    largest = float(np.sqrt((weights * weights).sum(axis=0)).max(initial=0.0))
    step = largest / WEIGHT_NORM if largest > 0 else 1.0
    step = 2.0 ** np.ceil(np.log2(step))
    return np.rint(weights / step), float(step / FINE)
