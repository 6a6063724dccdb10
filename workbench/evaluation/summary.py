"""Outcomes in a few numbers a model: score with interval, cost, seconds, failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.evaluation.outcomes import Outcomes
from workbench.evaluation.statistics import Estimate, mean_score

QUANTILES = {"p50": 0.5, "p95": 0.95}


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model over all its rows. Unknown is None.

    Args:
        model: its name.
        n: rows.
        failed: rows without an answer; they score 0.
        ungraded: rows that were answered but not graded; they are left out of the score.
        score: mean score with its interval, clustered by prompt group; None when nothing was graded.
        cost_usd_per_1k: 1000 times the mean cost of the rows that have one.
        latency_s: p50 and p95.
        ttft_s: p50 and p95.
        completion_tokens: mean.
    """

    model: str
    n: int
    failed: int
    ungraded: int
    score: Estimate | None
    cost_usd_per_1k: float | None
    latency_s: dict[str, float] | None
    ttft_s: dict[str, float] | None
    completion_tokens: float | None

    def to_dict(self) -> dict[str, Any]:
        """The `--json` form."""
        return {
            "model": self.model,
            "n": self.n,
            "failed": self.failed,
            "ungraded": self.ungraded,
            "score": None if self.score is None else self.score.value,
            "score_ci": None if self.score is None else list(self.score.ci),
            "cost_usd_per_1k": self.cost_usd_per_1k,
            "latency_s": self.latency_s,
            "ttft_s": self.ttft_s,
            "completion_tokens": self.completion_tokens,
        }


def summarise(outcomes: Outcomes, confidence: float = 0.95) -> list[ModelSummary]:
    """One summary a model, by name."""
    frame = outcomes.with_failures_scored()
    by_model = frame.partition_by("model", as_dict=True)
    return [_summary(model, by_model[(model,)], confidence) for model in outcomes.models]


def _summary(model: str, rows: pl.DataFrame, confidence: float) -> ModelSummary:
    graded = rows.filter(pl.col("score").is_not_null())
    score = mean_score(graded["score"].to_numpy(), graded["group"].to_numpy(), confidence) if graded.height else None
    cost = rows["cost_usd"].mean()
    return ModelSummary(
        model=model,
        n=rows.height,
        failed=rows.height - rows["error"].null_count(),
        ungraded=rows.height - graded.height,
        score=score,
        cost_usd_per_1k=None if cost is None else 1000 * cost,
        latency_s=_quantiles(rows["latency_s"]),
        ttft_s=_quantiles(rows["ttft_s"]),
        completion_tokens=rows["completion_tokens"].mean(),
    )


def _quantiles(seconds: pl.Series) -> dict[str, float] | None:
    known = seconds.drop_nulls()
    return {name: known.quantile(q, "linear") for name, q in QUANTILES.items()} if len(known) else None
