"""What the untouched split says: intervals by resampling prompt groups, paired with the best single model, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from workbench.evaluation.statistics import (
    bootstrap_moments,
    clustered_se,
    mean_score,
    percentile_interval,
    studentised_interval,
)
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
        over_singles: score above the concave hull of the single models at the policy's own mean cost, above the cheapest of them where
            that cost is below every single model's; None where it was not measured.
        score_difference_ci_all: interval of the difference that holds for all compared policies together (Bonferroni).
        cost_share: cost difference as a share of the single model's cost, the ratio taken anew in every resample; None where that is free.
        dominated_by: a single model that scored no less on these prompts for no more money; None where there is none.
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
    over_singles: Measured | None = None
    score_difference_ci_all: Interval | None = None
    dominated_by: str | None = None
    cost_share: Measured | None = None

    def to_json(self) -> dict[str, Any]:
        """What every result prints of it: means with their intervals, money per 1,000 requests."""
        return {
            "score": self.score.mean,
            "score_ci": list(self.score.ci),
            "cost_usd_per_1k": 1000 * self.cost_usd.mean,
            "cost_ci": [1000 * end for end in self.cost_usd.ci],
            "latency_s": None if self.latency_s is None else self.latency_s.mean,
            "latency_ci": None if self.latency_s is None else list(self.latency_s.ci),
            "score_difference": self.score_difference.mean,
            "score_difference_ci": list(self.score_difference.ci),
            "cost_difference_usd_per_1k": 1000 * self.cost_difference.mean,
            "cost_difference_ci": [1000 * end for end in self.cost_difference.ci],
            "n": self.n,
            "n_groups": self.n_groups,
        }


def compare(
    matrix: OutcomeMatrix,
    choice: IntArray,
    single: int,
    rng: np.random.Generator,
    n_bootstrap: int = 2000,
    n_compared: int = 1,
) -> Comparison:
    """Choices on a split against the best single model, resampling whole groups together for both.

    The interval of the score difference is the wider of the bootstrap's and of one with two more groups, one fully better and one
    fully worse: where few answers differ, resampling alone would claim too much. That of a score is no narrower than Wilson's, that
    of money or seconds no narrower than a bootstrap-t interval, because a few dear requests make their tails long.

    Args:
        n_compared: policies whose intervals a reader will look at together.

    Source: D. Bonett and R. Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data,
        J. Educational and Behavioral Statistics 37 (2012): one pseudo-event on either side.
    """
    rows, m = np.arange(len(matrix)), len(matrix.models)
    score, cost, latency = (values[rows, choice] for values in (matrix.score, matrix.cost_usd, matrix.latency_s))
    columns = [score, cost, *matrix.score.T, *matrix.cost_usd.T, cost - matrix.cost_usd[:, single]]
    has_latency = not np.isnan(latency).any()
    table = np.column_stack([*columns, latency] if has_latency else columns)
    draws, errors = bootstrap_moments(table, matrix.groups, rng, n_bootstrap)
    means = table.mean(axis=0)
    one_score, one_cost = 2 + single, 2 + m + single

    def measured(column: int) -> Measured:
        """A mean of money or seconds."""
        mean, error = float(means[column]), clustered_se(table[:, column], matrix.groups)
        tailed = studentised_interval(mean, error, draws[:, column], errors[:, column])
        return Measured(mean, _wider(percentile_interval(draws[:, column]), tailed))

    difference, drawn = table[:, 0] - table[:, one_score], draws[:, 0] - draws[:, one_score]

    def interval(confidence: float) -> Interval:
        return _wider(percentile_interval(drawn, confidence), adjusted_interval(difference, matrix.groups, confidence))

    return Comparison(
        score=Measured(float(score.mean()), _wider(percentile_interval(draws[:, 0]), _of_score(score, matrix.groups))),
        cost_usd=measured(1),
        latency_s=measured(3 + 2 * m) if has_latency else None,
        score_difference=Measured(float(difference.mean()), interval(0.95)),
        cost_difference=measured(2 + 2 * m),
        single_score=float(means[one_score]),
        single_cost_usd=float(means[one_cost]),
        n=len(matrix),
        n_groups=len(set(matrix.groups)),
        over_singles=_over_singles(means, draws, m, _wider_by(drawn, interval(0.95))),
        score_difference_ci_all=interval(1.0 - 0.05 / max(n_compared, 1)),
        dominated_by=_dominating(matrix.models, means),
        cost_share=_share(measured(2 + 2 * m), draws[:, 2 + 2 * m], float(means[one_cost]), draws[:, one_cost]),
    )


def _share(difference: Measured, drawn: FloatArray, single: float, drawn_single: FloatArray) -> Measured | None:
    """A cost difference as a share; its percentile interval is widened as that of the difference is, and ends at −1 at the latest."""
    if single <= 0 or (drawn_single <= 0).any():
        return None
    mean, (low, high), plain = (
        difference.mean / single,
        percentile_interval(drawn / drawn_single),
        percentile_interval(drawn),
    )
    below = max((difference.mean - difference.ci[0]) / max(difference.mean - plain[0], 1e-300), 1.0)
    above = max((difference.ci[1] - difference.mean) / max(plain[1] - difference.mean, 1e-300), 1.0)
    if difference.ci[0] == difference.ci[1]:
        return Measured(mean, (min(low, mean), max(high, mean)))
    return Measured(mean, (max(mean - (mean - low) * below, -1.0), mean + (high - mean) * above))


def _dominating(models: Sequence[str], means: FloatArray) -> str | None:
    """The best single model at no more than the policy's cost, if it scores no less and is ahead in one of the two."""
    m = len(models)
    score, cost = means[2 : 2 + m], means[2 + m : 2 + 2 * m]
    ahead = (score >= means[0]) & (cost <= means[1]) & ((score > means[0]) | (cost < means[1]))
    return models[int(np.where(ahead, score, -np.inf).argmax())] if ahead.any() else None


