"""Figures of routing strategies: score over what is spent, service curves, a paced budget, an outage, cascades. Returned, not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.tuning.figures import COLOURS, GREY, new_figure
from workbench.tuning.strategy_trials import Axis, StrategyTrial, mean_of_singles

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.routing import ServiceCurve
    from workbench.tuning.cascade import CascadeResult
    from workbench.tuning.evidence import Measured
    from workbench.tuning.routing_replays import PacedReplay

SCALE = {"cost_usd": 1000.0, "latency_s": 1000.0}
DPI = 92
"""A notebook holds seven of these figures, and its file must stay readable for reviewers."""
LABELS = {
    "cost_usd": "mean cost (USD per 1,000 requests)",
    "latency_s": "mean seconds of an answer (ms, one at a time)",
}


def strategies_figure(trials: Sequence[StrategyTrial], by: Axis = "cost_usd") -> Figure:
    """Mean score over what is spent on the report split: the picked setting of each strategy and each single model with intervals.

    Strategies that save what the figure's axis shows have a line through all of their settings.

    Args:
        trials: of strategies on the same splits.
        by: money or seconds.
    """
    figure, axes = _figure(9.5, 4.8)
    _draw_singles(axes, trials[0], by)
    for trial, colour in zip(trials, COLOURS, strict=False):
        if trial.axis == by:
            spent, score = SCALE[by] * trial.points.along(by), trial.points.score
            order = np.argsort(spent, kind="stable")
            axes.plot(spent[order], score[order], "-", color=colour, lw=1.0, alpha=0.7)
        found = trial.comparison if by == "cost_usd" else trial.seconds
        _draw_point(axes, found.cost_usd, found.score, SCALE[by], color=colour, fmt="o", label=_labelled(trial))
    matrix = trials[0].replay.matrix
    n_groups = len(set(matrix.groups))
    axes.set(xlabel=LABELS[by], ylabel="mean score (0 to 1)")
    title = f"Report split, n = {len(matrix)} prompts in {n_groups} groups; bars: 95 %, groups resampled"
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure, axes = new_figure(width, height)
    figure.set_dpi(DPI)
    return figure, axes


def _labelled(trial: StrategyTrial) -> str:
    saves = "money" if trial.axis == "cost_usd" else "seconds"
    return f"{trial.name}, saves {saves}\n(one of {len(trial.settings)} settings)"


def _draw_singles(axes: Axes, trial: StrategyTrial, by: Axis) -> None:
    singles = mean_of_singles(trial.state, by)
    for name, (spent, score) in singles.items():
        _draw_point(axes, spent, score, SCALE[by], color=GREY, fmt="s")
        place = (SCALE[by] * spent.mean, score.mean)
        axes.annotate(name, place, xytext=(6, -11), textcoords="offset points", fontsize=8, color=GREY)
    best = trial.replay.matrix.models[trial.state.single]
    cheapest = min(singles, key=lambda name: singles[name][0].mean)
    ends = [singles[cheapest], singles[best]]
    line = [SCALE[by] * spent.mean for spent, _ in ends], [score.mean for _, score in ends]
    axes.plot(*line, ls=":", color=GREY, lw=1.2, label="random mix of cheapest\nand best single, expected")


def _draw_point(axes: Axes, x: Measured, y: Measured, scale: float, **style: Any) -> None:
    xerr = [[scale * max(x.mean - x.ci[0], 0.0)], [scale * max(x.ci[1] - x.mean, 0.0)]]
    yerr = [[max(y.mean - y.ci[0], 0.0)], [max(y.ci[1] - y.mean, 0.0)]]
    axes.errorbar(scale * x.mean, y.mean, xerr=xerr, yerr=yerr, capsize=2, ms=6, lw=1.0, zorder=4, **style)


def service_curves_figure(curves: Mapping[str, ServiceCurve], percentile: float | None = None) -> Figure:
    """Seconds of one answer over how many the model works on at once, as measured.

    Args:
        curves: by model.
        percentile: which one the curves hold; None is the mean.
    """
    figure, axes = _figure(8.0, 3.6)
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(curve.concurrency, [1000 * s for s in curve.seconds], "o-", color=colour, label=name)
    what = "mean" if percentile is None else f"p{percentile:g}"
    axes.set(
        xscale="log", yscale="log", xlabel="requests worked on at once", ylabel=f"seconds of an answer ({what}, ms)"
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def pacing_figure(found: PacedReplay) -> Figure:
    """Share of the budget spent over the share of the period gone: paced, unpaced, and the plan."""
    figure, axes = _figure(8.0, 3.6)
    axes.plot([0, 1], [0, 1], ls=":", color=GREY, label="plan")
    followed = f"λ follows the spend: score {found.score:.3f}"
    held = f"λ held until the money is gone: score {found.unpaced_score:.3f}"
    axes.plot(found.elapsed, found.spent, color=COLOURS[0], lw=1.8, label=followed)
    axes.plot(found.elapsed, found.unpaced, color=COLOURS[1], lw=1.2, label=held)
    axes.axhline(1.0, color="black", lw=0.8)
    axes.set(xlabel="share of the period gone", ylabel="share of the budget spent")
    axes.set_title(f"n = {len(found.elapsed)} requests, most of them early", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def outage_figure(requests: Mapping[str, pl.DataFrame], begin_s: float, end_s: float, timeout_s: float) -> Figure:
    """Every request of an outage: when it was asked, how long it took, who answered.

    Args:
        requests: label → rows with `at_s`, `latency_s`, `model`.
        begin_s, end_s: of the outage.
        timeout_s: of one attempt.
    """
    figure, axes = _figure(8.0, 3.8)
    markers = ("o", "x", "^", "s")
    for (label, rows), marker in zip(requests.items(), markers, strict=False):
        for model, colour in zip(sorted(rows["model"].drop_nulls().unique()), COLOURS, strict=False):
            some = rows.filter(rows["model"] == model)
            seconds = [1000 * s for s in some["latency_s"]]
            name = f"{label}, answered by {model} (n = {some.height})"
            axes.plot(some["at_s"], seconds, marker, ms=4, mfc="none", color=colour, label=name)
    axes.axvspan(begin_s, end_s, color="black", alpha=0.06, lw=0, label="the server hangs")
    axes.axhline(1000 * timeout_s, color=GREY, lw=0.8, ls=":", label="timeout of an attempt")
    axes.set(yscale="log", xlabel="seconds since the start", ylabel="seconds of the answer (ms)")
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def cascades_figure(results: Mapping[str, CascadeResult]) -> Figure:
    """Score over cost of every threshold of several cascades, the chosen one with its intervals, and the models alone.

    Args:
        results: label → swept cascade, all on the same report split.
    """
    figure, axes = _figure(8.0, 4.6)
    for (label, result), colour in zip(results.items(), COLOURS, strict=False):
        frontier, chosen = result.frontier, result.document["chosen"]
        kept = frontier.thinned(400)
        axes.plot(1000 * frontier.cost_usd[kept], frontier.score[kept], "-", color=colour, lw=1.2)
        x, y = chosen["cost_usd_per_1k"], chosen["score"]
        xerr = [[max(x - chosen["cost_ci"][0], 0)], [max(chosen["cost_ci"][1] - x, 0)]]
        yerr = [[max(y - chosen["score_ci"][0], 0)], [max(chosen["score_ci"][1] - y, 0)]]
        axes.errorbar(x, y, xerr=xerr, yerr=yerr, fmt="o", color=colour, ms=6, capsize=2, label=label)
    first = next(iter(results.values())).document
    for name, line in first["baselines"].items():
        axes.plot(line["cost_usd_per_1k"], line["score"], "s", color=GREY, ms=6)
        place = (line["cost_usd_per_1k"], line["score"])
        axes.annotate(name, place, xytext=(6, -11), textcoords="offset points", fontsize=8, color=GREY)
    axes.set(xlabel=LABELS["cost_usd"], ylabel="mean score (0 to 1)")
    chosen = first["chosen"]
    title = f"Report split, n = {chosen['n']} requests in {chosen['n_groups']} groups; ● chosen threshold, 95 %"
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure
