"""Quality as a sum of simple terms: a level, the length, the task, a straight line in the embedding, and a value at each cluster centre.

Every linear predictor is such a sum, and a weighted mean of sums is one again: a stack of a dozen of them costs a live request as
much as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from workbench.routing.exact import COARSE, FINE, grid_weights, unit_rows
from workbench.routing.predictors.clusters import WHOLE, Clusters
from workbench.routing.predictors.means import codes_by, task_rows
from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.predictors.prompt_length import length_rank
from workbench.routing.queries import BoolArray, FloatArray, Queries

_VALUE_STEP = 2.0**-26
"""Values at centres are kept in these steps: shares of three sets sum to 3 · 2^20, so that a sum stays below 2^53 for values up to ±40."""
_PRODUCT_STEP = _VALUE_STEP / WHOLE
_ARRAYS = ("offset", "lengths", "length", "task", "weights", "at_centre", "task_at_centre", "mean")


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms as plain numbers; m models.

    Args:
        offset: level of each model, shape (m,).
        mean: mean score of each model on each task, for prompts unlike all recorded ones; the last row for any other task,
            shape (len(tasks) + 1, m).
        lengths: recorded lengths in ascending order; a prompt's rank among them is r in 0..1.
        length: factors of r − ½ and of (r − ½)² − 1/12, shape (2, m).
        tasks: known task labels.
        task: added for each known label; the last row for any other, shape (len(tasks) + 1, m).
        weights: of the embedding's coordinates, shape (d, m); d = 0 without.
        clusters: the centres; None without.
        at_centre: value at each centre, weighed by nearness, shape (k, m).
        task_at_centre: expected `task` term near each centre, used when a request has no label, shape (k, m).
    """

    offset: FloatArray
    mean: FloatArray
    lengths: FloatArray
    length: FloatArray
    tasks: tuple[str, ...] = ()
    task: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    weights: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    clusters: Clusters | None = None
    at_centre: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    task_at_centre: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def constant(cls, mean: FloatArray) -> Self:
        """The same for every request."""
        return cls(mean, mean[None, :], np.empty(0), np.zeros((2, len(mean))))


def weighted_sum(parts: list[tuple[float, Terms]]) -> Terms:
    """The sum of terms that were fitted on the same requests, each times its weight; weights sum to 1."""
    m = len(parts[0][1].offset)
    longest = max((t for _, t in parts), key=lambda t: (t.clusters is not None, len(t.tasks), len(t.weights)))
    tasks = max((t.tasks for _, t in parts), key=len)
    clusters = longest.clusters
    lengths = max((t.lengths for _, t in parts), key=len)
    d = max(len(t.weights) for _, t in parts)
    k = 0 if clusters is None else len(clusters)

    def total(name: str, rows: int) -> FloatArray:
        out = np.zeros((rows, m))
        for weight, part in parts:
            array = getattr(part, name)
            if len(array):
                out += weight * array
        return out

    return Terms(
        offset=sum((w * t.offset for w, t in parts), np.zeros(m)),
        mean=max((t.mean for _, t in parts), key=len),
        lengths=lengths,
        length=total("length", 2),
        tasks=tasks,
        task=total("task", len(tasks) + 1) if tasks else np.empty((0, 0)),
        weights=total("weights", d) if d else np.empty((0, 0)),
        clusters=clusters,
        at_centre=total("at_centre", k) if k else np.empty((0, 0)),
        task_at_centre=total("task_at_centre", k) if k and tasks else np.empty((0, 0)),
    )


@dataclass(slots=True)
class AdditiveQuality:
    """Terms made ready for requests: whole numbers where sums must not depend on the batch."""

    kind: ClassVar[str] = "additive"
    embedder: TextEmbedder | None
    terms: Terms
    _weights: FloatArray = field(init=False)
    _weight_scale: float = field(init=False)
    _values: FloatArray = field(init=False)
    _task_values: FloatArray = field(init=False)
    _rows: dict[str | None, int] = field(init=False)

    def __post_init__(self) -> None:
        self._weights, self._weight_scale = (
            grid_weights(self.terms.weights) if len(self.terms.weights) else (self.terms.weights, 1.0)
        )
        self._rows = task_rows(self.terms.tasks)
        self._values = np.rint(self.terms.at_centre / _VALUE_STEP)
        self._task_values = np.rint(self.terms.task_at_centre / _VALUE_STEP)

    @property
    def needs_vectors(self) -> bool:
        """Whether it embeds."""
        return bool(len(self._weights) or len(self._values))

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        return self.assess(queries)[0]

    def assess(self, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
        """Expected quality (n, m), and which requests lie outside what was recorded (n,): those get each model's mean on
        their task."""
        terms = self.terms
        estimate = np.repeat(terms.offset[None, :], len(queries), axis=0)
        if len(terms.lengths):
            r = length_rank(queries, terms.lengths)[:, None] - 0.5
            estimate += r * terms.length[0]
            estimate += (r * r - 1.0 / 12.0) * terms.length[1]
        if terms.tasks:
            estimate += terms.task[codes_by(self._rows, queries)]
        if not self.needs_vectors or not len(queries):
            return estimate, None
        assert self.embedder is not None
        unit = unit_rows(self.embedder.embed(list(queries.texts)))
        if len(self._weights):
            estimate += (np.rint(unit * FINE) @ self._weights) * self._weight_scale
        if terms.clusters is None:
            return estimate, None
        return self._near_centres(estimate, unit, queries)

    def _near_centres(self, estimate: FloatArray, unit: FloatArray, queries: Queries) -> tuple[FloatArray, BoolArray]:
        clusters = self.terms.clusters
        assert clusters is not None
        similarities = clusters.similarities(np.rint(unit * COARSE).astype(np.float32))
        shares = clusters.shares(similarities)
        estimate += (shares @ self._values) * _PRODUCT_STEP
        if len(self._task_values) and None in queries.tasks:
            guessed = (shares @ self._task_values) * _PRODUCT_STEP
            unlabelled = np.fromiter((task is None for task in queries.tasks), np.bool_, len(queries))
            estimate += np.where(unlabelled[:, None], guessed - self.terms.task[-1], 0.0)
        strange = similarities.max(axis=1) < clusters.border
        if strange.any():
            estimate[strange] = self.terms.mean[codes_by(self._rows, queries)[strange]]
        return estimate, strange

    def to_state(self) -> State:
        """The terms."""
        terms = self.terms
        settings: dict[str, Any] = {"tasks": list(terms.tasks)}
        if self.needs_vectors and self.embedder is not None:
            settings["embedder"] = self.embedder.fingerprint
        arrays = {name: getattr(terms, name) for name in _ARRAYS}
        if terms.clusters is not None:
            clusters = terms.clusters.to_state()
            settings["clusters"] = clusters.settings
            arrays |= clusters.within("clusters")
        return State(settings, arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        clusters = None
        if "clusters" in state.settings:
            clusters = Clusters.from_state(state.part("clusters", state.settings["clusters"]))
        terms = Terms(tasks=tuple(state.settings["tasks"]), clusters=clusters, **{n: state.arrays[n] for n in _ARRAYS})
        return cls(embedder, terms)
