"""Quality as a straight line in the prompt's length rank: one line of code that learned routers must beat.

On RouteLLM's MMLU rows a length threshold alone recovers 0.58 of the gap, the best trained router of the paper 0.60.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.queries import FloatArray, Queries


def length_rank(queries: Queries, known_lengths: FloatArray) -> FloatArray:
    """Share of the known prompts that are shorter, ties counted half, in 0..1, shape (n,). Lengths are characters."""
    return rank_among(np.array([len(text) for text in queries.texts], np.float64), known_lengths)


def rank_among(lengths: FloatArray, known_lengths: FloatArray) -> FloatArray:
    """The same for lengths, shape (n,)."""
    below = known_lengths.searchsorted(lengths, "left") + known_lengths.searchsorted(lengths, "right")
    return below / (2.0 * max(len(known_lengths), 1))


def sorted_lengths(queries: Queries) -> FloatArray:
    """The lengths that `length_rank` compares with."""
    return np.sort(np.fromiter((len(text) for text in queries.texts), np.float64, len(queries)))


@dataclass(slots=True)
class PromptLengthQuality:
    """`quality_j = mean_j + slope_j · (rank − ½)`; with two models that is a threshold on the length, in the direction the data say."""

    kind: ClassVar[str] = "prompt-length"
    lengths: FloatArray = field(default_factory=lambda: np.empty(0))
    mean: FloatArray = field(default_factory=lambda: np.empty(0))
    slope: FloatArray = field(default_factory=lambda: np.empty(0))

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Least squares on the rank."""
        self.lengths = sorted_lengths(queries)
        centred = length_rank(queries, self.lengths) - 0.5
        self.mean = quality.mean(axis=0)
        spread = float(centred @ centred)
        self.slope = centred @ (quality - self.mean) / spread if spread > 0 else np.zeros_like(self.mean)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        centred = length_rank(queries, self.lengths) - 0.5
        return self.mean + centred[:, None] * self.slope

    def to_state(self) -> State:
        """Lengths, means and slopes."""
        return State(arrays={"lengths": self.lengths, "mean": self.mean, "slope": self.slope})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        del embedder
        return cls(**state.arrays)
