"""Figures of a break-even: bills over the rate, the day with its overflow, and what would flip the answer. They are returned, not shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.economics.break_even import Configuration
from workbench.economics.daily_mix import best_mix
from workbench.economics.daily_profile import LoadProfile
from workbench.economics.hardware import HOURS_PER_MONTH
from workbench.tuning.figures import COLOURS, GREY, new_figure
from workbench.tuning.local_economics_configuration import MeasuredConfiguration
from workbench.tuning.local_economics_load import Floats
from workbench.tuning.local_economics_rows import Comparison, advantage_usd_per_month

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_RATES = 300
MOST_BARS = 12
DRAWS_SHOWN = 200
MOST_MACHINES = 100  # that the axis of rates reaches to


def break_even_figures(found: Sequence[Comparison]) -> dict[str, Figure]:
    """Figures by name: `rates_…` for each local configuration, `day_…` and `tornado_…` for each pair."""
    figures: dict[str, Figure] = {}
    for name in dict.fromkeys(one.a.name for one in found):
        figures[f"rates_{_file(name)}"] = rate_figure([one for one in found if one.a.name == name])
    for one in found:
        pair = f"{_file(one.a.name)}_{_file(one.b.name)}"
        figures[f"tornado_{pair}"] = tornado_figure(one)
        if one.a.point.capacity_rps is not None and one.bills["mix"] is not None:
            figures[f"day_{pair}"] = day_figure(one)
    return figures


def _file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-")


def rate_figure(found: Sequence[Comparison]) -> Figure:
    """USD a month over the request rate: one local configuration with its machine steps, and everything it is compared with.

    Args:
        found: comparisons with the same local configuration.
    """
    a = found[0].a
    figure, axes = new_figure(8.0, 5.0)
    rates = _rates(found)
    _draw_local(axes, a, rates)
    for one, colour in zip(found, _cycled(len(found)), strict=True):
        _draw_other(axes, one, rates, colour)
    if a.capacity is not None:
        low, high = a.capacity.ci
        axes.axvspan(low, high, color=GREY, alpha=0.25, lw=0)
        axes.axvline(a.capacity.rps, color=GREY, lw=1.2, ls="--", label="one machine full (SLO held), 95 %")
    axes.set(xscale="log", yscale="log", xlabel="constant load (requests per second)", ylabel="cost (USD per month)")
    axes.set_title(
        f"{a.name}; bands and points with bars: 95 %, {len(a.draws)} bootstrap draws", loc="left", fontsize=10
    )
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def _rates(found: Sequence[Comparison]) -> Floats:
    capacity = found[0].a.point.capacity_rps
    marks = [one.found.rate_rps for one in found if one.found.rate_rps] + [capacity or 1.0]
    return np.geomspace(min(marks) / 10, min(max(marks) * 10, (capacity or np.inf) * MOST_MACHINES), N_RATES)


def _monthly(configuration: Configuration, rates: Floats) -> Floats:
    return np.array([configuration.usd_per_hour(rate) * HOURS_PER_MONTH for rate in rates.tolist()])


def _draw_local(axes: Axes, a: MeasuredConfiguration, rates: Floats) -> None:
    axes.plot(rates, _monthly(a.point, rates), color="black", lw=2.0, label=f"{a.name}, as many machines as it takes")
    _band(axes, a, rates, "black")


def _draw_other(axes: Axes, one: Comparison, rates: Floats, colour: str) -> None:
    b = one.b
    axes.plot(rates, _monthly(b.point, rates), color=colour, lw=1.8, label=b.name)
    _band(axes, b, rates, colour)
    if one.bills["mix"] is not None:
        mixed = [best_mix(one.a.point, b.point, LoadProfile.flat(rate)).usd_per_month for rate in rates.tolist()]
        axes.plot(rates, mixed, color=colour, lw=1.0, ls=":", label=f"best mix with {b.name}")
    if one.found.rate_rps is None:
        return
    rate = one.found.rate_rps
    low, high = one.ci or (None, None)
    ends = [[rate - (low or 0.0)], [(high if high is not None else rates[-1]) - rate]]
    axes.errorbar(
        rate, _monthly(b.point, np.array([rate]))[0], xerr=ends, fmt="o", color=colour, ms=6, capsize=3, zorder=5
    )


def _band(axes: Axes, configuration: MeasuredConfiguration, rates: Floats, colour: str) -> None:
    stride = max(1, len(configuration.draws) // DRAWS_SHOWN)
    drawn = np.array([_monthly(one, rates) for one in configuration.draws[::stride]])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    axes.fill_between(rates, low, high, color=colour, alpha=0.15, lw=0)


def tornado_figure(one: Comparison) -> Figure:
    """What each input's plausible range does to the monthly saving; the line at 0 is where the answer changes."""
    bars = [flip for flip in one.flips if flip.swing_usd > 0][:MOST_BARS][::-1]
    now = advantage_usd_per_month(one.a.point, one.b.point, one.profile)
    figure, axes = new_figure(9.0, 0.42 * len(bars) + 1.7)
    for line, flip in enumerate(bars):
        axes.barh(line, flip.at_low - now, left=now, color=COLOURS[0], height=0.6)
        axes.barh(line, flip.at_high - now, left=now, color=COLOURS[1], height=0.6)
    labels = [
        _bar_label(flip.lever.name, flip.lever.now, flip.lever.low, flip.lever.high, flip.flips_at) for flip in bars
    ]
    axes.set_yticks(range(len(bars)), labels, fontsize=8)
    axes.axvline(0, color="black", lw=1.2)
    axes.axvline(now, color=GREY, lw=1.0, ls=":")
    axes.set_xlabel("saving of at least one machine with overflow, against the API alone (USD per month)")
    mean = one.profile.mean_rps
    axes.set_title(
        f"{one.a.name} against {one.b.name} at {mean:.3g} requests/s; blue: low end, orange: high end",
        loc="left",
        fontsize=10,
    )
    return figure


