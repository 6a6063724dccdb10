"""Quality as a sum of simple terms: a level, the length, the task, a straight line in the embedding, and a value at each cluster centre.

Every linear predictor is such a sum, and a weighted mean of sums is one again: a stack of a dozen of them costs a live request as
much as one.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from workbench.routing.exact import coarse_of, grid_factors, scaled_rows
from workbench.routing.predictors.clusters import Clusters
from workbench.routing.predictors.means import codes_of, picked, task_rows
from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.predictors.prompt_length import rank_among
from workbench.routing.predictors.surface import Surface
from workbench.routing.queries import BoolArray, FloatArray, Queries

_BLOCK = 512
"""Rows at a time: their features, 3 MB with 384 coordinates and 432 centres, stay in the processor's cache."""
_ARRAYS = ("offset", "lengths", "length", "task", "weights", "at_centre", "task_at_centre", "mean", "surface")


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
        surfaces: how a prompt is written, beside the recorded ones; None without.
        surface: factors of its features, shape (s, m).
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
    surfaces: Surface | None = None
    surface: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

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
    surfaces = next((t.surfaces for _, t in parts if t.surfaces is not None), None)

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
        surfaces=surfaces,
        surface=np.empty((0, 0)) if surfaces is None else total("surface", len(surfaces)),
    )