def _of_score(score: FloatArray, groups: Sequence[str]) -> Interval:
    """Wilson's interval at the effective number of groups: it keeps a width where all answers are alike."""
    low, high = mean_score(np.clip(score, 0.0, 1.0), groups).ci
    return float(low), float(high)


def adjusted_interval(difference: FloatArray, groups: Sequence[str], confidence: float = 0.95) -> Interval:
    """Interval of a mean of paired score differences with one group more on either side that differs fully.

    With no difference at all among n groups it is ±ln(2 / (1 − confidence)) / n: more would have shown with that probability.

    Example:
        >>> low, high = adjusted_interval(np.zeros(100), [str(i) for i in range(100)])
        >>> round(low, 4), round(high, 4)
        (-0.0369, 0.0369)
    """
    n_groups = len(set(groups))
    if not difference.any():
        reach = float(np.log(2.0 / (1.0 - confidence))) / n_groups
        return -reach, reach
    size = len(difference) / n_groups
    more = round(max(size, 1.0))
    values = np.concatenate([difference, np.ones(more), -np.ones(more)])
    error = clustered_se(values, [*groups, *(["\0better"] * more), *(["\0worse"] * more)])
    half = float(ndtri(0.5 + confidence / 2)) * error
    return float(values.mean()) - half, float(values.mean()) + half


def _wider(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), max(a[1], b[1])


def _wider_by(drawn: FloatArray, used: Interval) -> float:
    """How much wider the used interval is than the bootstrap's, as a factor of at least 1."""
    low, high = percentile_interval(drawn)
    return max((used[1] - used[0]) / (high - low), 1.0) if high > low else 1.0


