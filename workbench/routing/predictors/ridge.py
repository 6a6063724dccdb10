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
from workbench.routing.predictors.additive import Terms
from workbench.routing.predictors.folds import folds_of
from workbench.routing.predictors.means import TaskMeans
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.spectrum import validated
from workbench.routing.predictors.task_mean import TaskMeanQuality
from workbench.routing.queries import FloatArray, Queries


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
    held_out: FloatArray | None = field(default=None, repr=False)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Choose both penalties by cross-validation, then fit on everything."""
        self.lengths = sorted_lengths(queries)
        self.tasks = TaskMeanQuality().fit(queries, quality).means if self.with_tasks else None
        base = self._base(queries, quality.mean(axis=0))
        level, differences = level_and_differences(quality - base)
        features, target = self._features(queries), np.column_stack([level, differences])
        found = validated(features, target, folds_of(queries))
        self.penalty = {"level": float(found.penalties[0]), "differences": float(found.penalties[-1])}
        self.held_out = base + found.held_out[:, :1] + found.held_out[:, 1:]
        line = found.line
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

    def terms(self, mean: FloatArray) -> Terms:
        """The line as additive terms; `mean` is what a request unlike all others gets."""
        tasks = () if self.tasks is None else self.tasks.tasks
        return Terms(
            offset=self.offset,
            mean=mean[None, :],
            lengths=self.lengths,
            length=np.stack([self.length_weights, np.zeros_like(self.length_weights)]),
            tasks=tasks,
            task=np.empty((0, 0)) if self.tasks is None else self.tasks.table,
            weights=self.weights * (self.weight_scale * FINE),
        )

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
