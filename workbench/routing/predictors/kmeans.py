"""Quality by cluster: prompts are grouped by k-means, and each group has a shrunken mean for each model. A look-up, nothing more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from workbench.routing.exact import coarse_rows
from workbench.routing.predictors.clusters import Clusters
from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.predictors.task_mean import TaskMeanQuality
from workbench.routing.queries import BoolArray, FloatArray, Queries


@dataclass(slots=True)
class KMeansQuality:
    """The shrunken means of the nearest fine centre's group; prompts unlike all recorded ones get each model's mean.

    Source: the idea of clusters as a routing table is that of Avengers-Pro (arXiv 2508.12631).
    """

    kind: ClassVar[str] = "kmeans"
    embedder: TextEmbedder
    clusters: Clusters | None = None
    means: TaskMeanQuality | None = None

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Group, then average."""
        vectors = coarse_rows(self.embedder.embed(list(queries.texts)))
        self.clusters = Clusters.fit(vectors)
        self.means = TaskMeanQuality().fit(self._labelled(queries)[0], quality)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        return self.assess(queries)[0]

    def assess(self, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
        """Expected quality, and which requests are unlike all recorded ones."""
        assert self.means is not None, "fit before estimating"
        labelled, strange = self._labelled(queries)
        return self.means.estimate(labelled), strange

    def _labelled(self, queries: Queries) -> tuple[Queries, BoolArray]:
        """The requests with the number of their group as the task; None where unlike all recorded ones."""
        assert self.clusters is not None, "fit before estimating"
        if not len(queries):
            return queries, np.empty(0, np.bool_)
        similarities = self.clusters.similarities(coarse_rows(self.embedder.embed(list(queries.texts))))
        fine = similarities[:, -self.clusters.sizes[-1] :]
        strange: BoolArray = similarities.max(axis=1) < self.clusters.border
        groups = zip(fine.argmax(axis=1).tolist(), strange.tolist(), strict=True)
        return replace(queries, tasks=tuple(None if odd else f"{group:04d}" for group, odd in groups)), strange

    def to_state(self) -> State:
        """Centres and table."""
        assert self.clusters is not None, "fit before saving"
        assert self.means is not None, "fit before saving"
        parts = {"clusters": self.clusters.to_state(), "means": self.means.to_state()}
        settings = {name: part.settings for name, part in parts.items()}
        arrays = {n: array for name, part in parts.items() for n, array in part.within(name).items()}
        return State({**settings, "embedder": self.embedder.fingerprint}, arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        clusters = Clusters.from_state(state.part("clusters", state.settings["clusters"]))
        means = TaskMeanQuality.from_state(state.part("means", state.settings["means"]), None)
        return cls(needed_embedder(cls.kind, embedder), clusters, means)
