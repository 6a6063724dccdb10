"""Matrix factorisation: models differ along a few directions, and a prompt's place on each is a line in its embedding.

The differences between models are turned to the axes along which they vary most, `differences = F Vᵀ`. Each factor is regressed on the
embedding with a penalty of its own: one that the embedding does not explain gets the largest penalty and drops out. With eleven models
of two families two or three factors remain, and each is learned from all models at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from workbench.routing.exact import FINE, fine_rows
from workbench.routing.predictors.additive import AdditiveQuality, Terms
from workbench.routing.predictors.folds import folds_of
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.predictors.spectrum import validated
from workbench.routing.queries import FloatArray, Queries


@dataclass(slots=True)
class FactorsQuality:
    """`quality = mean + level + Σ_k (embedding · u_k) v_k`."""

    kind: ClassVar[str] = "factors"
    embedder: TextEmbedder
    fitted: AdditiveQuality | None = None
    held_out: FloatArray | None = field(default=None, repr=False)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Turn, regress each factor, turn back."""
        lengths, mean = sorted_lengths(queries), quality.mean(axis=0)
        vectors = fine_rows(self.embedder.embed(list(queries.texts))) / FINE
        features = np.column_stack([vectors, length_rank(queries, lengths) - 0.5])
        level, differences = level_and_differences(quality - mean)
        axes = np.linalg.eigh(differences.T @ differences)[1]
        found = validated(features, np.column_stack([level, differences @ axes]), folds_of(queries), together=False)
        back = np.concatenate([np.ones((1, len(mean))), axes.T])
        slope = found.line.slope @ back
        self.held_out = mean + found.held_out @ back
        terms = Terms(
            offset=mean + found.line.intercept @ back,
            mean=mean[None, :],
            lengths=lengths,
            length=np.stack([slope[-1], np.zeros(len(mean))]),
            weights=slope[:-1],
        )
        self.fitted = AdditiveQuality(self.embedder, terms)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        assert self.fitted is not None, "fit before estimating"
        return self.fitted.estimate(queries)

    def to_state(self) -> State:
        """The sum's state."""
        assert self.fitted is not None, "fit before saving"
        return self.fitted.to_state()

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        embedder = needed_embedder(cls.kind, embedder)
        return cls(embedder, AdditiveQuality.from_state(state, embedder))
