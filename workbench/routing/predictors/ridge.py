"""Ridge regression of each model's score on the prompt's embedding and length, optionally on top of the task mean.

The weights of a difference between two models are the difference of their weights as long as both share one penalty, so one
fit learns every pair's uplift at once. The penalty is chosen by cross-validated error of the differences; the level has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from workbench.core import ConfigError
from workbench.routing.exact import FINE, fine_rows, grid_weights
from workbench.routing.predictors.folds import FOLDS, folds_of
from workbench.routing.predictors.means import TaskMeans
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.task_mean import TaskMeanQuality
from workbench.routing.queries import FloatArray, IntArray, Queries

PENALTIES = 10.0 ** np.arange(-2.0, 4.01, 0.5)
"""Tried penalties, in units of the mean eigenvalue of the features' Gram matrix."""


@dataclass(slots=True)
class RidgeQuality:
    """`quality = base + embedding · weights + (length rank − ½) · length_weights`.

    The base is the mean of each model, or of each model on the request's task in `RidgeOnTaskQuality`.
    """

    kind: ClassVar[str] = "ridge"
    with_tasks: ClassVar[bool] = False
    embedder: TextEmbedder
    tasks: TaskMeans | None = None
    weights: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    weight_scale: float = 1.0
    offset: FloatArray = field(default_factory=lambda: np.empty(0))
    length_weights: FloatArray = field(default_factory=lambda: np.empty(0))
    lengths: FloatArray = field(default_factory=lambda: np.empty(0))
    penalty: dict[str, float] = field(default_factory=dict)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Choose both penalties by cross-validation, then fit on everything."""
        self.lengths = sorted_lengths(queries)
        self.tasks = TaskMeanQuality().fit(queries, quality).means if self.with_tasks else None
        base = self._base(queries, quality.mean(axis=0))
        level, differences = level_and_differences(quality - base)
        features, target = self._features(queries), np.column_stack([level, differences])
        best = _best_penalties(features, target, folds_of(queries))
        self.penalty = {"level": best[0], "differences": best[1]}
        line = _Spectrum.of(features, target).solved(np.array([best[0]] + [best[1]] * differences.shape[1]))
        slopes = line.slope[:, :1] + line.slope[:, 1:]
        self.weights, self.weight_scale = grid_weights(slopes[:-1])
        self.length_weights = slopes[-1]
        self.offset = line.intercept[0] + line.intercept[1:]
        if self.tasks is None:
            self.offset = self.offset + quality.mean(axis=0)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        rank = length_rank(queries, self.lengths)[:, None] - 0.5
        estimate = (fine_rows(self.embedder.embed(list(queries.texts))) @ self.weights) * self.weight_scale
        estimate += rank * self.length_weights
        estimate += self.offset
        return estimate if self.tasks is None else estimate + self.tasks.look_up(queries)

    def _base(self, queries: Queries, mean: FloatArray) -> FloatArray:
        return mean if self.tasks is None else self.tasks.look_up(queries)

    def _features(self, queries: Queries) -> FloatArray:
        vectors = fine_rows(self.embedder.embed(list(queries.texts))) / FINE
        return np.column_stack([vectors, length_rank(queries, self.lengths) - 0.5])

    def to_state(self) -> State:
        """Weights, and the embedder's fingerprint in the settings."""
        settings: dict[str, Any] = {
            "weight_scale": self.weight_scale,
            "penalty": self.penalty,
            "embedder": self.embedder.fingerprint,
        }
        arrays = {
            "weights": self.weights,
            "offset": self.offset,
            "length_weights": self.length_weights,
            "lengths": self.lengths,
        }
        if self.tasks is not None:
            tasks = self.tasks.to_state()
            settings["tasks"] = tasks.settings
            arrays |= tasks.within("tasks")
        return State(settings, arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        embedder = needed_embedder(cls.kind, embedder)
        tasks = None
        if "tasks" in state.settings:
            tasks = TaskMeans.from_state(state.part("tasks", state.settings["tasks"]))
        named = ("weights", "offset", "length_weights", "lengths")
        arrays = {name: state.arrays[name] for name in named}
        return cls(
            embedder,
            tasks,
            weight_scale=float(state.settings["weight_scale"]),
            penalty=dict(state.settings["penalty"]),
            **arrays,
        )


@dataclass(slots=True)
class RidgeOnTaskQuality(RidgeQuality):
    """Ridge on what the shrunken task means leave over; for callers who know the task."""

    kind: ClassVar[str] = "ridge-task"
    with_tasks: ClassVar[bool] = True


def needed_embedder(kind: str, embedder: TextEmbedder | None) -> TextEmbedder:
    """The embedder, or a clear error that this kind cannot work without."""
    if embedder is None:
        raise ConfigError(f"predictor {kind!r} needs an embedder; give one, e.g. load_embedder('static')")
    return embedder


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    intercept: FloatArray
    slope: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Spectrum:
    """Centred features decomposed once, so that every penalty of every target is a product; the intercept is not penalised."""

    centre: FloatArray
    mean: FloatArray
    values: FloatArray
    basis: FloatArray
    moments: FloatArray

    @classmethod
    def of(cls, features: FloatArray, target: FloatArray) -> Self:
        centre, mean = features.mean(axis=0), target.mean(axis=0)
        x = features - centre
        values, basis = np.linalg.eigh(x.T @ x)
        return cls(centre, mean, np.maximum(values, 0.0), basis, basis.T @ (x.T @ (target - mean)))

    def solved(self, penalties: FloatArray) -> _Line:
        """The solution with one relative penalty a target column, or one for all."""
        unit = max(float(self.values.mean()), np.finfo(np.float64).tiny)
        slope = self.basis @ (self.moments / (self.values[:, None] + penalties * unit))
        return _Line(self.mean - self.centre @ slope, slope)


def _best_penalties(features: FloatArray, target: FloatArray, folds: IntArray) -> tuple[float, float]:
    """The penalties with the least cross-validated squared error, for the first target column and for the others together.

    The largest one when there is too little to validate.
    """
    errors = np.zeros((len(PENALTIES), 2))
    for fold in range(FOLDS):
        held = folds == fold
        if not held.any() or held.all():
            return float(PENALTIES[-1]), float(PENALTIES[-1])
        spectrum = _Spectrum.of(features[~held], target[~held])
        for index, penalty in enumerate(PENALTIES):
            line = spectrum.solved(penalty)
            squares = ((target[held] - line.intercept - features[held] @ line.slope) ** 2).sum(axis=0)
            errors[index] += squares[0], squares[1:].sum()
    level, differences = PENALTIES[errors.argmin(axis=0)].tolist()
    return level, differences