def _over_singles(means: FloatArray, draws: FloatArray, m: int, widened: float) -> Measured:
    """Score minus the best mix of single models at the same mean cost, the mix chosen anew in every resample.

    Where it costs less than every single model, the cheapest of them stands for the mix, which favours the mix.
    """

    def gain(rows: FloatArray) -> FloatArray:
        score, cost = rows[:, 2 : 2 + m], rows[:, 2 + m : 2 + 2 * m]
        return rows[:, 0] - hull_of_singles(score, cost, np.maximum(rows[:, 1], cost.min(axis=1)))

    mean = float(gain(means[None, :])[0])
    low, high = percentile_interval(gain(draws))
    return Measured(mean, (mean - (mean - low) * widened, mean + (high - mean) * widened))


def hull_of_singles(score: FloatArray, cost: FloatArray, at: FloatArray) -> FloatArray:
    """Best expected score of a random mix of single models at mean cost `at`, shape (r,); NaN where all cost more.

    Args:
        score, cost: of each model, shape (r, m); every row is another resample.
        at: shape (r,).

    Example:
        >>> hull_of_singles(np.array([[0.2, 0.8]]), np.array([[0.0, 1.0]]), np.array([0.5]))
        array([0.5])
    """
    best = np.where(cost <= at[:, None], score, -np.inf).max(axis=1)
    for a in range(score.shape[1]):
        for b in range(score.shape[1]):
            between = (cost[:, a] <= at) & (at < cost[:, b])
            span = np.where(between, cost[:, b] - cost[:, a], 1.0)
            mixed = score[:, a] + (at - cost[:, a]) / span * (score[:, b] - score[:, a])
            best = np.where(between, np.maximum(best, mixed), best)
    return np.where(np.isfinite(best), best, np.nan)


@dataclass(frozen=True, slots=True)
class Power:
    """How many prompts would settle what the verdict hangs on, if the measured effect is the true one.

    Args:
        report: prompts on the report split; None where more of them would not help.
        total: prompts in all, at the split's shares.
        because: the statistic and its distance to the line that it must clear, or why more prompts would not help.
    """

    report: int | None
    total: int | None
    because: str


@dataclass(frozen=True, slots=True)
class SweepVerdict:
    """Route, or do not, and the sentence that holds the deciding interval."""

    answer: Literal["route", "do_not_route"]
    because: str
    power: Power | None = None


RULES = ("no-worse", "trade-off")
Z_POWER = 1.96 + 0.8416
"""Two-sided 95 % and 80 % power."""


def judge(
    found: Comparison,
    policy: str,
    single: str,
    shares: Sequence[tuple[str, float]],
    margin: float = DEFAULT_MARGIN,
    *,
    rule: str = "no-worse",
    spend_usd: float | None = None,
    report_share: float = 0.4,
) -> SweepVerdict:
    """Whether routing pays on the report split.

    Route only when an interval decides it. Rule "no-worse": the score difference is above 0 at a cost not above the single model's,
    or the cost is below and the score difference above −margin. Rule "trade-off" (and any spending limit): the score is above what
    any mix of single models reaches at the same mean cost; with a limit, the cost interval must also end at or below it. Everything
    else is "do not route", and so is a policy that a single model equalled for no more money, be it another than the best single
    model of the other splits: with many nearly equal models that one is chosen by luck.

    Args:
        found: the comparison.
        policy, single: names for the sentence.
        shares: (model, share of requests) of the policy.
        margin: score that a saving may cost at most; with "trade-off", the score that may be lost against the single model (1: any).
        rule: "no-worse" or "trade-off".
        spend_usd: most mean USD a request.
        report_share: share of all prompts that the report split takes, for the number of prompts that would settle it.
    """
    score, cost = found.score_difference, found.cost_difference
    gain = f"score {score.mean:+.4f} [{score.ci[0]:+.4f}, {score.ci[1]:+.4f}]"
    where = f"on {found.n} held-out prompts ({found.n_groups} groups), {policy} against {single}: {gain}, cost {_saving(found)}"
    only = next((name for name, share in shares if share >= 1.0), None)
    if only is not None:
        reason = f"the chosen policy sends every request to {only}, so there is nothing to route"
        return SweepVerdict(
            "do_not_route", f"{where}; {reason}" + ("" if only == single else f"; compare {only} alone")
        )
    if found.dominated_by is not None:
        reason = f"{found.dominated_by} alone scored no less on the same prompts for no more money; compare it alone"
        return SweepVerdict("do_not_route", f"{where}; {reason}")
    if rule == "trade-off" or spend_usd is not None:
        answer, reason = _judged_by_hull(found, margin, spend_usd)
        power = needed_prompts(found, found.over_singles, 0.0, report_share)
    else:
        answer, reason = _judged_no_worse(score, cost, margin)
        line = -margin if cost.ci[1] < 0 else 0.0
        power = needed_prompts(found, score, line, report_share)
    return SweepVerdict(answer, f"{where}; {reason}", power)


