"""Figures of a sweep: the frontier with its band, and scores by task. They are returned, not shown or saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.tuning.result import SweepResult

# Okabe and Ito's palette: told apart with every common colour vision deficiency, and in this order also in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#6B6B6B"


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure (inches) that no global state knows about."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as exc:
        raise MissingExtra("a figure", "tracking") from exc
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def frontier_figure(result: SweepResult, only: str | None = None) -> Figure:
    """Mean score over mean cost on the report split: every threshold of every policy, singles, random mixes, the chosen point.

    Args:
        result: a finished sweep.
        only: draw this policy's curve and its picked point alone; None draws all, with the 95 % band of the chosen one.
    """
    figure, axes = new_figure(8.0, 5.0)
    document = result.document
    chosen = document["chosen"] if only is None else {**document["chosen"], **document["policies"][only]["picked"]}
    first = only or chosen["policy"]
    names = [first, *(name for name in result.curves if name != first)] if only is None else [first]
    for name, colour in zip(names, _cycled(len(names)), strict=True):
        curve = result.curves[name]
        kept = curve.thinned(400)
        strong = name == first
        axes.plot(1000 * curve.cost_usd[kept], curve.score[kept], color=colour, lw=2.2 if strong else 1.0, label=name)
    if first == document["chosen"]["policy"]:
        order = np.argsort(result.band.cost_usd)
        band = (1000 * result.band.cost_usd[order], result.band.low[order], result.band.high[order])
        axes.fill_between(*band, color=COLOURS[0], alpha=0.15, lw=0, label="95 % band, groups resampled")
    _draw_singles(axes, result)
    _draw_chosen(axes, chosen)
    unit = (
        "share of calls to the dearer model × 1000"
        if document["cost_source"].startswith("unit")
        else "USD per 1,000 requests"
    )
    axes.set(xlabel=f"mean cost ({unit})", ylabel="mean score (0 to 1)")
    axes.set_title(f"Report split, n = {chosen['n']} prompts in {chosen['n_groups']} groups", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _draw_singles(axes: Axes, result: SweepResult) -> None:
    points = {name: (1000 * cost, score) for name, (cost, score) in result.singles.items()}
    cheapest, best = min(points, key=lambda n: points[n][0]), result.best_single
    ends = [points[cheapest], points[best]]
    axes.plot(
        [x for x, _ in ends], [y for _, y in ends], ls=":", color=GREY, lw=1.2, label="random mix, expected value"
    )
    for name, (x, y) in points.items():
        axes.plot(x, y, "s", color=GREY, ms=6)
        axes.annotate(name, (x, y), xytext=(5, -10), textcoords="offset points", fontsize=8, color=GREY)


def _draw_chosen(axes: Axes, chosen: dict[str, Any]) -> None:
    x, y = chosen["cost_usd_per_1k"], chosen["score"]
    xerr = [[max(x - chosen["cost_ci"][0], 0)], [max(chosen["cost_ci"][1] - x, 0)]]
    yerr = [[max(y - chosen["score_ci"][0], 0)], [max(chosen["score_ci"][1] - y, 0)]]
    axes.errorbar(x, y, xerr=xerr, yerr=yerr, fmt="o", color="black", ms=7, capsize=3, zorder=5, label="chosen, 95 %")


def task_figure(result: SweepResult, most_tasks: int = 40) -> Figure:
    """Mean score by task and model on the report split, and under the chosen policy; one row a task, its n beside it."""
    heat = result.heat.sort("n", descending=True).head(most_tasks).sort("task", nulls_last=True)
    columns = [name for name in heat.columns if name not in ("task", "n")]
    values = heat.select(columns).to_numpy()
    figure, axes = new_figure(1.2 * len(columns) + 3.0, 0.3 * len(values) + 1.6)
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    labels = [f"{task or 'no label'} (n = {n})" for task, n in zip(heat["task"], heat["n"], strict=True)]
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        axes.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value < 0.55 else "black",
        )
    figure.colorbar(image, ax=axes, label="mean score (0 to 1)")
    axes.set_title(f"Report split; “policy” is {result.document['chosen']['policy']}", loc="left", fontsize=10)
    return figure


def _cycled(n: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(n)]
