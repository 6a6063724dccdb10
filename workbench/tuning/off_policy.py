"""What another policy would have scored, from the logs of the one that served: IPS, SNIPS and doubly robust estimates.

Each logged request has the model that answered, its score and the *propensity* with which that model was chosen (exploration gives
every eligible model one; a log without exploration says nothing about roads not taken). With w_i = π(a_i | x_i) / p_i, where π is the
target policy:

    IPS    mean of w_i r_i
    SNIPS  sum of w_i r_i / sum of w_i
    DR     mean of  Σ_a π(a | x_i) q(x_i, a)  +  w_i (r_i − q(x_i, a_i))       with any predictions q made without these rewards

IPS is unbiased and wild, SNIPS nearly unbiased and calmer, DR calmer still the better q is, and unbiased whatever q is.

Source: D. Horvitz and D. Thompson (JASA 1952); A. Swaminathan and T. Joachims, "The Self-Normalized Estimator for Counterfactual
Learning" (NeurIPS 2015); M. Dudík, J. Langford and L. Li, "Doubly Robust Policy Evaluation and Learning" (ICML 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError, NotCertifiable
from workbench.evaluation.statistics import clustered_mean

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

FEWEST_EFFECTIVE = 30.0
"""Effective rows below which an interval by the central limit theorem is not to be trusted."""


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """An estimate of the target policy's mean score.

    Args:
        method: IPS, SNIPS or DR.
        score: the estimate.
        ci: 95 % interval, clustered by group.
    """

    method: str
    score: float
    ci: tuple[float, float]


@dataclass(frozen=True, slots=True)
class OffPolicyReport:
    """All estimates, and how much the log has to say about the target policy.

    Args:
        estimates: by method; DR only with predictions.
        n: logged requests.
        n_effective: (Σ w)² / Σ w²: how many requests logged under the target policy itself would say as much.
        largest_weight: one request's share of all weight.
        mean_weight: with its interval; far from 1, the log misses models that the target policy uses.
        overlaps: whether 1 lies in that interval.
    """

    estimates: dict[str, OffPolicyEstimate]
    n: int
    n_effective: float
    largest_weight: float
    mean_weight: float
    mean_weight_ci: tuple[float, float]

    @property
    def overlaps(self) -> bool:
        """Whether the log has seen what the target policy does."""
        return self.mean_weight_ci[0] <= 1.0 <= self.mean_weight_ci[1]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "n": self.n,
            "n_effective": self.n_effective,
            "largest_weight": self.largest_weight,
            "mean_weight": self.mean_weight,
            "mean_weight_ci": list(self.mean_weight_ci),
            "overlaps": self.overlaps,
            "estimates": {name: {"score": e.score, "ci": list(e.ci)} for name, e in self.estimates.items()},
        }


def off_policy(
    chosen: IntArray,
    score: FloatArray,
    propensity: FloatArray,
    target: FloatArray,
    *,
    predicted: FloatArray | None = None,
    groups: Sequence[Any] | None = None,
) -> OffPolicyReport:
    """Estimates of a target policy's mean score from logged decisions.

    Args:
        chosen: column of the model that answered each request, shape (n,).
        score: its score, shape (n,).
        propensity: with which the logging policy chose that model, above 0, at most 1, shape (n,).
        target: probabilities of the target policy, shape (n, m), rows summing to 1; `choice_probabilities` makes them of choices.
        predicted: expected scores, shape (n, m), fitted on other rows than these; gives the doubly robust estimate.
        groups: requests that belong together (sessions, paraphrases); each is its own when None.

    Raises:
        ConfigError: shapes differ, or a propensity or probability is impossible.
        NotCertifiable: too few effective rows to say anything: the target policy rarely does what was logged.
    """
    _check(chosen, score, propensity, target, predicted)
    if groups is not None and len(groups) != len(chosen):
        raise ConfigError(f"{len(chosen)} choices and {len(groups)} groups; give the group of each request, or none")
    rows = np.arange(len(chosen))
    weight = target[rows, chosen] / propensity
    groups = list(range(len(chosen))) if groups is None else groups
    total = float(weight.sum())
    n_effective = total**2 / float((weight**2).sum()) if total > 0 else 0.0
    if n_effective < FEWEST_EFFECTIVE:
        raise NotCertifiable(
            f"{len(chosen)} logged requests are worth {n_effective:.1f} under the target policy, at least {FEWEST_EFFECTIVE:.0f} are "
            "needed: the log rarely did what the policy would do; explore more, or log longer"
        )
    estimates = {"IPS": _mean("IPS", weight * score, groups), "SNIPS": _self_normalised(weight, score, groups)}
    if predicted is not None:
        expected = (target * predicted).sum(axis=1)
        estimates["DR"] = _mean("DR", expected + weight * (score - predicted[rows, chosen]), groups)
    average = clustered_mean(weight, groups)
    return OffPolicyReport(
        estimates, len(chosen), n_effective, float(weight.max()) / total, float(average.value), _ends(average.ci)
    )


def choice_probabilities(choice: IntArray, n_models: int) -> FloatArray:
    """Probabilities of a policy that always takes its choice, shape (n, m).

    Example:
        >>> choice_probabilities(np.array([1, 0]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    return np.eye(n_models)[choice]


def _mean(method: str, values: FloatArray, groups: Sequence[Any]) -> OffPolicyEstimate:
    found = clustered_mean(values, groups)
    return OffPolicyEstimate(method, float(found.value), _ends(found.ci))


def _self_normalised(weight: FloatArray, score: FloatArray, groups: Sequence[Any]) -> OffPolicyEstimate:
    """The ratio of two means, with the interval of its linear part."""
    value = float((weight * score).sum() / weight.sum())
    linear = clustered_mean(weight * (score - value) / weight.mean(), groups)
    low, high = _ends(linear.ci)
    return OffPolicyEstimate("SNIPS", value, (value + low, value + high))


def _ends(ci: Sequence[float]) -> tuple[float, float]:
    return float(ci[0]), float(ci[1])


def _check(
    chosen: IntArray, score: FloatArray, propensity: FloatArray, target: FloatArray, predicted: FloatArray | None
) -> None:
    n = len(chosen)
    if not n:
        raise ConfigError("no logged requests; nothing can be said about any policy")
    if target.ndim != 2 or not len(score) == len(propensity) == len(target) == n:
        raise ConfigError(
            f"{n} choices, {len(score)} scores, {len(propensity)} propensities and target probabilities of shape {target.shape}; "
            "give one of each a request, and target as (requests, models)"
        )
    if predicted is not None and predicted.shape != target.shape:
        raise ConfigError(f"predictions have shape {predicted.shape}, the target's probabilities {target.shape}")
    if predicted is not None and not np.isfinite(predicted).all():
        raise ConfigError("a prediction is not finite; predict every model on every request, or give no predictions")
    if not np.issubdtype(chosen.dtype, np.integer):
        raise ConfigError(f"choices are {chosen.dtype}; give the column of the model that answered, as whole numbers")
    if not ((propensity > 0) & (propensity <= 1)).all():
        bad = propensity[~((propensity > 0) & (propensity <= 1))][0]
        raise ConfigError(f"a propensity is {bad}; what was chosen had a probability above 0 and at most 1")
    if not np.allclose(target.sum(axis=1), 1.0) or (target < 0).any():
        raise ConfigError("the target's probabilities must be 0 or more and sum to 1 on each request")
    if not np.isfinite(score).all():
        raise ConfigError("a score is not a number; leave out requests that were not graded")
    if chosen.min() < 0 or chosen.max() >= target.shape[1]:
        raise ConfigError(f"a chosen column lies outside 0..{target.shape[1] - 1}")
