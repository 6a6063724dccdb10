"""Quality by task label, shrunken: simple, hard to beat where the caller knows the task, useless on a task never measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from workbench.routing.predictors.means import TaskMeans
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.queries import FloatArray, Queries


@dataclass(slots=True)
class TaskMeanQuality:
    """Mean of each model on the request's task; level and differences are shrunken separately, an unseen task gets the overall mean."""

    kind: ClassVar[str] = "task-mean"
    means: TaskMeans | None = None

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Learn the shrunken table."""
        level, differences = level_and_differences(quality)
        by_level = TaskMeans.fit(queries, level, pooled=True)
        by_model = TaskMeans.fit(queries, differences, pooled=True)
        self.means = TaskMeans(by_model.tasks, by_level.table + by_model.table)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        assert self.means is not None, "fit before estimating"
        return self.means.look_up(queries)

    def to_state(self) -> State:
        """The table."""
        return self.means.to_state() if self.means is not None else State(arrays={"table": np.empty((0, 0))})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        del embedder
        return cls(TaskMeans.from_state(state))
