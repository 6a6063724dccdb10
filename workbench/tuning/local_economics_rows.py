"""One configuration against another: λ* with its interval, whether it can be reached, the bills at a load, and what would flip it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.core import ConfigError
from workbench.economics.break_even import BreakEven, Configuration, break_even, winning_rates
from workbench.economics.break_even_flips import Flip, Lever, flips
from workbench.economics.daily_mix import Bill, best_mix, bill_alone
from workbench.economics.daily_profile import LoadProfile
from workbench.economics.hardware import HOURS_PER_MONTH
from workbench.economics.payback import MOST_DISCOUNT, payback
from workbench.tuning.local_economics_configuration import Input, MeasuredConfiguration, unbounded
from workbench.tuning.local_economics_quality import Quality, QualityRule, judge_quality

Verdict = Literal["pays", "does not pay", "undecided"]
DRAWS_FOR_BILLS = 300
DECIDED = 0.975
"""Share of the draws that must agree, which is a one-sided 2.5 % error as elsewhere."""
SWEPT = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
RATES_SHOWN = 4.0
"""Multiple of one machine's capacity, or of the load's peak, up to which winning rates are listed."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every pair.

    Args:
        profile: the load; None asks at one machine's capacity, which is the best case of a machine.
        rule: when quality holds.
        seed: of the sign flips.
        discount_per_year: interest for the payback.
        up_to_rps: rates up to which all winning ranges are listed; None: four times the capacity or the peak.
    """

    profile: LoadProfile | None
    rule: QualityRule
    seed: int
    discount_per_year: float = 0.0
    up_to_rps: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.discount_per_year < MOST_DISCOUNT:
            raise ConfigError(
                f"the discount rate is {self.discount_per_year} a year; 0 to {MOST_DISCOUNT:g} is expected, 0.08 is 8 %"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """`a` (local) against `b` (API).

    Args:
        a, b: the configurations.
        found: break-even of the point estimates.
        ci: 95 % of its draws, requests a second; an end is None where it lies at infinity. None without a break-even.
        reached: share of the draws in which `a` is cheaper within its capacity.
        quality: whether `a` answers as well.
        profile: the load of the bills.
        bills: of "local", "api" and "mix"; None where a bill has no meaning.
        bill_ci: 95 % of each, USD an hour.
        flips: what changes the answer, the largest first.
        question: what was asked.
    """

    a: MeasuredConfiguration
    b: MeasuredConfiguration
    found: BreakEven
    ci: tuple[float | None, float | None] | None
    reached: float
    quality: Quality
    profile: LoadProfile
    bills: dict[str, Bill | None]
    bill_ci: dict[str, tuple[float, float] | None]
    flips: list[Flip]
    question: Question

    @property
    def verdict(self) -> Verdict:
        """Whether `a` pays: it is cheaper within its capacity, and as good; decided by intervals, not by points."""
        if self.reached <= 1 - DECIDED or self.quality.holds is False:
            return "does not pay"
        return "pays" if self.reached >= DECIDED and self.quality.holds else "undecided"

    @property
    def is_feasible(self) -> bool:
        """Whether it is shown to pay."""
        return self.verdict == "pays"


def compare_configurations(a: MeasuredConfiguration, b: MeasuredConfiguration, question: Question) -> Comparison:
    """Everything about one pair.

    The flips ask whether at least one machine of `a` pays at the load (with overflow into `b` where `b` takes any rate), or, where `a` has
    no machine, whether `a` is the cheaper one.
    """
    found = break_even(a.point, b.point)
    profile = question.profile or _best_case(a.point)
    bills = _bills(a.point, b.point, profile)
    drawn = [_bills(x, y, question.profile or _best_case(x)) for x, y in _thinned(a, b)]
    return Comparison(
        a=a,
        b=b,
        found=found,
        ci=_interval(found, a, b),
        reached=_reached(a, b),
        quality=_quality(a, b, question),
        profile=profile,
        bills=bills,
        bill_ci={name: _bill_interval([bills[name] for bills in drawn]) for name in bills},
        flips=flips(list(_levers(a, b, profile))),
        question=question,
    )


def _best_case(a: Configuration) -> LoadProfile:
    """The load at which a machine looks best: full around the clock."""
    if a.capacity_rps is None:
        return LoadProfile.flat(1.0, "no load was given: 1 request/s around the clock, for scale")
    return LoadProfile.flat(a.capacity_rps, "no load was given: one machine full around the clock, its best case")


def _quality(a: MeasuredConfiguration, b: MeasuredConfiguration, question: Question) -> Quality:
    origin = {a.name, a.same_answers_as} & {b.name, b.same_answers_as} - {None}
    if origin and question.rule.floor is None:
        return Quality(True, f"the answers are those of {origin.pop()} by construction")
    return judge_quality(a.scores, b.scores, question.rule, question.seed)


def _interval(
    found: BreakEven, a: MeasuredConfiguration, b: MeasuredConfiguration
) -> tuple[float | None, float | None] | None:
    """95 % of the draws of λ*; a draw without one counts as 0 where `a` always wins and as infinity where it never does."""
    if found.rate_rps is None:
        return None
    drawn = [break_even(x, y) for x, y in zip(a.draws, b.draws, strict=True)]
    rates = np.array([_as_rate(one, found.wins) for one in drawn])
    low, high = np.quantile(rates, [0.025, 0.975], method="inverted_cdf")
    return unbounded(float(low)), unbounded(float(high))


def _as_rate(found: BreakEven, wins: str) -> float:
    if found.rate_rps is not None and found.wins == wins:
        return found.rate_rps
    is_won = found.wins == "always"
    return 0.0 if is_won == (wins == "above") else float("inf")


def _reached(a: MeasuredConfiguration, b: MeasuredConfiguration) -> float:
    """Share of the draws in which `a` wins at a rate that one machine of each kind carries."""
    pairs = zip(a.draws, b.draws, strict=True)
    return float(np.mean([break_even(x, y).is_within(x.capacity_rps) for x, y in pairs]))


def _thinned(a: MeasuredConfiguration, b: MeasuredConfiguration) -> Iterator[tuple[Configuration, Configuration]]:
    stride = max(1, len(a.draws) // DRAWS_FOR_BILLS)
    yield from zip(a.draws[::stride], b.draws[::stride], strict=True)


def _bills(a: Configuration, b: Configuration, profile: LoadProfile) -> dict[str, Bill | None]:
    mix = best_mix(a, b, profile) if a.machines and b.capacity_rps is None else None
    return {"local": bill_alone(a, profile), "api": bill_alone(b, profile), "mix": mix}


def _bill_interval(drawn: list[Bill | None]) -> tuple[float, float] | None:
    hourly = [bill.usd_per_hour for bill in drawn if bill is not None]
    if not hourly:
        return None
    low, high = np.quantile(hourly, [0.025, 0.975])
    return float(low), float(high)


def advantage_usd_per_month(a: Configuration, b: Configuration, profile: LoadProfile) -> float:
    """USD a month that `a` saves against `b` alone: with at least one machine and overflow into `b` where that can be, else alone."""
    if a.machines and b.capacity_rps is None:
        ours = best_mix(a, b, profile, least_machines=1)
    else:
        ours = bill_alone(a, profile)
    return bill_alone(b, profile).usd_per_month - ours.usd_per_month


def _levers(a: MeasuredConfiguration, b: MeasuredConfiguration, profile: LoadProfile) -> Iterator[Lever]:
    """Every input of either side; what both sides have (the price of the same model) is turned in both at once."""
    ours, theirs = ({entry.label: entry for entry in side.inputs} for side in (a, b))
    for label in dict.fromkeys([*ours, *theirs]):
        yield _lever(label, (a, ours.get(label)), (b, theirs.get(label)), profile)
    yield from _load_levers(a, b, profile)


Turned = tuple[MeasuredConfiguration, Input | None]


def _lever(label: str, ours: Turned, theirs: Turned, profile: LoadProfile) -> Lever:
    entry = ours[1] or theirs[1]
    assert entry is not None, "a label comes from at least one side"

    def margin(value: float) -> float:
        x, y = (side.point if own is None else own.change(value) for side, own in (ours, theirs))
        return advantage_usd_per_month(x, y, profile)

    return Lever(label, entry.now, entry.low, entry.high, entry.because, entry.least, entry.most, margin)


def _load_levers(a: MeasuredConfiguration, b: MeasuredConfiguration, profile: LoadProfile) -> Iterator[Lever]:
    """The load, as mean rate and, where one machine's capacity is known, as utilisation of that machine."""

    def at_mean(rate_rps: float) -> float:
        return advantage_usd_per_month(a.point, b.point, profile.scaled_to(rate_rps))

    now, capacity = profile.mean_rps, a.point.capacity_rps
    stated = "stated range, half to double the load"
    yield Lever("mean load, requests/s", now, now / 2, now * 2, stated, now / 1000, now * 1000, at_mean)
    if capacity is not None:
        share = now / capacity
        name = "utilisation (mean load over one machine's capacity)"
        swept = "swept from a tenth to full, or to the present load where that is more"
        ends = (0.1, max(1.0, share), swept, share / 1000, max(1.0, share * 1000))
        yield Lever(name, share, *ends, lambda value: at_mean(value * capacity))


