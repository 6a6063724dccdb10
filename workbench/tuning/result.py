"""What a sweep hands to tracking and release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.routing import AnyPolicy
from workbench.tuning.frontier import Frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """95 % pointwise band of a frontier's mean score, by resampling groups.

    Args:
        cost_usd: mean USD a request, shape (K,).
        low, high: shape (K,).
    """

    cost_usd: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SweptResult:
    """What tracking and a release read of any finished sweep.

    Args:
        document: what `workbench sweep --json` prints; `run_id` is None until tracking logs it.
        policy: the very object that was evaluated on the report split, or `FixedPolicy(best_single)` when the verdict is no.
        report: the report split, one row a prompt: the columns of `workbench.evaluation.PROMPT_SCHEMA` (`prompt_id, prompt, task,
            group, answer`, …), then `choice, score, cost_usd, latency_s` under `policy`, and `best_single_score`,
            `best_single_cost_usd`.
        pilot: the choose split, one row a prompt: the prompt columns and `choice` under `policy`; what a release may try out without
            touching the report split.
        curves: name of each swept predictor → its exact frontier on the report split.
        best_single: the best single model, chosen on the tune and choose splits together: nothing is fitted to a constant choice.
        singles: model → (mean USD a request, mean score) on the report split.
        heat: mean score on the report split, one row a task: `task, n`, one column a model, `policy`.
    """

    document: dict[str, Any]
    policy: AnyPolicy
    report: pl.DataFrame
    pilot: pl.DataFrame
    curves: Mapping[str, Frontier]
    best_single: str
    singles: Mapping[str, tuple[float, float]]
    heat: pl.DataFrame

    @property
    def is_routing(self) -> bool:
        """Whether the verdict is "route"."""
        return bool(self.document["verdict"] == "route")

    def with_run_id(self, run_id: str | None) -> dict[str, Any]:
        """The document with the tracking run filled in."""
        return {**self.document, "run_id": run_id}


@dataclass(frozen=True, slots=True, eq=False)
class SweepResult(SweptResult):
    """A finished sweep of one threshold.

    Args:
        document, policy, report, pilot, curves, best_single, singles, heat: see `SweptResult`.
        band: interval band of the chosen policy's frontier.
    """

    band: Band

    def figures(self, only: str | None = None) -> dict[str, Figure]:
        """The frontier and, for the chosen policy, scores by task, by name; `only` draws one policy's frontier alone."""
        from workbench.tuning.figures import frontier_figure, task_figure

        found = {"frontier": frontier_figure(self, only)}
        if only in (None, self.document["chosen"]["policy"]):
            found["tasks"] = task_figure(self)
        return found
