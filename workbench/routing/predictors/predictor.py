"""What a predictor is. Every predictor learns *uplift*: how much better one model does than the others on a request.

Difficulty (how well all models do) does not help to choose, and a predictor that spends its capacity on it routes worse: on
RouteLLM's MMLU rows learning "only the strong model is right" recovers 0.66 of the gap, learning "the weak model is wrong" 0.59.
So quality is split for each request into its *level* (mean over the models) and the models' *differences* to that level. The two
are learned with separate regularisation, each chosen by its own error, and added again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.routing.predictions import Predictions
from workbench.routing.queries import FloatArray, Queries


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A fitted part on its way to disk: plain values and arrays; names of arrays are unique in a part."""

    settings: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def within(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays under names that begin with `prefix.`."""
        return {f"{prefix}.{name}": array for name, array in self.arrays.items()}

    def part(self, prefix: str, settings: dict[str, Any]) -> State:
        """The part whose arrays were stored with `within(prefix)`."""
        start = f"{prefix}."
        return State(settings, {n.removeprefix(start): a for n, a in self.arrays.items() if n.startswith(start)})


class TextEmbedder(Protocol):
    """The part of an embedder that predictors use."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would."""
        ...

    def embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Vectors, shape (n, dim)."""
        ...


class QualityEstimator(Protocol):
    """Estimates the quality of every model on every request."""

    kind: ClassVar[str]

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Learn from complete scores, shape (n, m), and return itself."""
        ...

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m). A row depends on its own request alone, to the last bit."""
        ...

    def to_state(self) -> State:
        """What `from_state` needs."""
        ...

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        ...


class Predictor(Protocol):
    """Estimates quality, cost and latency of every model on every request."""

    @property
    def kind(self) -> str:
        """Name in the registry."""
        ...

    def fit(self, queries: Queries, quality: FloatArray, cost: FloatArray, latency: FloatArray) -> Self:
        """Learn from measured arrays of shape (n, m), NaN where not measured, and return itself."""
        ...

    def predict(self, queries: Queries) -> Predictions:
        """Expectations, arrays of shape (n, m). A row depends on its own request alone, to the last bit."""
        ...

    def to_state(self) -> State:
        """What `from_state` needs."""
        ...


def completed(quality: FloatArray) -> FloatArray:
    """Scores with each missing cell replaced by its model's mean plus its request's mean deviation (additive model).

    Raises:
        ConfigError: no rows, or a model without a single score.
    """
    if quality.ndim != 2 or quality.size == 0:
        raise ConfigError(
            f"nothing to learn from: scores have shape {quality.shape}, expected (requests, models), both at least 1"
        )
    measured = ~np.isnan(quality)
    if measured.all():
        return quality
    if not measured.any(axis=0).all():
        empty = np.flatnonzero(~measured.any(axis=0)).tolist()
        raise ConfigError(f"the models in columns {empty} have no score at all; leave them out or measure them")
    by_model = np.nanmean(quality, axis=0)
    deviation = np.where(measured, quality - by_model, 0.0).sum(axis=1) / np.maximum(measured.sum(axis=1), 1)
    return np.where(measured, quality, by_model + deviation[:, None])


def level_and_differences(quality: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A request's mean score over the models, shape (n, 1), and each model's difference to it, shape (n, m)."""
    level = quality.mean(axis=1, keepdims=True)
    return level, quality - level
