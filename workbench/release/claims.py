"""What the recorded rows of the report split promise: mean score and mean cost, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.release.candidate import Candidate
from workbench.release.checkable import why_cost_unchecked, why_score_unchecked
from workbench.release.evidence import Claim
from workbench.routing import FixedPolicy

if TYPE_CHECKING:
    import polars as pl

SCORE_UNIT, MONEY_UNIT = "score", "USD per 1,000 requests"
RESAMPLES = 2000


def money_and_score_claims(candidate: Candidate, run_id: str | None) -> tuple[Claim, ...]:
    """The claims on score and cost; no claim on cost where it is unknown.

    A policy that routes takes its numbers from the sweep's document. Where the verdict is not to route, the document speaks of
    the policy that lost, so the fixed model's numbers are resampled here from its rows. A claim says why where live
    answers cannot be held to it.
    """
    document = candidate.document
    why = {
        "score": why_score_unchecked(candidate.report),
        "cost_usd_per_1k": why_cost_unchecked(candidate.cards, _choosable(candidate)),
    }
    return tuple(replace(claim, unchecked_because=why[claim.name]) for claim in _claims(candidate, document, run_id))


def _choosable(candidate: Candidate) -> tuple[str, ...]:
    policy = candidate.policy
    return (policy.model,) if isinstance(policy, FixedPolicy) else tuple(policy.models)


def _claims(candidate: Candidate, document: Mapping[str, Any], run_id: str | None) -> tuple[Claim, ...]:
    known: dict[str, Any] = {"n": candidate.report.height, "data_hash": document.get("data_hash"), "run_id": run_id}
    if document["verdict"] == "route":
        chosen, method = document["chosen"], "mean over the report split, bootstrap by prompt group (the sweep's)"
        score = Claim("score", chosen["score"], _pair(chosen["score_ci"]), method=method, unit=SCORE_UNIT, **known)
        cost, ci = chosen["cost_usd_per_1k"], _pair(chosen["cost_ci"])
        return (score, Claim("cost_usd_per_1k", cost, ci, method=method, unit=MONEY_UNIT, **known))
    method = f"mean over the report split, {RESAMPLES} bootstrap draws by prompt group"
    columns = [("score", "score", 1.0, SCORE_UNIT), ("cost_usd_per_1k", "cost_usd", 1000.0, MONEY_UNIT)]
    return tuple(
        Claim(name, *_resampled(candidate.report, column, factor), method=method, unit=unit, **known)
        for name, column, factor, unit in columns
        if not candidate.report[column].null_count()
    )


def _resampled(report: pl.DataFrame, column: str, factor: float) -> tuple[float, tuple[float, float]]:
    from workbench.evaluation.statistics import bootstrap_means, percentile_interval

    values = report[column].to_numpy()
    draws = bootstrap_means(values, report["group"].to_list(), np.random.default_rng(0), RESAMPLES)
    low, high = percentile_interval(factor * draws)
    mean = factor * float(values.mean())
    return mean, (min(low, mean), max(high, mean))


def _pair(ends: list[float]) -> tuple[float, float]:
    low, high = ends
    return float(low), float(high)