def row_document(found: Comparison) -> dict[str, Any]:
    """The row of the JSON contract, with what explains it."""
    a, b = found.a, found.b
    monthly = {name: None if bill is None else bill.usd_per_month for name, bill in found.bills.items()}
    yearly = {name: None if bill is None else bill.usd_per_year for name, bill in found.bills.items()}
    return {
        "local": a.name,
        "api": b.name,
        "wins": found.found.wins,
        "rate_rps": found.found.rate_rps,
        "ci": None if found.ci is None else list(found.ci),
        "goodput_rps": a.point.capacity_rps,
        "feasible": found.is_feasible,
        "verdict": found.verdict,
        "because": because(found),
        "reached_share_of_draws": found.reached,
        "usd_per_month": monthly,
        "usd_per_month_ci": {name: _scaled(ends, HOURS_PER_MONTH) for name, ends in found.bill_ci.items()},
        "usd_per_year": yearly,
        "usd_per_1k_requests": {"local": 1000 * a.point.variable_usd, "api": 1000 * b.point.variable_usd},
        "fixed_usd_per_hour": {"local": a.point.fixed_usd_per_hour, "api": b.point.fixed_usd_per_hour},
        "capacity": _capacity(a),
        "load": {"from": found.profile.origin, "mean_rps": found.profile.mean_rps, "peak_rps": found.profile.peak_rps},
        "utilisation": {name: None if bill is None else bill.utilisation for name, bill in found.bills.items()},
        "machines": {name: None if bill is None else list(bill.n_machines) for name, bill in found.bills.items()},
        "local_share_of_mix": None if found.bills["mix"] is None else found.bills["mix"].local_share,
        "local_wins_rps": [list(ends) for ends in winning_rates(a.point, b.point, _limit(found))],
        "looked_up_to_rps": _limit(found),
        "utilisation_sweep": _sweep(a.point, b.point),
        "payback": _payback(found),
        "quality": found.quality.to_dict(),
        "notes": [*a.notes, *b.notes],
        "assumed": [*a.assumed, *b.assumed],
        "from": {"local": dict(a.evidence), "api": dict(b.evidence)},
    }


