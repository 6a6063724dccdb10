"""Logistic regression on the embedding: chances that a model does better, and that it does worse, than the best single one.

`quality_j = σ(z₀) + σ(z_j⁺) − σ(z_j⁻)`: z₀ for the best single model's score, z_j⁺ and z_j⁻ for how far model j lies above and below it.
Scores between 0 and 1 count as fractions of a success.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from workbench.routing.exact import FINE, fine_rows, grid_weights
from workbench.routing.predictors.folds import folds_of
from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.queries import FloatArray, Queries

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Tried factors of |w|² / 2 beside the mean log loss."""
_Z = np.linspace(-20.0, 20.0, 4001)
_SIGMOID = 1.0 / (1.0 + np.exp(-_Z))
"""σ by table and straight lines between its entries: the same bits in any batch, which a vectorised exponential does not promise."""


@dataclass(slots=True)
class LogisticQuality:
    """Fractional logistic regressions against the best single model; one penalty, chosen on a held-out fold."""

    kind: ClassVar[str] = "logistic"
    embedder: TextEmbedder
    best: int = 0
    weights: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    weight_scale: float = 1.0
    length_weights: FloatArray = field(default_factory=lambda: np.empty(0))
    offset: FloatArray = field(default_factory=lambda: np.empty(0))
    lengths: FloatArray = field(default_factory=lambda: np.empty(0))

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Choose the penalty, then fit on everything."""
        self.best, self.lengths = int(quality.mean(axis=0).argmax()), sorted_lengths(queries)
        vectors = fine_rows(self.embedder.embed(list(queries.texts))) / FINE
        features = np.column_stack([vectors, length_rank(queries, self.lengths) - 0.5])
        gain = np.clip(np.delete(quality, self.best, axis=1) - quality[:, [self.best]], -1.0, 1.0)
        target = np.column_stack(
            [np.clip(quality[:, self.best], 0.0, 1.0), np.maximum(gain, 0.0), np.maximum(-gain, 0.0)]
        )
        held = folds_of(queries) == 0
        penalty = PENALTIES[-1]
        if held.any() and not held.all():
            losses = [
                _loss(_fitted(features[~held], target[~held], p), features[held], target[held]) for p in PENALTIES
            ]
            penalty = PENALTIES[int(np.argmin(losses))]
        slope = _fitted(features, target, penalty)
        self.weights, self.weight_scale = grid_weights(slope[:-2])
        self.length_weights, self.offset = slope[-2], slope[-1]
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        z = (fine_rows(self.embedder.embed(list(queries.texts))) @ self.weights) * self.weight_scale
        z += (length_rank(queries, self.lengths) - 0.5)[:, None] * self.length_weights
        z += self.offset
        chance = np.interp(z, _Z, _SIGMOID)
        others = (z.shape[1] - 1) // 2
        gains = chance[:, 1 : 1 + others] - chance[:, 1 + others :]
        return chance[:, :1] + np.insert(gains, self.best, 0.0, axis=1)

    def to_state(self) -> State:
        """Weights and lengths."""
        settings: dict[str, Any] = {
            "best": self.best,
            "weight_scale": self.weight_scale,
            "embedder": self.embedder.fingerprint,
        }
        named = ("weights", "length_weights", "offset", "lengths")
        return State(settings, {name: getattr(self, name) for name in named})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        settings = state.settings
        embedder = needed_embedder(cls.kind, embedder)
        return cls(embedder, int(settings["best"]), weight_scale=float(settings["weight_scale"]), **state.arrays)


def _fitted(features: FloatArray, target: FloatArray, penalty: float) -> FloatArray:
    """Weights of every target column, shape (p + 1, t); the last row is the intercept, which is not penalised."""
    from scipy.optimize import minimize

    x = np.column_stack([features, np.ones(len(features))])
    shape = (x.shape[1], target.shape[1])
    penalised = np.ones((shape[0], 1))
    penalised[-1] = 0.0
    start = np.zeros(shape)
    mean = np.clip(target.mean(axis=0), 1e-4, 1 - 1e-4)
    start[-1] = np.log(mean / (1 - mean))

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        w = flat.reshape(shape)
        z = x @ w
        value = np.logaddexp(0.0, z).sum() - (target * z).sum()
        slope = x.T @ (1.0 / (1.0 + np.exp(-np.clip(z, -40, 40))) - target)
        held = penalty * len(x) * penalised * w
        return (value + 0.5 * float((held * w).sum())) / len(x), ((slope + held) / len(x)).ravel()

    found: FloatArray = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 100}).x
    return found.reshape(shape)


def _loss(slope: FloatArray, features: FloatArray, target: FloatArray) -> float:
    z = features @ slope[:-1] + slope[-1]
    return float(np.logaddexp(0.0, z).sum() - (target * z).sum())
