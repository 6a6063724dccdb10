"""The two figures of a sweep: score over cost with its interval, and score by task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.tracking.logged import LoggableSweep

CURVES_SHOWN = 6


def frontier_figure(sweep: LoggableSweep, only: str | None = None) -> Figure:
    """Mean score over mean cost on the report split: each predictor's exact frontier, the single models and the chosen point.

    Args:
        sweep: a finished sweep.
        only: draw this predictor's curve alone; None draws all, with the 95 % band of the chosen one.
    """
    from matplotlib.figure import Figure

    chosen = sweep.document["chosen"]
    figure = Figure(figsize=(7.5, 4.8))
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.8))  # fixed: a layout engine draws everything twice
    names = [only] if only else list(sweep.curves)[:CURVES_SHOWN]
    for name in names:
        curve = sweep.curves[name]
        is_chosen = name == chosen["policy"]
        axes.plot(
            1000 * curve.cost_usd, curve.score, drawstyle="steps-post", linewidth=2 if is_chosen else 1, label=name
        )
    if chosen["policy"] in names:
        band = sweep.band
        axes.fill_between(1000 * band.cost_usd, band.low, band.high, alpha=0.15, linewidth=0, label="95 % band")
    for name, (cost_usd, score) in sweep.singles.items():
        axes.plot(1000 * cost_usd, score, "k.", markersize=7)
        axes.annotate(name, (1000 * cost_usd, score), textcoords="offset points", xytext=(5, -10), fontsize=8)
    _draw_pick(axes, sweep.document["policies"][only]["picked"] if only else chosen)
    axes.margins(x=0.08)
    axes.set_xlabel("USD per 1,000 requests")
    axes.set_ylabel("mean score (0 to 1)")
    axes.set_title(f"Every threshold on {sweep.report.height} held-out prompts", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _draw_pick(axes: Any, pick: dict[str, Any]) -> None:
    score, (low, high) = pick["score"], pick["score_ci"]
    errors = [[max(0.0, score - low)], [max(0.0, high - score)]]
    axes.errorbar(
        pick["cost_usd_per_1k"], score, yerr=errors, fmt="o", color="crimson", capsize=3, label="chosen, 95 %", zorder=5
    )


def heat_figure(sweep: LoggableSweep) -> Figure:
    """Mean score by task: each model and the chosen policy, with the number of prompts a task."""
    from matplotlib.figure import Figure

    table = sweep.heat
    columns = [name for name in table.columns if name not in ("task", "n")]
    values = table.select(columns).to_numpy()
    tasks = [f"{task or 'no task'} (n={n})" for task, n in table.select("task", "n").iter_rows()]
    size = (1.6 + 0.9 * len(columns), 1.2 + 0.36 * len(tasks))
    figure = Figure(figsize=(max(4.5, size[0]), max(2.5, size[1])), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            shade = "white" if value < 0.6 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=shade)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(tasks)), tasks, fontsize=8)
    axes.set_title("Mean score by task, held-out prompts", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes, label="mean score (0 to 1)")
    return figure
