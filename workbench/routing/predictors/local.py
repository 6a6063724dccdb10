"""Ridge on the embedding *and* on nearness to cluster centres, so that it follows both a trend and what is special about a region.

A straight line in the embedding misses that one kind of prompt is an exception; a mean over neighbours knows the exception and little
else. Fitted together, each takes what the other leaves: on RouteLLM's MMLU rows with MiniLM the line alone recovers 0.638 of the gap,
150 neighbours 0.649, both together 0.658, at a fraction of the neighbours' cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from workbench.routing.exact import COARSE, FINE, unit_rows
from workbench.routing.predictors.additive import AdditiveQuality, Terms
from workbench.routing.predictors.clusters import FAMILIAR_SHARE, SETS, Clusters, Vectors
from workbench.routing.predictors.folds import folds_of
from workbench.routing.predictors.means import task_codes
from workbench.routing.predictors.predictor import State, TextEmbedder, level_and_differences
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.predictors.spectrum import Line, validated
from workbench.routing.predictors.surface import Surface
from workbench.routing.predictors.task_mean import TaskMeanQuality
from workbench.routing.queries import BoolArray, FloatArray, IntArray, Queries

CENTRE_SCALE = 2.0
"""How much less a value at a centre is penalised than a coordinate of the embedding; chosen on half of MMLU's rows."""
TASK_SCALE = 1.0
LEAST_NEW = 20
"""With fewer new rows their least similarity says nothing about the border."""


@dataclass(slots=True)
class LocalQuality:
    """`quality = level + line in embedding, length and manner of writing + values at the centres, weighed by nearness`."""

    kind: ClassVar[str] = "local"
    with_tasks: ClassVar[bool] = False
    embedder: TextEmbedder
    fitted: AdditiveQuality | None = None
    held_out: FloatArray | None = field(default=None, repr=False)
    clusters: Clusters | None = field(default=None, repr=False)
    task_shares: FloatArray = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Centres, then both penalties by cross-validation, then everything on all rows."""
        unit = unit_rows(self.embedder.embed(list(queries.texts)))
        coarse = np.rint(unit * COARSE).astype(np.float32)
        folds = folds_of(queries)
        clusters = self.clusters or familiar_clusters(coarse, folds)
        shares = clusters.shares_of(coarse)
        tasks = tuple(sorted({t for t in queries.tasks if t is not None})) if self.with_tasks else ()
        codes, lengths = task_codes(queries, tasks), sorted_lengths(queries)
        surfaces = Surface.fit(queries.texts)
        features = np.column_stack(
            [
                np.rint(unit * FINE) / FINE,
                _length_terms(queries, lengths),
                CENTRE_SCALE * shares,
                surfaces.whole(queries.texts) / FINE,
                TASK_SCALE * np.eye(len(tasks) + 1)[codes][:, :-1],
            ]
        )
        mean = quality.mean(axis=0)
        means = TaskMeanQuality().fit(queries, quality).means if tasks else None
        fallback = mean[None, :] if means is None else means.table
        level, differences = level_and_differences(quality - mean)
        target = np.column_stack([level, differences])
        found = validated(features, target, folds)
        self.held_out = mean + found.held_out[:, :1] + found.held_out[:, 1:]
        self.task_shares = _task_shares(shares, codes, len(tasks))
        terms = _terms(found.line, mean, fallback, lengths, tasks, clusters, surfaces, codes, self.task_shares)
        self.fitted = AdditiveQuality(self.embedder, terms)
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        return self.assess(queries)[0]

    def assess(self, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
        """Expected quality, and which requests are unlike all recorded ones."""
        return self.additive().assess(queries)

    def additive(self) -> AdditiveQuality:
        """The fitted sum."""
        assert self.fitted is not None, "fit before estimating"
        return self.fitted

    def to_state(self) -> State:
        """The sum's state."""
        return self.additive().to_state()

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        embedder = needed_embedder(cls.kind, embedder)
        return cls(embedder, AdditiveQuality.from_state(state, embedder))


@dataclass(slots=True)
class LocalOnTaskQuality(LocalQuality):
    """The same with a term for each task; a request without a label gets the mix of tasks that is usual near it."""

    kind: ClassVar[str] = "local-task"
    with_tasks: ClassVar[bool] = True


def familiar_clusters(vectors: Vectors, folds: IntArray) -> Clusters:
    """Clusters whose border of the familiar is drawn by rows that other centres did not see, where there are enough of them.

    Centres lie nearer to the rows that they are means of than to new ones of the same kind: with the border of the former, two percent
    of the new prompts on the reference family were called unfamiliar, and each of those was routed by its mean alone.

    Args:
        vectors: rows on the coarse grid, shape (n, d).
        folds: of each row; the first fold stands for new prompts.
    """
    clusters, new = Clusters.fit(vectors), folds == 0
    if new.sum() < LEAST_NEW or new.all():
        return clusters
    nearest = Clusters.fit(vectors[~new]).similarities(vectors[new]).max(axis=1)
    return replace(clusters, border=min(clusters.border, float(np.quantile(nearest, 1.0 - FAMILIAR_SHARE))))


def _length_terms(queries: Queries, lengths: FloatArray) -> FloatArray:
    r = length_rank(queries, lengths) - 0.5
    return np.column_stack([r, r * r - 1.0 / 12.0])


def _terms(
    line: Line,
    mean: FloatArray,
    fallback: FloatArray,
    lengths: FloatArray,
    tasks: tuple[str, ...],
    clusters: Clusters,
    surfaces: Surface,
    codes: IntArray,
    task_shares: FloatArray,
) -> Terms:
    slope = line.slope[:, :1] + line.slope[:, 1:]
    d = clusters.centres.shape[1]
    weights, length, centres, surface, task = np.split(slope, np.cumsum([d, 2, len(clusters), len(surfaces)]))
    m = slope.shape[1]
    table = np.concatenate([TASK_SCALE * task, np.zeros((1, m))])
    if tasks:  # a label that was never seen gets the mean over the labels
        table[-1] = (np.bincount(codes, minlength=len(tasks) + 1) / len(codes)) @ table
    return Terms(
        offset=mean + line.intercept[0] + line.intercept[1:],
        mean=fallback,
        lengths=lengths,
        length=length,
        tasks=tasks,
        task=table if tasks else np.empty((0, 0)),
        weights=weights,
        clusters=clusters,
        at_centre=CENTRE_SCALE * centres,
        surfaces=surfaces,
        surface=surface,
        task_at_centre=task_shares @ table if tasks else np.empty((0, 0)),
    )


def _task_shares(shares: FloatArray, codes: IntArray, n_tasks: int) -> FloatArray:
    """How often each task was seen near each centre, over the number of sets, shape (k, tasks + 1).

    One pseudo-row of no task keeps empty centres quiet.
    """
    seen: FloatArray = shares.T @ np.eye(n_tasks + 1)[codes]
    seen[:, -1] += 1.0
    found: FloatArray = seen / (len(SETS) * seen.sum(axis=1, keepdims=True))
    return found
