"""What a router between two models recovers of the gap between them, on prompts it did not learn from.

The published numbers of RouteLLM are areas of this kind. The signal is a predicted uplift (strong − weak) for each prompt; the
curve, its area and its crossing points are those of `workbench.tuning.metrics`. Intervals resample groups of equal questions and
hold the predictions fixed; the same groups are drawn for every signal, so that differences are paired.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.embedding import Embedder
from workbench.evaluation.statistics import percentile_interval, resampled_weights
from workbench.routing import Queries, make_predictor
from workbench.routing.predictors.folds import FOLDS, folds_of
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.metrics import CallCurve, apgr, call_curve, cpt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Interval = tuple[float, float]

DRAWS = 400
NO_LABEL = " (no subject)"
"""Ending of a predictor's name: the task label is hidden from it."""
CPT_PERCENT = (20, 50, 80)


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """One router's curve and what is read off it.

    Args:
        curve: mean score over the share of calls to the strong model.
        apgr: area under the recovered gap; 0.5 is random.
        apgr_ci: 95 % interval; None where the gap itself vanishes in more than 1 % of the resamples.
        cpt: percent of the gap → least share of strong calls that recovers it.
    """

    curve: CallCurve
    apgr: float
    apgr_ci: Interval | None
    cpt: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: apgr, apgr_ci, cpt20, cpt50, cpt80."""
        interval = None if self.apgr_ci is None else list(self.apgr_ci)
        return {"apgr": self.apgr, "apgr_ci": interval, **{f"cpt{p}": share for p, share in self.cpt.items()}}


def weak_and_strong(matrix: OutcomeMatrix) -> tuple[int, int]:
    """Columns of the model with the lower and of the one with the higher mean score.

    Raises:
        ConfigError: not two models, or both have the same mean.
    """
    means = matrix.score.mean(axis=0)
    if len(means) != 2 or means[0] == means[1]:
        listed = ", ".join(f"{name} {mean:.4f}" for name, mean in zip(matrix.models, means, strict=True))
        raise ConfigError(
            f"a recovered gap needs two models of different mean score, found {listed}; leave the others out"
        )
    strong = int(means.argmax())
    return 1 - strong, strong


def without_tasks(matrix: OutcomeMatrix) -> OutcomeMatrix:
    """The same rows for a caller who never knows the task."""
    return dataclasses.replace(matrix, queries=Queries.of(matrix.queries.texts, groups=matrix.queries.groups))


def folds_by_task(matrix: OutcomeMatrix, seed: int = 0) -> IntArray:
    """Fold 0..4 of each row, whole tasks together: each is judged by predictors that never saw it, shape (n,)."""
    names = sorted(set(matrix.queries.tasks), key=str)
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[index]: position % FOLDS for position, index in enumerate(order)}
    return np.array([fold[task] for task in matrix.queries.tasks], np.intp)


def out_of_fold_uplift(
    kind: str,
    matrix: OutcomeMatrix,
    embedder: Embedder,
    folds: IntArray | None = None,
    learn_from: npt.NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Predicted strong − weak of every row by a predictor that saw only the other folds, shape (n,).

    Args:
        kind: a predictor's name; with the ending `NO_LABEL` the task is hidden from it.
        matrix: two models.
        embedder: for the predictors that read one.
        folds: fold of each row; None is five folds by group of equal prompts.
        learn_from: rows that may be learned from; None is all.
    """
    weak, strong = weak_and_strong(matrix)
    folds = folds_of(matrix.queries) if folds is None else folds
    allowed = np.ones(len(matrix), np.bool_) if learn_from is None else learn_from
    if kind.endswith(NO_LABEL):
        kind, matrix = kind.removesuffix(NO_LABEL), without_tasks(matrix)
    signal = np.empty(len(matrix))
    for fold in np.unique(folds):
        seen, held = matrix.take((folds != fold) & allowed), np.flatnonzero(folds == fold)
        predictor = make_predictor(kind, embedder).fit(seen.queries, seen.score, seen.cost_usd, seen.latency_s)
        quality = predictor.predict(matrix.queries[held]).quality
        signal[held] = quality[:, strong] - quality[:, weak]
    return signal