def _bar_label(name: str, now: float, low: float, high: float, flips_at: float | None) -> str:
    flips = "never flips" if flips_at is None else f"flips at {flips_at:.3g}"
    return f"{name}\n{now:.3g} ({low:.3g} to {high:.3g}), {flips}"


def day_figure(one: Comparison) -> Figure:
    """The load through a weekday and a weekend day: what the machines of the best mix answer and what overflows."""
    mix = one.bills["mix"]
    assert mix is not None, "day_figure is for pairs that can be mixed"
    carried = min(
        (
            n * m.capacity_rps
            for n, m in zip(mix.n_machines, one.a.point.machines, strict=True)
            if m.capacity_rps is not None
        ),
        default=0.0,
    )
    figure, axes = new_figure(8.0, 4.0)
    rates = np.array([*one.profile.weekday, *one.profile.weekend])
    hours = np.arange(48) + np.repeat([0, 1], 24)  # a gap between the two days
    kept = np.minimum(rates, carried if mix.local_share > 0 else 0.0)
    axes.bar(hours, kept, width=1.0, color=COLOURS[0], label=f"{one.a.name}, {_machines(sum(mix.n_machines))}")
    axes.bar(hours, rates - kept, width=1.0, bottom=kept, color=COLOURS[1], label=f"overflow to {one.b.name}")
    if carried:
        axes.axhline(carried, color=GREY, ls="--", lw=1.2, label="what the machines carry with the SLO held")
    axes.set_xticks([0, 6, 12, 18, 25, 31, 37, 43], ["0", "6", "12", "18", "0", "6", "12", "18"])
    axes.set(
        xlabel="hour of a weekday, then of a weekend day",
        ylabel="load (requests per second)",
        ylim=(0, 1.35 * max(rates.max(), carried)),
    )
    low, high = one.bill_ci["mix"] or (mix.usd_per_hour, mix.usd_per_hour)
    told = f"{mix.usd_per_month:,.0f} USD a month [{low * HOURS_PER_MONTH:,.0f}, {high * HOURS_PER_MONTH:,.0f}]"
    axes.set_title(f"Best mix: {told}, {100 * mix.local_share:.0f} % answered locally", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def _machines(n: int) -> str:
    return f"{n} machine{'' if n == 1 else 's'}"


def _cycled(n: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(n)]
