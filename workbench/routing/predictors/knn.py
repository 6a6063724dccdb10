"""Quality as the mean over the most similar recorded prompts; all models are averaged over the same neighbours, so it is uplift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from workbench.routing.exact import coarse_rows
from workbench.routing.predictors.folds import FOLDS, folds_of
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.queries import FloatArray, IntArray, Queries

NEIGHBOURS = (5, 10, 20, 40, 80, 160, 320, 640)
_VALUE_STEP = 2.0**30
"""Scores are kept in steps of 2^-30, so that a sum over neighbours is exact in any order."""
_BLOCK = 512

Vectors = npt.NDArray[np.float32]


@dataclass(slots=True)
class KNNQuality:
    """Mean score over the k nearest prompts by cosine; k is cross-validated, one for the level and one for the differences."""

    kind: ClassVar[str] = "knn"
    embedder: TextEmbedder
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    level: FloatArray = field(default_factory=lambda: np.empty((0, 1)))
    differences: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    k_level: int = 0
    k_differences: int = 0

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Keep the vectors and scores; choose both k."""
        self.vectors = coarse_rows(self.embedder.embed(list(queries.texts)))
        level, differences = level_and_differences(quality)
        self.level, self.differences = _on_grid(level), _on_grid(differences)
        self.k_level, self.k_differences = _best_k(self.vectors, (self.level, self.differences), folds_of(queries))
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        vectors = coarse_rows(self.embedder.embed(list(queries.texts)))
        blocks = [self._estimate_block(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty((0, self.differences.shape[1]))

    def _estimate_block(self, vectors: Vectors) -> FloatArray:
        similarity = vectors @ self.vectors.T
        level = self.level[_nearest(similarity, self.k_level)].sum(axis=1) / self.k_level
        differences = self.differences[_nearest(similarity, self.k_differences)].sum(axis=1) / self.k_differences
        estimate: FloatArray = level + differences
        return estimate

    def to_state(self) -> State:
        """Vectors, scores and both k."""
        settings: dict[str, Any] = {
            "k_level": self.k_level,
            "k_differences": self.k_differences,
            "embedder": self.embedder.fingerprint,
        }
        whole = self.vectors.astype(np.int16)
        return State(settings, {"vectors": whole, "level": self.level, "differences": self.differences})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        return cls(
            needed_embedder(cls.kind, embedder),
            state.arrays["vectors"].astype(np.float32),
            state.arrays["level"],
            state.arrays["differences"],
            int(state.settings["k_level"]),
            int(state.settings["k_differences"]),
        )


def _on_grid(values: FloatArray) -> FloatArray:
    return np.rint(values * _VALUE_STEP) / _VALUE_STEP


def _nearest(similarity: Vectors, k: int) -> IntArray:
    """Columns of the k largest entries of each row, in no order."""
    if k >= similarity.shape[1]:
        return np.broadcast_to(np.arange(similarity.shape[1]), similarity.shape)
    return np.argpartition(similarity, -k, axis=1)[:, -k:]


def _best_k(vectors: Vectors, targets: tuple[FloatArray, FloatArray], folds: IntArray) -> tuple[int, int]:
    """The k with the least cross-validated squared error for each target; all rows when there are fewer than two folds."""
    n_folds = len(np.unique(folds))
    most = len(vectors) - int(np.bincount(folds).max(initial=0))
    grid = [k for k in NEIGHBOURS if k <= most] or [max(most, 1)]
    if n_folds < 2:
        return len(vectors), len(vectors)
    errors = np.zeros((2, len(grid)))
    for fold in range(FOLDS):
        held, kept = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        for start in range(0, len(held), _BLOCK):
            rows = held[start : start + _BLOCK]
            errors += _block_errors(vectors, targets, rows, kept, grid)
    best = errors.argmin(axis=1)
    return grid[best[0]], grid[best[1]]


def _block_errors(
    vectors: Vectors, targets: tuple[FloatArray, FloatArray], rows: IntArray, kept: IntArray, grid: list[int]
) -> FloatArray:
    similarity = vectors[rows] @ vectors[kept].T
    near = _nearest(similarity, grid[-1])
    order = np.take_along_axis(similarity, near, axis=1).argsort(axis=1, kind="stable")[:, ::-1]
    near = kept[np.take_along_axis(near, order, axis=1)]
    errors = np.empty((2, len(grid)))
    for index, target in enumerate(targets):
        running = target[near].cumsum(axis=1)
        for column, k in enumerate(grid):
            errors[index, column] = ((running[:, k - 1] / k - target[rows]) ** 2).sum()
    return errors