def _scaled(ends: tuple[float, float] | None, factor: float) -> list[float] | None:
    return None if ends is None else [end * factor for end in ends]


def _capacity(a: MeasuredConfiguration) -> dict[str, Any] | None:
    if a.capacity is None:
        return None
    found = a.capacity
    return {
        "rps": found.rps,
        "ci": list(found.ci),
        "kind": found.kind,
        "because": found.because,
        "is_lower_bound": found.is_lower_bound,
    }


def _limit(found: Comparison) -> float:
    capacity = found.a.point.capacity_rps or 0.0
    reach = max(capacity, found.profile.peak_rps, found.found.rate_rps or 0.0 if not capacity else 0.0)
    return found.question.up_to_rps or RATES_SHOWN * reach


def _sweep(a: Configuration, b: Configuration) -> list[dict[str, float | None]]:
    """Bills at shares of one machine's capacity; utilisation is never assumed, so where it is not measured it is swept."""
    if a.capacity_rps is None:
        return []
    lines = []
    for share in SWEPT:
        bills = _bills(a, b, LoadProfile.flat(share * a.capacity_rps))
        monthly = {name: None if bill is None else bill.usd_per_month for name, bill in bills.items()}
        lines.append({"utilisation": share, "rate_rps": share * a.capacity_rps, **monthly})
    return lines


def _payback(found: Comparison) -> dict[str, Any]:
    """Months until bought machines are paid back at the load, with overflow into the API where that can be."""
    owned = found.a.ownership
    if owned is None:
        return {"months": None, "because": "the machines are rented: nothing is bought", "n_machines": None}
    a, b, profile = found.a.point, found.b.point, found.profile
    plan = best_mix(a, b, profile, least_machines=1) if b.capacity_rps is None else bill_alone(a, profile)
    n_machines = sum(plan.n_machines)
    running = plan.usd_per_hour - n_machines * owned.depreciation_usd_per_hour
    saving = (bill_alone(b, profile).usd_per_hour - running) * HOURS_PER_MONTH
    purchase = n_machines * owned.purchase_usd
    result = payback(purchase, saving, found.question.discount_per_year, owned.life_years)
    return {
        "months": result.months,
        "because": result.because,
        "n_machines": n_machines,
        "purchase_usd": purchase,
        "saving_usd_per_month": saving,
    }


def because(found: Comparison) -> str:
    """Why it pays, does not, or is not decided: the sentence with the deciding figures."""
    return f"{_rate_sentence(found)}; {found.quality.because}"


def _rate_sentence(found: Comparison) -> str:
    a, b, capacity = found.a.name, found.b.name, found.a.point.capacity_rps
    wins, rate = found.found.wins, found.found.rate_rps
    if wins == "never":
        return f"{a} is dearer than {b} at every rate"
    if wins == "same":
        return f"{a} and {b} cost the same at every rate"
    if wins == "always":
        return f"{a} is cheaper than {b} at every rate it carries"
    low, high = found.ci or (None, None)
    ends = f"[{_shown(low)}, {_shown(high)}]"
    if wins == "below":
        return f"{a} is cheaper than {b} below {rate:.4g} requests/s {ends}"
    if capacity is None:
        return f"{a} is cheaper than {b} above {rate:.4g} requests/s {ends}"
    if found.reached >= DECIDED:
        return f"{a} is cheaper than {b} from {rate:.4g} requests/s {ends} up to the {capacity:.4g} that one machine carries"
    if found.reached <= 1 - DECIDED:
        return f"{a} would be cheaper than {b} only above {rate:.4g} requests/s {ends}, and one machine carries {capacity:.4g}"
    return (
        f"{a} would be cheaper than {b} above {rate:.4g} requests/s {ends}; one machine carries {capacity:.4g}, which is enough in "
        f"{100 * found.reached:.0f} % of the draws: not decided"
    )


def _shown(value: float | None) -> str:
    return "∞" if value is None else f"{value:.4g}"


def flip_document(found: Comparison) -> list[dict[str, Any]]:
    """What changes the answer of one pair, quality last."""
    now = advantage_usd_per_month(found.a.point, found.b.point, found.profile)
    answer = ("a machine pays", "no machine pays") if found.a.point.machines else ("it pays", "it does not pay")
    to = answer[1] if now > 0 else answer[0]
    lines = [_flip(flip, to, now) for flip in found.flips]
    return [{"local": found.a.name, "api": found.b.name, **line} for line in (*lines, *_quality_flips(found))]


def _flip(flip: Flip, to: str, now_usd: float) -> dict[str, Any]:
    lever = flip.lever
    return {
        "input": lever.name,
        "now": lever.now,
        "flips_at": flip.flips_at,
        "factor": flip.factor,
        "to": None if flip.flips_at is None else to,
        "low": lever.low,
        "high": lever.high,
        "range": lever.because,
        "saves_usd_per_month": {"now": now_usd, "low": flip.at_low, "high": flip.at_high},
    }


def _quality_flips(found: Comparison) -> Iterator[dict[str, Any]]:
    """The margin (or floor) at which quality starts or stops to hold: an end of an interval, so exact."""
    quality, rule = found.quality, found.question.rule
    if quality.difference is not None and not np.isnan(quality.difference.ci[0]):
        at = max(0.0, -quality.difference.ci[0])
        yield _quality_flip("quality margin (score)", rule.margin, at, bool(quality.holds))
    if rule.floor is not None and quality.a is not None:
        yield _quality_flip("quality floor (score)", rule.floor, quality.a.ci[0], bool(quality.holds))


def _quality_flip(name: str, now: float, at: float, holds: bool) -> dict[str, Any]:
    return {
        "input": name,
        "now": now,
        "flips_at": at,
        "factor": at / now if now else None,
        "to": "quality does not hold" if holds else "quality holds",
        "low": None,
        "high": None,
        "range": "end of the measured interval",
        "saves_usd_per_month": None,
    }
