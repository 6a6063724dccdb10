"""What the sweep of a space hands to tracking and release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench.tuning.result import SweptResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class SpaceResult(SweptResult):
    """A finished sweep of a space; `report` and `pilot` are under the chosen configuration's policy, as it was judged.

    Args:
        document, policy, report, pilot, best_single, singles, heat: see `SweptResult`.
        curves: the chosen configuration's point, and the exact frontier of the plain sweep, on the report split.
    """

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


def _flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat
