"""Figures of load and memory: what users wait, how it grows with the rate, what the gigabytes are for. They are returned, not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.tuning.figures import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.evaluation.load import BenchResult
    from workbench.models.memory import MemoryPlan
    from workbench.models.memory_trial import MemoryTrial

MIB = 2**20
SHOWN = (("ttft_s", "first token"), ("latency_s", "whole answer"))


def waiting_figure(results: Mapping[str, BenchResult]) -> Figure:
    """Seconds to the first token and to the whole answer, median and 95th percentile with their intervals.

    Args:
        results: label → bench; benches of the same load compare models, benches of one model compare loads.
    """
    figure, axes = new_figure(8.0, 0.7 * len(results) + 1.6)
    for row, result in enumerate(results.values()):
        for (name, _), colour, shift in zip(SHOWN, COLOURS, (-0.15, 0.15), strict=False):
            _draw_quantiles(axes, result.document[name], row + shift, colour)
    for (_, words), colour in zip(SHOWN, COLOURS, strict=False):
        axes.plot([], [], "o", color=colour, label=f"{words}: median (filled), p95 (open), 95 % intervals")
    labels = [f"{label} (n = {result.document['n']})" for label, result in results.items()]
    axes.set_yticks(range(len(results)), labels)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="seconds from the intended start")
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _draw_quantiles(axes: Axes, spread: Mapping[str, Any], height: float, colour: str) -> None:
    for quantile, fill in (("p50", colour), ("p95", "white")):
        value, ends = spread[quantile], spread["ci"].get(quantile)
        if value is None:
            continue
        low, high = ends if ends is not None and None not in ends else (value, value)
        errors = [[max(value - low, 0.0)], [max(high - value, 0.0)]]
        axes.errorbar(value, height, xerr=errors, fmt="o", color=colour, mfc=fill, ms=6, capsize=3)


def rates_figure(result: BenchResult) -> Figure:
    """A search for the highest rate: latency of each stage over its offered rate, and whether the SLO held.

    Args:
        result: of a bench with a search.
    """
    figure, axes = new_figure(8.0, 4.5)
    stages = sorted(result.document["stages"], key=lambda stage: stage["rate_rps"])
    for quantile, colour, style in (("p50", COLOURS[0], "-"), ("p95", COLOURS[1], "--")):
        by_rate: dict[float, list[float]] = {}
        for stage in stages:
            if stage["latency_s"][quantile] is not None:
                by_rate.setdefault(stage["rate_rps"], []).append(stage["latency_s"][quantile])
        axes.plot(list(by_rate), [sum(v) / len(v) for v in by_rate.values()], style, color=colour)
        points = [(rate, value) for rate, values in by_rate.items() for value in values]
        axes.plot(*zip(*points, strict=True), "o", ms=4, color=colour, label=f"latency {quantile}, a point a stage")
    _mark_verdicts(axes, stages)
    _mark_answer(axes, result.document)
    axes.set(xscale="log", yscale="log", xlabel="offered rate (requests/s)", ylabel="latency (s, from intended start)")
    n = sum(stage["n"] for stage in stages)
    axes.set_title(f"{result.document['model']}: {len(stages)} stages, n = {n} requests", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def _mark_verdicts(axes: Axes, stages: Sequence[Mapping[str, Any]]) -> None:
    for verdict, marker in (("holds", "^"), ("undecided", "s"), ("breaks", "x")):
        rates = [stage["rate_rps"] for stage in stages if stage["slo_verdict"] == verdict]
        axes.plot(
            rates,
            [0.03] * len(rates),
            marker,
            color=GREY,
            transform=axes.get_xaxis_transform(),
            label=f"one stage alone: {verdict}",
        )


def _mark_answer(axes: Axes, document: Mapping[str, Any]) -> None:
    slo = document["slo"] or {}
    if "latency_s" in slo:
        axes.axhline(slo["latency_s"], color=GREY, lw=0.8, ls=":", label=f"SLO: latency ≤ {slo['latency_s']:g} s")
    answer = document["holds_slo_up_to_rps"]
    if answer is None or answer["rate_rps"] is None:
        return
    axes.axvline(answer["rate_rps"], color="black", lw=1.2, label=f"holds at {answer['rate_rps']:.3g}/s")
    if answer["ci"][1] is not None:
        axes.axvspan(answer["rate_rps"], answer["ci"][1], color="black", alpha=0.08, lw=0)


def memory_figure(compared: Mapping[str, tuple[MemoryPlan, MemoryTrial]]) -> Figure:
    """Predicted memory by part beside the measured peak, without the libraries that every model shares.

    Args:
        compared: label → plan, and the trial of the same batch.
    """
    figure, axes = new_figure(8.0, 0.6 * len(compared) + 1.6)
    names = list(dict.fromkeys(p.name for plan, _ in compared.values() for p in plan.parts if p.name != "framework"))
    left = [0.0] * len(compared)
    for name, colour in zip(names, COLOURS, strict=False):
        widths = [plan.part(name) / MIB for plan, _ in compared.values()]
        axes.barh(range(len(compared)), widths, left=left, color=colour, height=0.5, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    measured = [(trial.peak_bytes - trial.framework_bytes) / MIB for _, trial in compared.values()]
    axes.plot(measured, range(len(compared)), "D", color="black", ms=6, label="measured")
    axes.set_yticks(range(len(compared)), list(compared))
    axes.invert_yaxis()
    axes.set(xlabel="memory above the libraries (MiB)")
    axes.legend(frameon=False, fontsize=8, loc="best")
    return figure
