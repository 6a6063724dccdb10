"""Every request is expected to do as well as the mean request: the bar for everything that looks at the prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.queries import FloatArray, Queries


@dataclass(slots=True)
class ConstantQuality:
    """The mean score of each model."""

    kind: ClassVar[str] = "constant"
    mean: FloatArray = field(default_factory=lambda: np.empty(0))

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Learn the means."""
        del queries
        self.mean = quality.mean(axis=0)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """The same row for every request, shape (n, m)."""
        return np.repeat(self.mean[None, :], len(queries), axis=0)

    def to_state(self) -> State:
        """The means."""
        return State(arrays={"mean": self.mean})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        del embedder
        return cls(state.arrays["mean"])
