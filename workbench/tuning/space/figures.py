"""The figure of a space: its front on the choose split, and the judged point on the report split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tuning.figures import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.tuning.space.result import SpaceResult


def front_figure(result: SpaceResult) -> Figure:
    """Mean score over mean cost: the finalists on the choose split; the chosen one, the plain sweep and the singles on the report split."""
    figure, axes = new_figure(8.0, 5.0)
    document = result.document
    plain = result.curves["plain sweep"]
    kept = plain.thinned(400)
    axes.plot(
        1000 * plain.cost_usd[kept], plain.score[kept], color=COLOURS[1], lw=1.0, label="plain sweep of λ, report split"
    )
    points = [line["choose"] for line in document["front"]]
    x, y = [p["cost_usd_per_1k"] for p in points], [p["score"] for p in points]
    axes.plot(x, y, "o", color=COLOURS[0], ms=4, alpha=0.7, label="finalists, choose split")
    for name, (cost, score) in result.singles.items():
        axes.plot(1000 * cost, score, "s", color=GREY, ms=6)
        axes.annotate(name, (1000 * cost, score), xytext=(5, -10), textcoords="offset points", fontsize=8, color=GREY)
    chosen = document["chosen"]
    at = chosen["cost_usd_per_1k"], chosen["score"]
    errors = [
        [[max(middle - low, 0)], [max(high - middle, 0)]]
        for middle, (low, high) in zip(at, (chosen["cost_ci"], chosen["score_ci"]), strict=True)
    ]
    axes.errorbar(
        *at,
        xerr=errors[0],
        yerr=errors[1],
        fmt="o",
        color="black",
        ms=7,
        capsize=3,
        zorder=5,
        label="chosen, report split, 95 %",
    )
    axes.set(xlabel="mean cost (USD per 1,000 requests)", ylabel="mean score (0 to 1)")
    looked = document["looked_at"]
    axes.set_title(
        f"{looked['in_all']} configurations, {looked['finalists']} finalists; report split n = {chosen['n']}",
        loc="left",
        fontsize=10,
    )
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