@dataclass(slots=True)
class AdditiveQuality:
    """Terms made ready for requests: length and task are rows of tables, everything else is one product.

    A request's features are whole numbers: the coordinates of its embedding, then its shares of the centres. Their product with the
    factors is exact, so that it does not depend on the batch. Another term that is linear in features of a prompt is another group of
    columns in `_features` and of rows in `_factors`; beyond finding the features it costs a request next to nothing.
    """

    kind: ClassVar[str] = "additive"
    embedder: TextEmbedder | None
    terms: Terms
    _bends: list[float] = field(init=False, repr=False)
    _by_length: FloatArray = field(init=False, repr=False)
    _rows: dict[str | None, int] = field(init=False, repr=False)
    _by_task: FloatArray = field(init=False, repr=False)
    _factors: FloatArray = field(init=False, repr=False)
    _unlabelled_factors: FloatArray | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        terms = self.terms
        self._bends, self._by_length = _length_table(terms)
        self._rows, self._by_task = task_rows(terms.tasks), terms.task
        labelled, unlabelled = terms.at_centre, None
        if len(terms.task_at_centre):  # what is usual near the centres stands in for the row of an unknown task
            self._rows[None] = len(terms.tasks)
            self._by_task = np.insert(terms.task, len(terms.tasks), 0.0, axis=0)
            unlabelled = terms.at_centre + terms.task_at_centre
        n_sets = 0 if terms.clusters is None else len(terms.clusters.sizes)
        tables = (values for values in (labelled, unlabelled) if values is not None)
        most = max(_largest_sum(terms, values, n_sets) for values in tables)
        self._factors = grid_factors(_stacked(terms, labelled), most)
        self._unlabelled_factors = None
        if unlabelled is not None:
            self._unlabelled_factors = grid_factors(_stacked(terms, unlabelled), most)

    @property
    def needs_vectors(self) -> bool:
        """Whether it embeds."""
        return bool(len(self._factors))

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        return self.assess(queries)[0]

    def assess(self, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
        """Expected quality (n, m), and which requests lie outside what was recorded (n,): those get each model's mean on
        their task."""
        base = self._base(queries)
        if not self.needs_vectors or not len(queries):
            return base.copy(), None
        assert self.embedder is not None
        vectors = self.embedder.embed(list(queries.texts))
        if len(vectors) <= _BLOCK:
            return self._block(base, vectors, queries.texts, queries.tasks)
        blocks = (slice(start, start + _BLOCK) for start in range(0, len(vectors), _BLOCK))
        parts = [self._block(base[at], vectors[at], queries.texts[at], queries.tasks[at]) for at in blocks]
        strange = [odd for _, odd in parts if odd is not None]
        return np.concatenate([part for part, _ in parts]), np.concatenate(strange) if strange else None

    def _base(self, queries: Queries) -> FloatArray:
        """Level, length and task, shape (n, m); not to be written to."""
        base = picked(self._by_length, [bisect_right(self._bends, len(text)) for text in queries.texts])
        if not len(self._by_task):
            return base
        return base + picked(self._by_task, codes_of(self._rows, queries.tasks, len(self._by_task) - 1))

    def _block(
        self, base: FloatArray, vectors: npt.NDArray[Any], texts: tuple[str, ...], tasks: tuple[str | None, ...]
    ) -> tuple[FloatArray, BoolArray | None]:
        """The base with what the vectors say, and which of them are unlike all recorded ones."""
        features, strange = self._features(vectors, texts)
        estimate = self._products(features, tasks)
        estimate += base
        if strange is not None and np.count_nonzero(strange):
            rows, labels = np.flatnonzero(strange).tolist(), self.terms.tasks
            codes = codes_of(task_rows(labels), [tasks[row] for row in rows], len(labels))
            estimate[rows] = picked(self.terms.mean, codes)
        return estimate, strange

    def _features(self, vectors: npt.NDArray[Any], texts: tuple[str, ...]) -> tuple[FloatArray, BoolArray | None]:
        """Whole features in the order of the factors, shape (n, p), and which prompts are unlike all recorded ones, shape (n,)."""
        scaled, clusters, d = scaled_rows(vectors), self.terms.clusters, len(self.terms.weights)
        features = np.empty((len(scaled), len(self._factors)))
        if d:
            np.rint(scaled, out=features[:, :d])
        if self.terms.surfaces is not None:
            self.terms.surfaces.whole(texts, out=features[:, len(self._factors) - len(self.terms.surface) :])
        if clusters is None:
            return features, None
        similarities = clusters.similarities(coarse_of(scaled))
        clusters.shares(similarities, out=features[:, d : d + len(clusters)])
        return features, clusters.are_strange(similarities)

    def _products(self, features: FloatArray, tasks: tuple[str | None, ...]) -> FloatArray:
        """Features times factors, shape (n, m); requests without a label may have factors of their own."""
        products: FloatArray
        if self._unlabelled_factors is None or None not in tasks:
            products = features.dot(self._factors)  # on one row `dot` takes half as long as `@`
        elif tasks.count(None) == len(tasks):
            products = features.dot(self._unlabelled_factors)
        else:
            unlabelled = np.array([task is None for task in tasks])[:, None]
            products = np.where(unlabelled, features.dot(self._unlabelled_factors), features.dot(self._factors))
        return products

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
        if terms.surfaces is not None:
            arrays |= terms.surfaces.to_state().within("surfaces")
        return State(settings, arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        clusters = None
        if "clusters" in state.settings:
            clusters = Clusters.from_state(state.part("clusters", state.settings["clusters"]))
        surfaces = None
        if "surfaces.centre" in state.arrays:
            surfaces = Surface.from_state(state.part("surfaces", {}))
        arrays = {name: state.arrays[name] for name in _ARRAYS if name in state.arrays}
        terms = Terms(tasks=tuple(state.settings["tasks"]), clusters=clusters, surfaces=surfaces, **arrays)
        return cls(embedder, terms)


def _length_table(terms: Terms) -> tuple[list[float], FloatArray]:
    """Level and length term by length: where the recorded lengths bend it, and its value on each piece, shape (bends + 1, m).

    Lengths are whole, so that a piece is one recorded length or what lies between two of them.
    """
    if not len(terms.lengths):
        return [], terms.offset[None, :]
    known = np.unique(terms.lengths)
    bends = np.column_stack([known, known + 0.5]).ravel()
    r = rank_among(np.append(known[0] - 1.0, bends), terms.lengths)[:, None] - 0.5
    return bends.tolist(), terms.offset + r * terms.length[0] + (r * r - 1.0 / 12.0) * terms.length[1]


def _stacked(terms: Terms, values: FloatArray) -> FloatArray:
    """The factors of all features: coordinates, shares of the centres, how the prompt is written; shape (d + k + s, m)."""
    return np.concatenate([part for part in (terms.weights, values, terms.surface) if len(part)] or [terms.weights])


def _largest_sum(terms: Terms, values: FloatArray, n_sets: int) -> float:
    """Bound of any partial sum: unit rows times weights by Cauchy-Schwarz, shares that sum to 1 in each set, and bounded features."""
    line = float(np.sqrt((terms.weights * terms.weights).sum(axis=0)).max(initial=0.0))
    total = line + n_sets * float(np.abs(values).max(initial=0.0))
    if terms.surfaces is not None:
        total += terms.surfaces.largest * float(np.abs(terms.surface).sum(axis=0).max(initial=0.0))
    return total
