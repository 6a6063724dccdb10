"""Configurations as measured: a point, its bootstrap draws, what may be turned, and where every figure comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile
from workbench.economics.break_even import SECONDS_PER_HOUR, Configuration, Machine
from workbench.tuning.local_economics_load import Capacity, Floats, spread
from workbench.tuning.local_economics_quality import Scores
from workbench.tuning.local_economics_tokens import FEW_GROUPS, ApiBill, TokenCounts, api_bill, mean_bills

STATED_PRICE_RANGE = (0.5, 2.0)
STATED_HARDWARE_RANGE = (0.7, 1.5)
STATED_POWER_RANGE = (0.5, 2.0)
FAR = 1000.0
"""Multiple of the present value up to which a flip is looked for."""

Change = Callable[[float], Configuration]
Transform = Callable[[Configuration], Configuration]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a configuration that may be off.

    Args:
        of: what it belongs to. Two configurations with an input of the same label share it: it is turned in both at once.
        name: with its unit.
        now: the present value.
        low, high: plausible ends.
        because: where the ends come from.
        least, most: values outside of which it has no meaning.
        change: the configuration with another value of this input.
    """

    of: str
    name: str
    now: float
    low: float
    high: float
    because: str
    least: float
    most: float
    change: Change

    @property
    def label(self) -> str:
        """Its name in tables, and what tells it apart."""
        return f"{self.of}: {self.name}"

    def through(self, transform: Transform) -> Input:
        """The same input of a configuration made from this one."""
        return replace(self, change=lambda value: transform(self.change(value)))


