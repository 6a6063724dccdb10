"""Tables and figure of what routers between two models recover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench.tuning.figures import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.tuning.recovery import Recovery


def recovery_figure(sets: Mapping[str, Mapping[str, Recovery]], left_out: tuple[str, ...] = ()) -> Figure:
    """Recovered gap over the share of strong calls, one panel a set, random routing as the dotted line.

    Args:
        sets: title of the panel → router → its recovery.
        left_out: routers that are not drawn (an oracle squeezes all others together).
    """
    figure, first = new_figure(5.2 * len(sets), 4.4)
    first.remove()
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, (title, found) in zip(panels, sets.items(), strict=True):
        _panel(axes, title, {name: one for name, one in found.items() if name not in left_out})
    return figure


def _panel(axes: Axes, title: str, found: Mapping[str, Recovery]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([0, 1], [0, 1], ls=":", color=GREY, label="random, expected value")
    for index, (name, one) in enumerate(found.items()):
        label = f"{name}, APGR {one.apgr:.3f}"
        if one.apgr_ci is not None:
            label += f" [{one.apgr_ci[0]:.3f}, {one.apgr_ci[1]:.3f}]"
        axes.plot(one.curve.share, one.curve.recovered, lw=1.3, color=COLOURS[index % len(COLOURS)], label=label)
    axes.set(xlabel="share of calls to the strong model", ylabel="recovered part of the gap")
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def recovery_table(document: Mapping[str, Any]) -> pl.DataFrame:
    """One row a router of a reproduced set: APGR with its interval, CPT20, CPT50 and CPT80, and where it was judged.

    Args:
        document: `Reproduction.document`.
    """
    spread = document["random"]["sd_between_draws"]
    rows = [
        _row(
            "random",
            f"expected; sd between draws {spread:.3f}",
            {"apgr": 0.5, "cpt20": 0.2, "cpt50": 0.5, "cpt80": 0.8},
        )
    ]
    rows += [_row(router, "five-fold", row) for router, row in document["five_fold"].items()]
    rows += [_row(router, "unseen subjects", row) for router, row in document["unseen_subjects"].items()]
    rows += [_row(router, "published", row) for router, row in document["published"].items()]
    numbers = ("apgr", "low", "high", "cpt20", "cpt50", "cpt80")
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(numbers, pl.Float64))


def _row(router: str, judged: str, row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row.get("apgr_ci") or (None, None)
    cpts = {f"cpt{percent}": row.get(f"cpt{percent}") for percent in (20, 50, 80)}
    return {"router": router, "judged": judged, "apgr": row["apgr"], "low": low, "high": high, **cpts}
