"""What the untouched split says: intervals by resampling prompt groups, paired with the best single model, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.evaluation.statistics import bootstrap_means, percentile_interval
from workbench.tuning.matrix import OutcomeMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Interval = tuple[float, float]

DEFAULT_MARGIN = 0.01
"""Score that a cheaper policy may lose and still count as no worse: one point in a hundred."""
RULE_OF_THREE = 3.689
"""−ln(0.025): with no event among n groups, a rate above 3.689 / n would have shown one with probability 97.5 %."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over the report split with its 95 % interval."""

    mean: float
    ci: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """A policy beside the best single model on the same prompts.

    Args:
        score, cost_usd, latency_s: of the policy; latency None where not measured.
        score_difference: policy − single.
        cost_difference: policy − single, USD a request; negative is a saving.
        n: prompts.
        n_groups: independent groups among them.
    """

    score: Measured
    cost_usd: Measured
    latency_s: Measured | None
    score_difference: Measured
    cost_difference: Measured
    single_score: float
    single_cost_usd: float
    n: int
    n_groups: int


def compare(
    matrix: OutcomeMatrix, choice: IntArray, single: int, rng: np.random.Generator, n_bootstrap: int = 2000
) -> Comparison:
    """Choices on a split against the best single model, resampling whole groups together for both.

    When no group's score differs at all, resampling would claim certainty; the interval of the difference is then what n groups
    without an event can exclude (±3.689 / n).
    """
    rows = np.arange(len(matrix))
    columns = [
        matrix.score[rows, choice],
        matrix.score[:, single],
        matrix.cost_usd[rows, choice],
        matrix.cost_usd[:, single],
    ]
    latency = matrix.latency_s[rows, choice]
    has_latency = not np.isnan(latency).any()
    if has_latency:
        columns.append(latency)
    table = np.column_stack(columns)
    draws, means = bootstrap_means(table, matrix.groups, rng, n_bootstrap), table.mean(axis=0)
    n_groups = len(set(matrix.groups))

    def measured(column: int, minus: int | None = None) -> Measured:
        drawn = draws[:, column] if minus is None else draws[:, column] - draws[:, minus]
        mean = means[column] if minus is None else means[column] - means[minus]
        return Measured(float(mean), percentile_interval(drawn))

    difference = measured(0, 1)
    if not (table[:, 0] != table[:, 1]).any():
        difference = Measured(0.0, (-RULE_OF_THREE / n_groups, RULE_OF_THREE / n_groups))
    return Comparison(
        score=measured(0),
        cost_usd=measured(2),
        latency_s=measured(4) if has_latency else None,
        score_difference=difference,
        cost_difference=measured(2, 3),
        single_score=float(means[1]),
        single_cost_usd=float(means[3]),
        n=len(matrix),
        n_groups=n_groups,
    )


@dataclass(frozen=True, slots=True)
class SweepVerdict:
    """Route, or do not, and the sentence that holds the deciding interval."""

    answer: Literal["route", "do_not_route"]
    because: str


def judge(
    found: Comparison, policy: str, single: str, shares: Sequence[tuple[str, float]], margin: float = DEFAULT_MARGIN
) -> SweepVerdict:
    """Whether routing pays on the report split.

    Route only when an interval decides it: the score difference is above 0 at a cost not above the single model's, or the cost
    is below and the score difference above −margin. Everything else is "do not route".

    Args:
        found: the comparison.
        policy, single: names for the sentence.
        shares: (model, share of requests) of the policy.
        margin: score that a saving may cost at most.
    """
    score, cost = found.score_difference, found.cost_difference
    gain = f"score {score.mean:+.4f} [{score.ci[0]:+.4f}, {score.ci[1]:+.4f}]"
    money = f"cost {_saving(found)}"
    where = f"on {found.n} held-out prompts ({found.n_groups} groups), {policy} against {single}: {gain}, {money}"
    only = next((name for name, share in shares if share >= 1.0), None)
    if only is not None:
        reason = f"the chosen policy sends every request to {only}, so there is nothing to route"
        return SweepVerdict(
            "do_not_route", f"{where}; {reason}" + ("" if only == single else f"; compare {only} alone")
        )
    if score.ci[0] > 0 and cost.ci[1] <= 0:
        return SweepVerdict("route", f"{where}; the score interval is above 0 at no higher cost")
    if cost.ci[1] < 0 and score.ci[0] > -margin:
        return SweepVerdict("route", f"{where}; cheaper, and the score interval is above −{margin:g}")
    if cost.ci[1] > 0 and score.ci[0] > 0:
        return SweepVerdict("do_not_route", f"{where}; better, but the cost interval reaches above 0")
    if cost.ci[1] < 0:
        return SweepVerdict("do_not_route", f"{where}; cheaper, but the score interval reaches below −{margin:g}")
    return SweepVerdict("do_not_route", f"{where}; neither interval shows an advantage")


def _saving(found: Comparison) -> str:
    low, high = found.cost_difference.ci
    if found.single_cost_usd <= 0:
        return f"{found.cost_difference.mean:+.3g} USD [{low:+.3g}, {high:+.3g}]"
    share = 100 / found.single_cost_usd
    return f"{found.cost_difference.mean * share:+.1f} % [{low * share:+.1f}, {high * share:+.1f}]"
