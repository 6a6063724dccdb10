"""The plain mean of several estimators: errors that they do not share cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from workbench.routing.predictors.knn import KNNQuality
from workbench.routing.predictors.predictor import QualityEstimator, State, TextEmbedder
from workbench.routing.predictors.ridge import RidgeOnTaskQuality, RidgeQuality, needed_embedder
from workbench.routing.predictors.shared import LastBatch
from workbench.routing.queries import FloatArray, Queries


@dataclass(slots=True)
class BlendQuality:
    """Mean of ridge and kNN on one embedder."""

    kind: ClassVar[str] = "blend"
    ridge: ClassVar[type[RidgeQuality]] = RidgeQuality
    parts: tuple[QualityEstimator, ...]

    @classmethod
    def on(cls, embedder: TextEmbedder) -> Self:
        """An unfitted blend."""
        shared = LastBatch(embedder)
        return cls((cls.ridge(shared), KNNQuality(shared)))

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Fit every part."""
        for part in self.parts:
            part.fit(queries, quality)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        first, *others = (part.estimate(queries) for part in self.parts)
        for other in others:
            first = first + other
        return first / len(self.parts)

    def to_state(self) -> State:
        """The parts' states."""
        states = {part.kind: part.to_state() for part in self.parts}
        arrays = {name: array for kind, state in states.items() for name, array in state.within(kind).items()}
        embedder = next(iter(states.values())).settings["embedder"]
        return State({"parts": {kind: s.settings for kind, s in states.items()}, "embedder": embedder}, arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        shared = LastBatch(needed_embedder(cls.kind, embedder))
        parts: tuple[type[RidgeQuality] | type[KNNQuality], ...] = (cls.ridge, KNNQuality)
        settings = state.settings["parts"]
        return cls(tuple(p.from_state(state.part(p.kind, settings[p.kind]), shared) for p in parts))


@dataclass(slots=True)
class BlendOnTaskQuality(BlendQuality):
    """Mean of ridge on top of task means, and kNN; for callers who know the task."""

    kind: ClassVar[str] = "blend-task"
    ridge: ClassVar[type[RidgeQuality]] = RidgeOnTaskQuality