Answer = Literal["route", "do_not_route"]


def _judged_no_worse(score: Measured, cost: Measured, margin: float) -> tuple[Answer, str]:
    if score.ci[0] > 0 and cost.ci[1] <= 0:
        return "route", "the score interval is above 0 at no higher cost"
    if cost.ci[1] < 0 and score.ci[0] > -margin:
        return "route", f"cheaper, and the score interval is above −{margin:g}"
    if cost.ci[1] > 0 and score.ci[0] > 0:
        return "do_not_route", "better, but the cost interval reaches above 0"
    if cost.ci[1] < 0:
        return "do_not_route", f"cheaper, but the score interval reaches below −{margin:g}"
    return "do_not_route", "neither interval shows an advantage"


def _judged_by_hull(found: Comparison, margin: float, spend_usd: float | None) -> tuple[Answer, str]:
    over = found.over_singles
    if over is None:
        return "do_not_route", "it was not measured beside mixes of single models"
    mixes = (
        f"above the best mix of single models at its cost by {over.mean:+.4f} [{over.ci[0]:+.4f}, {over.ci[1]:+.4f}]"
    )
    if over.ci[0] <= 0:
        return "do_not_route", f"{mixes}: the interval reaches 0"
    if found.score_difference.ci[0] <= -margin:
        return "do_not_route", f"{mixes}, but the score interval reaches below −{margin:g}"
    if spend_usd is not None and found.cost_usd.ci[1] > spend_usd:
        most = 1000 * found.cost_usd.ci[1]
        return (
            "do_not_route",
            f"{mixes}, but its cost interval reaches {most:.4g} USD per 1,000, above {1000 * spend_usd:.4g}",
        )
    return "route", mixes


def needed_prompts(found: Comparison, measured: Measured | None, line: float, report_share: float) -> Power:
    """Report prompts at which the interval would clear `line` with 80 % probability: n (2.80 · SE / distance)².

    The standard error is a quarter of the interval's width (3.92 of them fill it).
    """
    if measured is None:
        return Power(None, None, "nothing was measured that more prompts could settle")
    distance, error = measured.mean - line, (measured.ci[1] - measured.ci[0]) / 3.92
    if distance <= 0:
        what = f"{measured.mean:+.4f} is itself not above {line:+.4g}"
        return Power(None, None, f"more prompts would not help: the measured {what}")
    needed = int(np.ceil(found.n * (Z_POWER * error / distance) ** 2))
    because = f"{distance:.4f} above {line:+.4g} with a standard error of {error:.4f} on {found.n} prompts"
    return Power(needed, int(np.ceil(needed / report_share)), because)


def _saving(found: Comparison) -> str:
    if found.cost_share is None:
        low, high = found.cost_difference.ci
        return f"{found.cost_difference.mean:+.3g} USD [{low:+.3g}, {high:+.3g}]"
    low, high = (100 * end for end in found.cost_share.ci)
    return f"{100 * found.cost_share.mean:+.1f} % [{low:+.1f}, {high:+.1f}]"
