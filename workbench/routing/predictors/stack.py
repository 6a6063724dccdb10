"""A weighted mean of several estimators, with the weights that would have chosen best on rows that the estimators did not see.

The weights are not negative and sum to 1, and the constant is a member: where nothing helps, the stack says what the constant says.
Linear members are folded into one sum (`additive`), so that a live request is charged for one of them.

Source: D. Wolpert, Stacked Generalization, Neural Networks 5 (1992); L. Breiman, Stacked Regressions, Machine Learning 24 (1996).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from workbench.routing.exact import coarse_rows
from workbench.routing.predictors.additive import AdditiveQuality, Terms, weighted_sum
from workbench.routing.predictors.constant import ConstantQuality
from workbench.routing.predictors.coupling import Coupling
from workbench.routing.predictors.folds import FOLDS, folds_of
from workbench.routing.predictors.local import LocalOnTaskQuality, LocalQuality, familiar_clusters
from workbench.routing.predictors.predictor import QualityEstimator, State, TextEmbedder, level_and_differences
from workbench.routing.predictors.prompt_length import PromptLengthQuality, sorted_lengths
from workbench.routing.predictors.ridge import RidgeQuality, needed_embedder
from workbench.routing.predictors.shared import LastBatch
from workbench.routing.predictors.task_mean import TaskMeanQuality
from workbench.routing.predictors.worth import choice_area
from workbench.routing.queries import BoolArray, FloatArray, IntArray, Queries

LEAST_WEIGHT = 0.02
"""Members below it are dropped: they would change a prediction by less than its noise."""

PARTS = 8
"""The held-out rows are divided into so many parts to see whether a blend that chooses better does so by more than a standard error."""
LEAST_ROWS_A_PART = 10
CLEAR = 2.0
"""Standard errors by which another blend must choose better: a dozen are tried, and the luckiest of them is ahead by one without merit."""

Linear = ConstantQuality | PromptLengthQuality | TaskMeanQuality | RidgeQuality | LocalQuality


@dataclass(slots=True)
class StackQuality:
    """The convex combination of all linear members that fits held-out rows best; weights of level and differences apart."""

    kind: ClassVar[str] = "stack"
    embedder: TextEmbedder
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    fitted: AdditiveQuality | None = None
    held_out: FloatArray | None = field(default=None, repr=False)
    cost_usd: FloatArray | None = field(default=None, repr=False)

    def fit(self, queries: Queries, quality: FloatArray) -> Self:
        """Fit every member, weigh them on held-out rows, join what they say of the models, fold everything into one sum."""
        shared, folds, mean = LastBatch(self.embedder), folds_of(queries), quality.mean(axis=0)
        members = [member.fit(queries, quality) for member in _members(shared, queries, folds)]
        held = {member.kind: _held_out(member, queries, quality, folds) for member in members}
        level, differences = level_and_differences(quality)
        parts = {kind: level_and_differences(values) for kind, values in held.items()}
        apart = {kind: part[1] for kind, part in parts.items()}
        self.weights = {
            "level": convex_weights({kind: part[0] for kind, part in parts.items()}, level),
            "differences": best_choosing(convex_weights(apart, differences), apart, quality, self.cost_usd),
        }
        mixed = blended(self.weights["level"], {kind: part[0] for kind, part in parts.items()}) + blended(
            self.weights["differences"], apart
        )
        coupling = Coupling.fit(mixed, quality, folds)
        self.held_out = coupling.corrected(mixed)
        self.fitted = AdditiveQuality(self.embedder, _folded(members, self.weights, coupling, queries, mean))
        return self

    def estimate(self, queries: Queries) -> FloatArray:
        """Expected quality, shape (n, m)."""
        return self.assess(queries)[0]

    def assess(self, queries: Queries) -> tuple[FloatArray, BoolArray | None]:
        """Expected quality, and which requests are unlike all recorded ones."""
        assert self.fitted is not None, "fit before estimating"
        return self.fitted.assess(queries)

    def to_state(self) -> State:
        """The folded sum, and the weights for the record."""
        assert self.fitted is not None, "fit before saving"
        state = self.fitted.to_state()
        return State({**state.settings, "weights": self.weights}, state.arrays)

    @classmethod
    def from_state(cls, state: State, embedder: TextEmbedder | None) -> Self:
        """The fitted estimator again."""
        fitted = AdditiveQuality.from_state(state, embedder)
        if fitted.needs_vectors:
            embedder = needed_embedder(cls.kind, embedder)
        return cls(embedder, dict(state.settings["weights"]), fitted)  # type: ignore[arg-type]


def _members(embedder: TextEmbedder, queries: Queries, folds: IntArray) -> list[Linear]:
    """What is weighed; label readers only where there are at least two labels."""
    clusters = familiar_clusters(coarse_rows(embedder.embed(list(queries.texts))), folds)
    members: list[Linear] = [ConstantQuality(), PromptLengthQuality(), RidgeQuality(embedder)]
    members.append(LocalQuality(embedder, clusters=clusters))
    if len({task for task in queries.tasks if task is not None}) > 1:
        members += [TaskMeanQuality(), LocalOnTaskQuality(embedder, clusters=clusters)]
    return members


def _held_out(member: QualityEstimator, queries: Queries, quality: FloatArray, folds: IntArray) -> FloatArray:
    """What the member says of each row when it did not see it, shape (n, m); its own cross-validation where it kept it."""
    kept: FloatArray | None = getattr(member, "held_out", None)
    if kept is not None:
        return kept
    out = np.empty_like(quality)
    for fold in range(FOLDS):
        held, seen = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(held):
            seen = seen if len(seen) else held
            out[held] = type(member)().fit(queries[seen], quality[seen]).estimate(queries[held])
    return out


def convex_weights(estimates: dict[str, FloatArray], target: FloatArray) -> dict[str, float]:
    """Weights ≥ 0 with sum 1 that make the weighted mean of `estimates` closest to `target` (squares); small ones are dropped.

    Args:
        estimates: name → held-out estimates, shape (n, t).
        target: shape (n, t).
    """
    from scipy.optimize import nnls

    columns = np.column_stack([values.ravel() for values in estimates.values()])
    errors = columns - target.ravel()[:, None]
    # With Σw = 1 the residual is Σ w (estimate − target): minimise |E w|², the sum held by a heavy row.
    gram = errors.T @ errors
    scale = float(np.trace(gram)) or 1.0
    values, vectors = np.linalg.eigh(gram / scale)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    ones = np.full((1, len(estimates)), 1e3)
    found, _ = nnls(np.concatenate([root, ones]), np.append(np.zeros(len(root)), 1e3))
    kept = np.where(found >= LEAST_WEIGHT, found, 0.0)
    kept = kept / kept.sum() if kept.sum() > 0 else np.full(len(found), 1.0 / len(found))
    return {name: float(w) for name, w in zip(estimates, kept, strict=True) if w > 0}


def blended(weights: dict[str, float], estimates: dict[str, FloatArray]) -> FloatArray:
    """The weighted mean."""
    first, *others = weights
    total: FloatArray = weights[first] * estimates[first]
    for kind in others:
        total = total + weights[kind] * estimates[kind]
    return total


def best_choosing(
    mix: dict[str, float], estimates: dict[str, FloatArray], quality: FloatArray, cost: FloatArray | None
) -> dict[str, float]:
    """Of the mix, each member alone and each half-way blend, the one whose choices on held-out rows are worth most, if by more than noise.

    The mix has the least squared error over all models, but a choice hangs on the best few; on the reference family the mix alone
    recovers less than its member `task-mean`. A gain within two standard errors is none.

    Args:
        mix: weights of the least squared error.
        estimates: held-out differences by member, shape (n, m).
        quality, cost: measured, shape (n, m); cost None keeps the mix.
    """
    if cost is None:
        return mix
    candidates = [mix]
    for kind in (
        k for k in estimates if k != ConstantQuality.kind
    ):  # blending with a constant changes the scale, not the order
        half = {k: 0.5 * w for k, w in mix.items()}
        half[kind] = half.get(kind, 0.0) + 0.5
        candidates += [half, {kind: 1.0}]
    worth = np.array([_worth_in_parts(blended(weights, estimates), quality, cost) for weights in candidates])
    gain = worth - worth[0]
    error = gain.std(axis=1, ddof=1) / np.sqrt(PARTS)
    clear = np.where(gain.mean(axis=1) > CLEAR * error, gain.mean(axis=1), 0.0)
    return candidates[int(clear.argmax())]


def _worth_in_parts(estimate: FloatArray, quality: FloatArray, cost: FloatArray) -> list[float]:
    """The worth on each of `PARTS` interleaved parts of the rows; the whole in every place when there are too few rows."""
    if len(quality) < LEAST_ROWS_A_PART * PARTS:
        return [choice_area(estimate, quality, cost)] * PARTS
    return [choice_area(estimate[k::PARTS], quality[k::PARTS], cost[k::PARTS]) for k in range(PARTS)]


def _folded(
    members: list[Linear], weights: dict[str, dict[str, float]], coupling: Coupling, queries: Queries, mean: FloatArray
) -> Terms:
    lengths = sorted_lengths(queries)
    parts = {}
    for member in members:
        terms = _terms_of(member, mean, lengths)
        parts[member.kind] = terms
    level = weighted_sum([(weights["level"].get(kind, 0.0), terms) for kind, terms in parts.items()])
    differences = weighted_sum([(weights["differences"].get(kind, 0.0), terms) for kind, terms in parts.items()])
    joined = coupling.folded(_level_of_one_differences_of_other(level, differences))
    return _with_guessed_tasks(joined, queries, members)


def _terms_of(member: Linear, mean: FloatArray, lengths: FloatArray) -> Terms:
    if isinstance(member, LocalQuality):
        return member.additive().terms
    if isinstance(member, RidgeQuality):
        return member.terms(mean)
    if isinstance(member, PromptLengthQuality):
        return Terms(member.mean, mean[None, :], lengths, np.stack([member.slope, np.zeros_like(member.slope)]))
    if isinstance(member, TaskMeanQuality):
        assert member.means is not None
        flat = np.zeros((2, len(mean)))
        return Terms(np.zeros_like(mean), member.means.table, lengths, flat, member.means.tasks, member.means.table)
    return Terms.constant(mean)


def _level_of_one_differences_of_other(level: Terms, differences: Terms) -> Terms:
    """All terms are linear in the models, so each array's mean over models comes from one and the rest from the other."""

    def mixed(name: str) -> FloatArray:
        a, b = getattr(level, name), getattr(differences, name)
        if not b.size:
            return b  # type: ignore[no-any-return]
        mixture: FloatArray = a.mean(axis=-1, keepdims=True) + b - b.mean(axis=-1, keepdims=True)
        return mixture

    return replace(
        differences,
        offset=mixed("offset"),
        length=mixed("length"),
        task=mixed("task"),
        weights=mixed("weights"),
        at_centre=mixed("at_centre"),
        surface=mixed("surface"),
    )


def _with_guessed_tasks(terms: Terms, queries: Queries, members: list[Linear]) -> Terms:
    """For requests without a label: the task term that is expected near each centre."""
    local = next((m for m in members if isinstance(m, LocalOnTaskQuality)), None)
    if local is None or terms.clusters is None or not len(terms.task):
        return terms
    return replace(terms, task_at_centre=local.task_shares @ terms.task)
