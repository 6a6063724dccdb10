"""Gradient-boosted trees on the embedding's main directions and the length: for effects that are no line. Fitted with scikit-learn, kept
and evaluated as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from workbench.core import MissingExtra
from workbench.routing.exact import FINE, fine_rows, grid_weights
from workbench.routing.predictors.predictor import State, TextEmbedder
from workbench.routing.predictors.prompt_length import length_rank, sorted_lengths
from workbench.routing.predictors.ridge import needed_embedder
from workbench.routing.queries import FloatArray, IntArray, Queries

DIRECTIONS = 32
TREES = 120
LEAVES = 8
LEARNING_RATE = 0.06
_STEP = 2.0**-30
"""Leaf values are kept in these steps, so that a sum over trees is exact in any order."""


@dataclass(slots=True)
class BoostingQuality:
    """A level and the uplift of every model over the best single one, each a sum of small trees.

    Source: J. Friedman, Greedy Function Approximation: A Gradient Boosting Machine, Annals of Statistics 29 (2001).
    """

    kind: ClassVar[str] = "boosting"
    embedder: TextEmbedder
    best: int = 0
    scale: float = 1.0
    directions: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    lengths: FloatArray = field(default_factory=lambda: np.empty(0))
    start: FloatArray = field(default_factory=lambda: np.empty(0))
    nodes: dict[str, Any] = field(default_factory=dict)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """One sum of trees for the best single model's score, one for each other model's uplift over it.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        self.best, self.lengths = int(quality.mean(axis=0).argmax()), sorted_lengths(queries)
        vectors = fine_rows(self.embedder.embed(list(queries.texts))) / FINE
        centred = vectors - vectors.mean(axis=0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :DIRECTIONS]
        self.directions, self.scale = grid_weights(axes)
        features = self._features(queries)
        target = quality - quality[:, [self.best]]
        target[:, self.best] = quality[:, self.best]
        sums = [_boosted(features, target[:, j]) for j in range(target.shape[1])]
        self.start = np.array([start for start, _ in sums])
        self.nodes = _packed([trees for _, trees in sums])
        return self

    def _features(self, queries: Queries) -> FloatArray:
        projected = (fine_rows(self.embedder.embed(list(queries.texts))) @ self.directions) * self.scale
        return np.column_stack([projected, length_rank(queries, self.lengths)])

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        features, nodes = self._features(queries), self.nodes
        rows = np.arange(len(features))[:, None]
        at = np.broadcast_to(nodes["root"], (len(features), len(nodes["root"]))).copy()
        for _ in range(int(nodes["depth"][0])):
            goes_left = features[rows, nodes["feature"][at]] <= nodes["threshold"][at]
            at = np.where(goes_left, nodes["left"][at], nodes["right"][at])
        leaves = nodes["value"][at]
        m = len(self.start)
        added = np.column_stack([leaves[:, nodes["model"] == j].sum(axis=1) for j in range(m)])
        found = self.start + added * _STEP
        level = found[:, [self.best]].copy()
        found[:, self.best] = 0.0
        estimate: FloatArray = level + found
        return estimate

    def to_state(self) -> State:
        """Directions, lengths and the trees' nodes."""
        settings: dict[str, Any] = {"best": self.best, "scale": self.scale, "embedder": self.embedder.fingerprint}
        named = {name: getattr(self, name) for name in ("directions", "lengths", "start")}
        return State(settings, named | {f"node_{name}": array for name, array in self.nodes.items()})

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        nodes = {n.removeprefix("node_"): a for n, a in state.arrays.items() if n.startswith("node_")}
        named = {name: state.arrays[name] for name in ("directions", "lengths", "start")}
        embedder = needed_embedder(cls.kind, embedder)
        return cls(embedder, int(state.settings["best"]), float(state.settings["scale"]), nodes=nodes, **named)


Tree = dict[str, Any]


def _boosted(features: FloatArray, target: FloatArray) -> tuple[float, list[Tree]]:
    """The start value and the trees of one target, as arrays."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ModuleNotFoundError as exc:
        raise MissingExtra("the boosting predictor", "routing") from exc
    model = HistGradientBoostingRegressor(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=LEARNING_RATE,
        min_samples_leaf=30,
        l2_regularization=1.0,
        early_stopping=len(features) >= 200,
        n_iter_no_change=8,
        random_state=0,
    ).fit(features, target)
    names = {"feature": "feature_idx", "threshold": "num_threshold", "left": "left", "right": "right", "value": "value"}
    trees = [
        {**{ours: stage[0].nodes[theirs] for ours, theirs in names.items()}, "is_leaf": stage[0].nodes["is_leaf"]}
        for stage in model._predictors
    ]
    return float(np.ravel(model._baseline_prediction)[0]), trees


def _packed(sums: list[list[Tree]]) -> dict[str, Any]:
    """All trees of all models in one table; a leaf leads to itself, so that every walk may take the deepest tree's steps."""
    parts: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots, models, depth, begin = [], [], 0, 0
    for model, trees in enumerate(sums):
        for tree in trees:
            leaf = tree["is_leaf"].astype(bool)
            own = begin + np.arange(len(leaf))
            parts["feature"].append(np.where(leaf, 0, tree["feature"]))
            parts["threshold"].append(np.where(leaf, 0.0, tree["threshold"]))
            parts["left"].append(np.where(leaf, own, begin + tree["left"].astype(np.int64)))
            parts["right"].append(np.where(leaf, own, begin + tree["right"].astype(np.int64)))
            parts["value"].append(np.where(leaf, np.rint(tree["value"] / _STEP), 0.0))
            roots.append(begin)
            models.append(model)
            depth = max(depth, _depth(tree))
            begin += len(leaf)
    packed = {name: np.concatenate(arrays) if arrays else np.empty(0) for name, arrays in parts.items()}
    whole: dict[str, IntArray] = {
        "root": np.array(roots, np.intp),
        "model": np.array(models, np.intp),
        "depth": np.array([depth], np.intp),
    }
    for name in ("feature", "left", "right"):
        packed[name] = packed[name].astype(np.intp)
    return packed | whole


def _depth(tree: Tree) -> int:
    """Steps from the root to the deepest leaf."""
    deepest, level = 0, [0]
    while level := [
        int(child) for node in level if not tree["is_leaf"][node] for child in (tree["left"][node], tree["right"][node])
    ]:
        deepest += 1
    return deepest