@dataclass(frozen=True, slots=True)
class Ownership:
    """What was bought, for the payback.

    Args:
        purchase_usd: of one machine.
        depreciation_usd_per_hour: the purchase as part of the machine's hour; it is taken out again where the purchase is counted.
        life_years: how long it lasts.
    """

    purchase_usd: float
    depreciation_usd_per_hour: float
    life_years: float


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredConfiguration:
    """A configuration with its uncertainty and its evidence.

    Args:
        point: the best estimate.
        draws: bootstrap draws of it; those of two configurations measured on the same prompts belong together, one by one.
        inputs: what may be turned.
        evidence: folder, run id and hash of each part.
        notes: what a reader must know, one sentence each.
        scores: measured quality; None where not measured.
        capacity: of its one machine, as measured; None for an API or several machines.
        ownership: where the machine was bought.
        same_answers_as: name of the configuration whose answers it gives by construction; None where it has its own.
    """

    point: Configuration
    draws: tuple[Configuration, ...]
    inputs: tuple[Input, ...]
    evidence: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    scores: Scores | None = None
    capacity: Capacity | None = None
    ownership: Ownership | None = None
    same_answers_as: str | None = None
    assumed: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Its name in tables."""
        return self.point.name

    def renamed(self, name: str) -> MeasuredConfiguration:
        """The same configuration under another name."""
        draws = tuple(replace(drawn, name=name) for drawn in self.draws)
        return replace(self, point=replace(self.point, name=name), draws=draws)


def machine_configuration(
    name: str,
    capacity: Capacity,
    profile: HardwareProfile,
    hardware: str,
    evidence: Mapping[str, Any],
    scores: Scores | None = None,
) -> MeasuredConfiguration:
    """A model on an own or rented machine: every hour is paid, busy or idle, and work adds its power alone.

    Args:
        name: in tables.
        capacity: of one machine.
        profile: what an hour of it costs.
        hardware: the profile's name.
        evidence: of the capacity.
        scores: measured quality.
    """

    def priced(profile: HardwareProfile, rps: float) -> Configuration:
        return _on_machine(name, profile, rps)

    ownership = None
    if profile.purchase_usd is not None and profile.life_years is not None:
        ownership = Ownership(profile.purchase_usd, profile.depreciation_usd_per_hour, profile.life_years)
    hour = {"name": hardware, "usd_per_hour": profile.usd_per_hour_at(0.0), "as_of": profile.as_of.isoformat()}
    source = {**hour, "basis": profile.price_basis, "source": profile.source}
    notes = (f"{name}: the hour of {hardware} is an estimate ({profile.as_of}); put your own price in a hardware file",)
    return MeasuredConfiguration(
        point=priced(profile, capacity.rps),
        draws=tuple(priced(profile, rps) for rps in capacity.draws.tolist()),
        inputs=(
            *_hardware_inputs(name, profile, capacity.rps, priced),
            _capacity_input(name, capacity, profile, priced),
        ),
        evidence={**evidence, "hardware": source},
        notes=notes if profile.price_basis == "estimate" else (),
        scores=scores,
        capacity=capacity,
        ownership=ownership,
    )


def _on_machine(name: str, profile: HardwareProfile, rps: float) -> Configuration:
    busy_usd_per_hour = profile.usd_per_hour_at(1.0) - profile.usd_per_hour_at(0.0)
    per_request = busy_usd_per_hour / (SECONDS_PER_HOUR * rps)
    return Configuration(name, per_request, (Machine(profile.usd_per_hour_at(0.0), rps),))


Priced = Callable[[HardwareProfile, float], Configuration]


def _hardware_inputs(of: str, profile: HardwareProfile, rps: float, priced: Priced) -> tuple[Input, ...]:
    if not profile.is_owned:
        rent = profile.usd_per_hour
        return (_hardware_input(of, "machine rent, USD an hour", "rental_usd_per_hour", rent, profile, rps, priced),)
    fields = (
        ("machine purchase, USD", "purchase_usd", profile.purchase_usd),
        ("machine life, years", "life_years", profile.life_years),
        ("power price, USD a kWh", "usd_per_kwh", profile.usd_per_kwh),
    )
    return tuple(_hardware_input(of, name, key, now, profile, rps, priced) for name, key, now in fields if now)


def _hardware_input(
    of: str, name: str, key: str, now: float, profile: HardwareProfile, rps: float, priced: Priced
) -> Input:
    low, high = STATED_POWER_RANGE if key == "usd_per_kwh" else STATED_HARDWARE_RANGE
    least = profile.residual_usd if key == "purchase_usd" else now / FAR if key == "life_years" else 0.0
    because = f"stated range, × {low:g} to × {high:g}"

    def change(value: float) -> Configuration:
        return priced(profile.model_copy(update={key: value}), rps)

    return Input(of, name, now, max(least, now * low), now * high, because, least, now * FAR, change)


def _capacity_input(of: str, capacity: Capacity, profile: HardwareProfile, priced: Priced) -> Input:
    low, high = capacity.ci
    name = "capacity of a machine, requests/s"
    because = f"95 % interval of the measurement ({capacity.kind})"
    now = capacity.rps
    return Input(of, name, now, low, high, because, now / FAR, now * FAR, lambda rps: priced(profile, rps))


def api_configuration(
    name: str,
    counts: TokenCounts,
    price: TokenPrice,
    evidence: Mapping[str, Any],
    *,
    model: str | None = None,
    scores: Scores | None = None,
    token_factor: tuple[float, float, float] = (1.0, 1.0, 1.0),
    cached_share: float | None = None,
    batch_share: float = 0.0,
    seed: int = 0,
    n_draws: int = 2000,
) -> MeasuredConfiguration:
    """A model that is paid by the token: no hours, no limit.

    Args:
        name: in tables.
        counts: tokens of the measured requests.
        price: of a token.
        evidence: of the price.
        model: whose price it is, where that is not its name.
        scores: measured quality.
        token_factor: tokens of this API for one counted token, (value, low, high) at 95 %; 1 for its own counts.
        cached_share: share of the prompt read from the API's cache, instead of the measured one.
        batch_share: share of the requests sent through the batch service.
        seed: of the resampling.
        n_draws: bootstrap draws.
    """
    means, drawn = mean_bills(counts, price, name, seed, n_draws)
    factors = _factor_draws(token_factor, np.random.default_rng([seed, 1]), n_draws)

    def bill_of(row: Floats, factor: float) -> ApiBill:
        bill = replace(api_bill(row), batch_share=batch_share, token_factor=factor)
        return bill if cached_share is None else replace(bill, cached_share=cached_share)

    bill = bill_of(means, token_factor[0])
    draws = [bill_of(row, factor) for row, factor in zip(drawn, factors.tolist(), strict=True)]
    return MeasuredConfiguration(
        point=Configuration(name, bill.variable_usd),
        draws=tuple(Configuration(name, drawn_bill.variable_usd) for drawn_bill in draws),
        inputs=_api_inputs(name, model or name, bill, price, means, drawn, token_factor),
        evidence={
            **evidence,
            "tokens": {
                **counts.evidence,
                "whose": counts.origin,
                "n": counts.frame.height,
                "n_groups": counts.n_groups,
            },
        },
        notes=_api_notes(name, counts, bill, price, token_factor, cached_share),
        scores=scores,
    )


def _factor_draws(factor: tuple[float, float, float], rng: np.random.Generator, n_draws: int) -> Floats:
    return spread(factor[0], factor[1:], rng, n_draws, least=1e-6)


def _api_inputs(
    name: str,
    model: str,
    bill: ApiBill,
    price: TokenPrice,
    means: Floats,
    drawn: Floats,
    factor: tuple[float, float, float],
) -> tuple[Input, ...]:
    """Prices belong to the model, so that every configuration that uses it shares them; tokens and shares to the configuration."""
    ends = np.quantile(drawn, [0.025, 0.975], axis=0)
    measured = "95 % interval of the measured requests"
    stated = f"stated range, × {STATED_PRICE_RANGE[0]:g} to × {STATED_PRICE_RANGE[1]:g}"

    def prompt(ratio: float) -> Configuration:
        return Configuration(name, _scaled(bill, ratio, 1.0))

    def answer(ratio: float) -> Configuration:
        return Configuration(name, _scaled(bill, 1.0, ratio))

    def counted(what: str, column: int, part: Change) -> Input:
        now, low, high = float(means[column]), float(ends[0][column]), float(ends[1][column])
        return Input(name, what, now, low, high, measured, 0.0, now * FAR, lambda value: part(value / now))

    def priced(what: str, now: float, part: Change) -> Input:
        low, high = (now * end for end in STATED_PRICE_RANGE)
        return Input(model, what, now, low, high, stated, 0.0, now * FAR, lambda value: part(value / now))

    def share(what: str, now: float, key: str) -> Input:
        return Input(name, what, now, 0.0, 1.0, "all that is possible", 0.0, 1.0, _turned(bill, key, name))

    found = [
        priced("input price, USD per 1M tokens", price.input_usd_per_1m, prompt),
        priced("output price, USD per 1M tokens", price.output_usd_per_1m, answer),
        counted("prompt tokens a request", 5, prompt),
        counted("answer tokens a request", 6, answer),
        share("cached share of the prompt", bill.cached_share, "cached_share"),
    ]
    if price.batch is not None:
        found.append(share("share sent as batch", bill.batch_share, "batch_share"))
    if factor[1] != factor[2]:
        change = _turned(bill, "token_factor", name)
        found.append(Input(name, "API tokens for one counted token", *factor, "as given", 0.01, 100.0, change))
    return tuple(entry for entry in found if entry.now > 0 or entry.least < entry.most)


def _scaled(bill: ApiBill, prompt: float, answer: float) -> float:
    changed = replace(
        bill,
        uncached_usd=bill.uncached_usd * prompt,
        cached_usd=bill.cached_usd * prompt,
        answer_usd=bill.answer_usd * answer,
        batch_usd=bill.batch_usd
        * _ratio(bill.prompt_usd * prompt + bill.answer_usd * answer, bill.prompt_usd + bill.answer_usd),
    )
    return changed.variable_usd


def _ratio(value: float, whole: float) -> float:
    return value / whole if whole else 1.0


def _turned(bill: ApiBill, key: str, name: str) -> Change:
    return lambda value: Configuration(name, replace(bill, **{key: value}).variable_usd)


def _api_notes(
    name: str,
    counts: TokenCounts,
    bill: ApiBill,
    price: TokenPrice,
    factor: tuple[float, float, float],
    cached_share: float | None,
) -> tuple[str, ...]:
    notes = []
    if not counts.is_own:
        other = "" if factor[0] != 1.0 else "; other tokenizers count differently (--token-factor)"
        notes.append(
            f"{name}: priced with the token counts of {counts.origin}{other}; its answers may be longer, and hidden reasoning is "
            "not in them"
        )
    if counts.is_own and "outcomes" in counts.evidence:
        notes.append(f"{name}: priced on its own recorded answers; their prompts should be of the bench's kind")
    if cached_share is None and not counts.frame["cached_tokens"].is_not_null().any():
        notes.append(
            f"{name}: how much of the prompt it would read from its cache is unknown and taken as none, which favours local "
            "(--cached-share)"
        )
    if counts.n_groups < FEW_GROUPS:
        notes.append(
            f"{name}: {counts.n_groups} independent prompts are few for an interval; it is too narrow rather than too wide"
        )
    if counts.n_left_out:
        notes.append(f"{name}: {counts.n_left_out} requests without token counts are not priced")
    if price.source is not None and price.source.is_deprecated:
        notes.append(f"{name}: the seller is going to switch this model off")
    if bill.variable_usd == 0:
        notes.append(f"{name}: it costs nothing a request")
    return tuple(notes)


def transformed(
    base: MeasuredConfiguration,
    name: str,
    transform: Callable[[Configuration, Mapping[str, float]], Configuration],
    parameters: Mapping[str, tuple[float, Floats]],
    inputs: Mapping[str, tuple[str, float, float, str]],
    evidence: Mapping[str, Any],
    *,
    same_answers: bool,
) -> MeasuredConfiguration:
    """A configuration made from another by a step that has parameters of its own, e.g. a cache with a hit rate.

    Args:
        base: what it is made from.
        name: of the result.
        transform: configuration and parameters to configuration.
        parameters: name → (value, draws).
        inputs: parameter → (name with unit, least, most, where its interval comes from); those that may be turned.
        evidence: of the step.
        same_answers: whether the answers are the base's by construction.
    """
    now = {key: value for key, (value, _) in parameters.items()}

    def step(configuration: Configuration) -> Configuration:
        return replace(transform(configuration, now), name=name)

    columns = {key: draws.tolist() for key, (_, draws) in parameters.items()}
    draws = tuple(
        replace(transform(drawn, {key: column[index] for key, column in columns.items()}), name=name)
        for index, drawn in enumerate(base.draws)
    )
    own = tuple(_own_input(base, name, transform, now, key, parameters[key][1], told) for key, told in inputs.items())
    return replace(
        base,
        point=step(base.point),
        draws=draws,
        inputs=(*(entry.through(step) for entry in base.inputs), *own),
        evidence={**evidence, "base": dict(base.evidence)},
        same_answers_as=(base.same_answers_as or base.name) if same_answers else None,
        scores=base.scores if same_answers else None,
    )


def _own_input(
    base: MeasuredConfiguration,
    name: str,
    transform: Callable[[Configuration, Mapping[str, float]], Configuration],
    now: Mapping[str, float],
    key: str,
    draws: Floats,
    told: tuple[str, float, float, str],
) -> Input:
    what, least, most, because = told
    low, high = (float(end) for end in np.quantile(draws, [0.025, 0.975])) if len(draws) else (now[key], now[key])

    def change(value: float) -> Configuration:
        return replace(transform(base.point, {**now, key: value}), name=name)

    return Input(name, what, now[key], low, high, because, least, most, change)


def unbounded(value: float) -> float | None:
    """A number for JSON; None for an infinity or NaN."""
    return value if math.isfinite(value) else None
