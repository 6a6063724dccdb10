"""What the sweep of a space hands to tracking and release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench.routing import AnyPolicy
from workbench.tuning.frontier import Frontier

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class SpaceResult:
    """A finished sweep of a space; what `log_sweep` and a release read of it is what `SweepResult` has.

    Args:
        document: what `workbench sweep --space FILE --json` prints; `run_id` is None until tracking logs it.
        policy: the chosen configuration's policy, as it was judged, or `FixedPolicy(best_single)` when the verdict is no.
        report: the report split under `policy`, as `SweepResult.report`.
        pilot: the choose split with its choices under `policy`.
        curves: the chosen configuration's point, and the exact frontier of the plain sweep, on the report split.
        best_single: the best single model on the tune and choose splits.
        singles: model → (mean USD a request, mean score) on the report split.
        heat: mean score on the report split by task.
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

    @property
    def front(self) -> pl.DataFrame:
        """The finalists, one row each: the configuration's parts, and what it realised on the tune and choose splits."""
        return pl.DataFrame([_flat(line) for line in self.document["front"]], infer_schema_length=None)

    def figures(self, only: str | None = None) -> dict[str, Figure]:
        """The front and the scores by task, by name; `only` draws nothing, because a space has one judged policy."""
        if only is not None:
            return {}
        from workbench.tuning.space.figures import front_figure

        return {"front": front_figure(self)}

    def with_run_id(self, run_id: str | None) -> dict[str, Any]:
        """The document with the tracking run filled in."""
        return {**self.document, "run_id": run_id}


def _flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat
