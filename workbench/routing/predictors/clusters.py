"""Where a prompt lies among the recorded ones: its similarity to cluster centres, as soft weights, with the same bits in any batch.

Three sets of centres (one coarse, two fine) are found by k-means on the unit sphere. A prompt's weight on a centre falls with the
distance of its cosine to that of the set's nearest centre, `exp(−β (s_max − s))`. The exponential is a table over whole steps of the
integer grid and the shares are whole numbers, so that their sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workbench.routing.exact import COARSE, coarse_rows
from workbench.routing.predictors.predictor import State
from workbench.routing.queries import BoolArray, FloatArray, IntArray

Vectors = npt.NDArray[np.float32]
SHARPNESS = 20.0
"""β: at a cosine 0.1 below the nearest centre's the weight is 0.14 of the nearest one's."""
ROWS_A_CENTRE = 40
"""A centre for every forty rows: with fewer its mean is mostly noise."""
MOST_CENTRES = 192
SETS = (4, 1, 1)
"""A coarse set with a quarter of the centres and two fine ones: borders that two draws of k-means place differently even out."""
ROUNDS = 12
FAMILIAR_SHARE = 0.995
"""Share of the recorded prompts that count as familiar; the least familiar rest marks the border."""
_STEPS = 1024
_REACH = 0.5
"""Centres further than this below the nearest one's cosine weigh nothing."""
WHOLE = 2.0**20
"""Shares are whole multiples of 1 / `WHOLE`."""
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Centres of all sets and the border of the familiar.

    Args:
        centres: on the coarse grid, shape (k, d), set after set.
        sizes: centres in each set.
        border: least similarity to the nearest centre (in grid units) of a familiar prompt.
    """

    centres: Vectors
    sizes: tuple[int, ...]
    border: float
    _first: IntArray = field(init=False)
    _sizes: IntArray = field(init=False)
    _border: Vectors = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", np.cumsum([0, *self.sizes[:-1]]))
        object.__setattr__(self, "_sizes", np.array(self.sizes, np.intp))
        object.__setattr__(self, "_border", np.array(self.border, np.float32))

    @classmethod
    def fit(cls, vectors: Vectors) -> Self:
        """Centres of rows on the coarse grid, shape (n, d); deterministic."""
        fine = int(np.clip(len(vectors) // ROWS_A_CENTRE, 1, MOST_CENTRES))
        sizes = tuple(max(fine // divisor, 1) for divisor in SETS)
        centres = np.concatenate([spherical_kmeans(vectors, size, seed) for seed, size in enumerate(sizes)])
        nearest = _assigned(vectors, centres)[1]
        return cls(centres, sizes, float(np.quantile(nearest, 1.0 - FAMILIAR_SHARE)))

    def __len__(self) -> int:
        return len(self.centres)

    def similarities(self, vectors: Vectors) -> Vectors:
        """Products with all centres, shape (n, k), exact integers: `COARSE ** 2` times the cosine."""
        products: Vectors = vectors.dot(self.centres.T)
        return products

    def shares(self, similarities: Vectors, out: FloatArray | None = None) -> FloatArray:
        """Soft weights, whole numbers that sum to `WHOLE` in each set (but for rounding), shape (n, k); `out` receives them."""
        if not len(similarities):
            return np.empty(similarities.shape)
        below = np.maximum.reduceat(similarities, self._first, 1).repeat(self._sizes, 1)
        below -= similarities
        below *= _STEP
        np.minimum(below, _LAST, out=below)  # `take` could clip as well, at a mispredicted branch a centre
        weights: FloatArray = _WEIGHT_AT.take(below.astype(np.intp))
        weights *= (_WHOLE / np.add.reduceat(weights, self._first, 1)).repeat(self._sizes, 1)
        return np.rint(weights, out=weights if out is None else out)

    def are_strange(self, similarities: Vectors) -> BoolArray:
        """Which prompts lie beyond the border of the familiar, shape (n,)."""
        strange: BoolArray = np.maximum.reduce(similarities, 1) < self._border
        return strange

    def shares_of(self, vectors: Vectors) -> FloatArray:
        """Shares of many rows in 0..1, block by block, shape (n, k)."""
        blocks = [vectors[i : i + _BLOCK] for i in range(0, len(vectors), _BLOCK)]
        return np.concatenate([self.shares(self.similarities(block)) / WHOLE for block in blocks])

    def to_state(self) -> State:
        """Centres and border."""
        return State({"sizes": list(self.sizes), "border": self.border}, {"centres": self.centres.astype(np.int16)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The clusters again."""
        centres = state.arrays["centres"].astype(np.float32)
        return cls(centres, tuple(state.settings["sizes"]), float(state.settings["border"]))


def _table() -> FloatArray:
    below = (np.arange(_STEPS) + 0.5) * (_REACH / _STEPS)
    return np.append(np.rint(WHOLE * np.exp(-SHARPNESS * below)), 0.0)


_WEIGHT_AT = _table()
_LAST = np.array(_STEPS, np.float32)
_STEP = np.array(_STEPS / (_REACH * COARSE * COARSE), np.float32)
_WHOLE = np.array(WHOLE)


def spherical_kmeans(vectors: Vectors, k: int, seed: int = 0) -> Vectors:
    """Centres of k groups of directions, on the coarse grid, shape (k, d).

    Starts are drawn far apart (each with probability 1 − cosine to those before); an empty group takes the row that its centre fits
    worst.
    """
    rng = np.random.default_rng(seed)
    centres = vectors[_starts(vectors, k, rng)]
    for _ in range(ROUNDS):
        nearest, similarity = _assigned(vectors, centres)
        sums = _sums(vectors, nearest, k)
        empty = np.flatnonzero(np.bincount(nearest, minlength=k) == 0)
        sums[empty] = vectors[np.argsort(similarity, kind="stable")[: len(empty)]]
        moved = coarse_rows(sums)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _starts(vectors: Vectors, k: int, rng: np.random.Generator) -> IntArray:
    chosen = [int(rng.integers(len(vectors)))]
    far = np.full(len(vectors), np.inf)
    for _ in range(k - 1):
        similarity = vectors @ vectors[chosen[-1]] / (COARSE * COARSE)
        far = np.minimum(far, np.maximum(1.0 - similarity, 0.0))
        total = float(far.sum())
        chosen.append(int(rng.choice(len(vectors), p=far / total)) if total > 0 else int(rng.integers(len(vectors))))
    return np.array(chosen, np.intp)


def _sums(vectors: Vectors, nearest: IntArray, k: int) -> FloatArray:
    """Sum of the rows of each group, shape (k, d); exact, for whole numbers below 2^53."""
    order = np.argsort(nearest, kind="stable")
    counts = np.bincount(nearest, minlength=k)
    sums = np.zeros((k, vectors.shape[1]))
    filled = np.flatnonzero(counts)
    first = (np.cumsum(counts) - counts)[filled]
    sums[filled] = np.add.reduceat(vectors[order].astype(np.float64), first, axis=0)
    return sums


def _assigned(vectors: Vectors, centres: Vectors) -> tuple[IntArray, npt.NDArray[Any]]:
    parts = [(p.argmax(axis=1), p.max(axis=1)) for p in _products(vectors, centres)]
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _products(vectors: Vectors, centres: Vectors) -> list[Vectors]:
    return [vectors[i : i + _BLOCK] @ centres.T for i in range(0, len(vectors), _BLOCK)]
