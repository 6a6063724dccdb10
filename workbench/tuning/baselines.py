"""What any policy must beat, and the oracle that none can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.tuning.matrix import OutcomeMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A reference line of the table.

    Args:
        name: as printed.
        score: per request, shape (n,).
        cost_usd: per request, shape (n,).
        note: what a reader must know; None when nothing.
    """

    name: str
    score: FloatArray
    cost_usd: FloatArray
    note: str | None = None


def best_single(matrix: OutcomeMatrix) -> int:
    """Column with the highest mean score; the cheaper on a tie, then the first."""
    score, cost = matrix.score.mean(axis=0), matrix.cost_usd.mean(axis=0)
    return int(np.lexsort((cost, -score))[0])


def cheapest_single(matrix: OutcomeMatrix) -> int:
    """Column with the lowest mean cost; the better on a tie, then the first."""
    score, cost = matrix.score.mean(axis=0), matrix.cost_usd.mean(axis=0)
    return int(np.lexsort((-score, cost))[0])


def single(matrix: OutcomeMatrix, column: int, name: str) -> Baseline:
    """One model for everything."""
    return Baseline(name, matrix.score[:, column], matrix.cost_usd[:, column])


def random_mix(matrix: OutcomeMatrix, shares: FloatArray, name: str = "random at the same mix") -> Baseline:
    """Each request to model j with probability `shares[j]`, whatever it asks: expected values in closed form."""
    return Baseline(name, matrix.score @ shares, matrix.cost_usd @ shares, "expected value")


def oracle(matrix: OutcomeMatrix) -> Baseline:
    """The best model of each request by expected score (mean over samples), the cheapest of equals.

    With one sample a cell the mean is not an expectation: lucky guesses are picked, and the line is too high.
    """
    rows = np.arange(len(matrix))
    column = _cheapest_best(matrix.score, matrix.cost_usd)
    note = "one sample a cell: inflated by lucky answers" if matrix.has_one_sample else "mean over samples"
    return Baseline("oracle", matrix.score[rows, column], matrix.cost_usd[rows, column], note)


def corrected_oracle(matrix: OutcomeMatrix) -> Baseline | None:
    """The oracle without the luck: the model is picked on other answers than it is judged on.

    With several samples: picked on all samples but one, judged on that one, averaged over all. With one sample: picked on the
    other members of the paraphrase group, judged on this one; only groups of two or more count, the others take the best single
    model. None where there are neither samples nor groups. A picker with less data than the true oracle: a lower bound.
    """
    if not matrix.has_one_sample:
        return _by_other_samples(matrix)
    _, index, counts = np.unique(np.array(matrix.groups), return_inverse=True, return_counts=True)
    if counts.max() < 2:
        return None
    totals = np.zeros((len(counts), len(matrix.models)))
    np.add.at(totals, index, matrix.score)
    others = totals[index] - matrix.score
    column = _cheapest_best(np.round(others, 9), matrix.cost_usd)
    column = np.where(counts[index] > 1, column, best_single(matrix))
    rows = np.arange(len(matrix))
    note = "picked on the other wordings of the group: a lower bound"
    return Baseline("oracle, cross-fitted", matrix.score[rows, column], matrix.cost_usd[rows, column], note)


def _by_other_samples(matrix: OutcomeMatrix) -> Baseline:
    known = ~np.isnan(matrix.samples)
    values = np.where(known, matrix.samples, 0.0)
    total, count = values.sum(axis=2), known.sum(axis=2)
    rows = np.arange(len(matrix))
    score, cost, used = np.zeros(len(matrix)), np.zeros(len(matrix)), np.zeros(len(matrix))
    for s in range(matrix.samples.shape[2]):
        left = count - known[:, :, s]
        others = np.divide(total - values[:, :, s], left, out=np.full(total.shape, -1.0), where=left > 0)
        column = _cheapest_best(np.round(others, 9), matrix.cost_usd)
        judged = known[rows, column, s]
        score += np.where(judged, values[rows, column, s], 0.0)
        cost += np.where(judged, matrix.cost_usd[rows, column], 0.0)
        used += judged
    fallback = matrix.score[:, best_single(matrix)]
    mean = np.divide(score, used, out=fallback.copy(), where=used > 0)
    mean_cost = np.divide(cost, used, out=matrix.cost_usd[:, best_single(matrix)].copy(), where=used > 0)
    return Baseline("oracle, cross-fitted", mean, mean_cost, "picked on the other samples: a lower bound")


def _cheapest_best(score: FloatArray, cost: FloatArray) -> IntArray:
    top = score.max(axis=1, keepdims=True)
    column: IntArray = np.where(score == top, cost, np.inf).argmin(axis=1)
    return column