def recovery(signal: FloatArray, matrix: OutcomeMatrix, draws: int = DRAWS) -> Recovery:
    """The curve of a signal of shape (n,) with its area, interval and crossing points."""
    weak, strong = weak_and_strong(matrix)
    curve = call_curve(signal, matrix.score[:, weak], matrix.score[:, strong])
    interval = _interval(apgr_draws(signal, matrix, draws))
    return Recovery(curve, apgr(curve), interval, {percent: cpt(curve, percent / 100) for percent in CPT_PERCENT})


def apgr_of(signal: FloatArray, matrix: OutcomeMatrix) -> float:
    """The area under a signal's recovered gap; `recovery` gives its interval too."""
    weak, strong = weak_and_strong(matrix)
    return apgr(call_curve(signal, matrix.score[:, weak], matrix.score[:, strong]))


def apgr_difference(
    signal: FloatArray, other: FloatArray, matrix: OutcomeMatrix, draws: int = DRAWS
) -> tuple[float, Interval | None]:
    """APGR of a signal − APGR of another one on the same rows, with the paired 95 % interval."""
    found, beside = (apgr_of(one, matrix) for one in (signal, other))
    return found - beside, _interval(apgr_draws(signal, matrix, draws) - apgr_draws(other, matrix, draws))


def apgr_draws(signal: FloatArray, matrix: OutcomeMatrix, draws: int = DRAWS, seed: int = 1) -> FloatArray:
    """APGR in each resample of groups, shape (draws,); NaN where the strong model is not the better one there."""
    weak, strong = weak_and_strong(matrix)
    _, group = np.unique(np.array(matrix.groups), return_inverse=True)
    order = np.argsort(-signal, kind="stable")
    gain = (matrix.score[:, strong] - matrix.score[:, weak])[order]
    last = np.append(np.diff(signal[order]) != 0, True)
    chunks = resampled_weights(int(group.max()) + 1, draws, np.random.default_rng(seed))
    return np.concatenate([_areas(weights[:, group[order]], gain, last) for weights in chunks])


def _areas(weights: FloatArray, gain: FloatArray, last: npt.NDArray[np.bool_]) -> FloatArray:
    """Area under the recovered gap of each resample, rows in the signal's order, shape (resamples,)."""
    start = np.zeros((len(weights), 1))
    share = np.hstack([start, np.cumsum(weights, axis=1)[:, last]])
    gained = np.hstack([start, np.cumsum(weights * gain, axis=1)[:, last]])
    area = np.trapezoid(gained, share, axis=1)
    whole = share[:, -1] * gained[:, -1]
    areas: FloatArray = np.divide(area, whole, out=np.full(len(weights), np.nan), where=gained[:, -1] > 0)
    return areas


def _interval(draws: FloatArray) -> Interval | None:
    known = draws[~np.isnan(draws)]
    return percentile_interval(known) if len(known) >= 0.99 * len(draws) else None


def random_spread(matrix: OutcomeMatrix, runs: int = 200, seed: int = 0) -> float:
    """Standard deviation of APGR between draws of a router that decides by lot: what cannot be told from luck."""
    weak, strong = weak_and_strong(matrix)
    rng = np.random.default_rng(seed)
    lots = (call_curve(rng.random(len(matrix)), matrix.score[:, weak], matrix.score[:, strong]) for _ in range(runs))
    return float(np.std([apgr(curve) for curve in lots]))


def recoveries(
    kinds: tuple[str, ...],
    matrix: OutcomeMatrix,
    embedder: Embedder,
    *,
    folds: IntArray | None = None,
    draws: int = DRAWS,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Recovery], dict[str, FloatArray]]:
    """Each predictor's recovery on rows it did not see, and its signal."""
    signals: dict[str, FloatArray] = {}
    for kind in kinds:
        progress(f"fitting {kind} on {len(matrix)} prompts, fold by fold")
        signals[kind] = out_of_fold_uplift(kind, matrix, embedder, folds)
    return {kind: recovery(signal, matrix, draws) for kind, signal in signals.items()}, signals
