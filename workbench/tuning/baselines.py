"""What any policy must beat, and the oracle that none can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    other members of the paraphrase group, judged on this one. In both, one pseudo-answer with the model's mean on the other
    groups of the same task and difficulty joins the evidence, so that a picker with little to go by is not led by noise.
    None where there are neither samples nor groups. It knows less than the true oracle and is a lower bound of it.
    """
    if not matrix.has_one_sample:
        return _by_other_samples(matrix)
    groups = _codes(list(matrix.groups))
    counts = np.bincount(groups)
    if counts.max() < 2:
        return None
    others = _totals(matrix.score, groups)[groups] - matrix.score
    known = (counts[groups] - 1)[:, None]
    column = _cheapest_best(np.round((others + _prior(matrix)) / (known + 1), 9), matrix.cost_usd)
    rows = np.arange(len(matrix))
    note = "picked on the other wordings of the group: a lower bound"
    return Baseline("oracle, cross-fitted", matrix.score[rows, column], matrix.cost_usd[rows, column], note)


def _by_other_samples(matrix: OutcomeMatrix) -> Baseline:
    known = ~np.isnan(matrix.samples)
    values = np.where(known, matrix.samples, 0.0)
    total, count, prior = values.sum(axis=2), known.sum(axis=2), _prior(matrix)
    rows = np.arange(len(matrix))
    score, cost, used = np.zeros(len(matrix)), np.zeros(len(matrix)), np.zeros(len(matrix))
    for s in range(matrix.samples.shape[2]):
        others = (total - values[:, :, s] + prior) / (count - known[:, :, s] + 1)
        column = _cheapest_best(np.round(others, 9), matrix.cost_usd)
        judged = known[rows, column, s]
        score += np.where(judged, values[rows, column, s], 0.0)
        cost += np.where(judged, matrix.cost_usd[rows, column], 0.0)
        used += judged
    single = best_single(matrix)
    mean = np.divide(score, used, out=matrix.score[:, single].copy(), where=used > 0)
    mean_cost = np.divide(cost, used, out=matrix.cost_usd[:, single].copy(), where=used > 0)
    return Baseline("oracle, cross-fitted", mean, mean_cost, "picked on the other samples: a lower bound")


def _prior(matrix: OutcomeMatrix) -> FloatArray:
    """Mean score of each model on the other groups of the same task and difficulty, shape (n, m); overall where there are none."""
    cells = _codes(list(zip(matrix.queries.tasks, matrix.difficulties, strict=True)))
    own = _codes(list(zip(cells.tolist(), matrix.groups, strict=True)))
    total = _totals(matrix.score, cells)[cells] - _totals(matrix.score, own)[own]
    count = (np.bincount(cells)[cells] - np.bincount(own)[own])[:, None]
    overall = np.broadcast_to(matrix.score.mean(axis=0), total.shape).copy()
    prior: FloatArray = np.divide(total, count, out=overall, where=count > 0)
    return prior


def _codes(labels: list[Any]) -> IntArray:
    number: dict[Any, int] = {}
    return np.array([number.setdefault(label, len(number)) for label in labels], np.intp)


def _totals(values: FloatArray, codes: IntArray) -> FloatArray:
    totals = np.zeros((int(codes.max()) + 1, values.shape[1]))
    np.add.at(totals, codes, values)
    return totals


def _cheapest_best(score: FloatArray, cost: FloatArray) -> IntArray:
    top = score.max(axis=1, keepdims=True)
    column: IntArray = np.where(score == top, cost, np.inf).argmin(axis=1)
    return column
