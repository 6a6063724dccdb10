"""From what was used to what it cost. Unknown inputs give an unknown cost, never 0."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.core import Completion, ConfigError, InconsistentUsage, Usage
from workbench.core.price import ComputePrice, Price, TieredRates, TokenPrice, TokenRates
from workbench.economics.hardware import HardwareProfile, find_profile


class UnknownCost(UserWarning):
    """An answer's cost is unknown although its price is known; says which counts are to blame."""


def priced(completion: Completion, price: Price | None, profiles: Mapping[str, HardwareProfile]) -> Completion:
    """The completion with `cost_usd` filled; None where the price or a count it needs is unknown.

    A cost that the completion already carries is kept when there is no price (recorded answers know theirs). Counts that contradict
    each other give an unknown cost and a warning: an answer that was paid for is not thrown away over its bill.

    Args:
        completion: an answer with its usage and, for local models, its FLOPs.
        price: of the model that answered.
        profiles: hardware by name, see `load_profiles`.

    Raises:
        ConfigError: the price names an unknown hardware profile.
    """
    if price is None:
        return completion
    if isinstance(price, ComputePrice):
        return replace(completion, cost_usd=compute_cost_usd(completion.compute_flop, price, profiles))
    try:
        return replace(completion, cost_usd=token_cost_usd(completion.usage, price))
    except InconsistentUsage as exc:
        warnings.warn(
            f"model {completion.model!r}: {exc}; the cost of its answer is unknown", UnknownCost, stacklevel=2
        )
        return replace(completion, cost_usd=None)


def price_record(price: Price | None, profiles: Mapping[str, HardwareProfile]) -> dict[str, Any] | None:
    """All that a price was made of, JSON-ready, so that a cost stays traceable when books and machines cost something else.

    Returns:
        The rates and the book's edition of a token price, the profile of a compute price; None without a price.

    Raises:
        ConfigError: the price names an unknown hardware profile.

    Example:
        >>> profile = HardwareProfile(usd_per_hour=3.6, flop_per_s=1e12, as_of="2026-11-01", source="example")
        >>> price_record(ComputePrice(hardware="box"), {"box": profile})["profile"]["usd_per_hour"]
        3.6
    """
    if isinstance(price, ComputePrice):
        profile = find_profile(price.hardware, profiles)
        return {"hardware": price.hardware, "profile": profile.model_dump(mode="json", by_alias=True)}
    return None if price is None else price.model_dump(mode="json")


def token_cost_usd(usage: Usage, price: TokenPrice, *, batch: bool = False) -> float | None:
    """USD of one call: each of its tokens at the price of its kind, long prompts at their own rates.

        (prompt - cached - write) p_in + cached p_cached + write p_write + (completion - reasoning) p_out + reasoning p_reasoning

    None when a count is unknown that the price needs. Two counts that are often unreported are not needed: an unknown cached share is
    priced as uncached, which never understates; unknown cache writes are none, for a seller that bills them reports them (and writes
    of unknown life are five-minute ones, the seller's default). Unknown reasoning tokens are priced as output where both cost the same.

    Args:
        usage: counts of one call; prompt tokens contain cached and written ones, completion tokens contain reasoning. Not a sum of
            calls where prices depend on the prompt's length.
        price: of the model that answered.
        batch: whether it went through the seller's batch service.

    Raises:
        InconsistentUsage: a negative count, or a part larger than its whole.
        ConfigError: batch rates are asked for and the price has none.

    Example:
        >>> price = TokenPrice(input_usd_per_1m=2.0, output_usd_per_1m=8.0, cached_input_usd_per_1m=0.5)
        >>> token_cost_usd(Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400), price)
        0.0022
    """
    check_usage(usage)
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    rates = rates_for(usage.prompt_tokens, batch_rates(price) if batch else price)
    answer_micro_usd = _answer_micro_usd(usage.completion_tokens, usage.reasoning_tokens, rates)
    if answer_micro_usd is None:
        return None
    return (_prompt_micro_usd(usage, rates) + answer_micro_usd) / 1e6 + (rates.request_usd or 0.0)


def check_usage(usage: Usage) -> None:
    """Nothing, unless the counts contradict each other.

    Raises:
        InconsistentUsage: a negative count, or a part larger than its whole; names the values.

    Example:
        >>> check_usage(Usage(prompt_tokens=100, completion_tokens=5, cached_tokens=400))
        Traceback (most recent call last):
        workbench.core.errors.InconsistentUsage: cached_tokens 400 is more than prompt_tokens 100, which contain them...
    """
    counts = {name: getattr(usage, name) for name in usage.__slots__}
    for name, count in counts.items():
        if count is not None and count < 0:
            raise InconsistentUsage(f"{name} is {count}; a count of tokens is 0 or more")
    for parts, whole in _CONTAINED:
        told = {name: counts[name] for name in parts if counts[name] is not None}
        if counts[whole] is not None and sum(told.values()) > counts[whole]:
            listing = " + ".join(f"{name} {count}" for name, count in told.items())
            raise InconsistentUsage(
                f"{listing} is more than {whole} {counts[whole]}, which contain them; where the server counts cached tokens"
                " beside the prompt, its adapter must add them"
            )


def rates_for(prompt_tokens: int, price: TieredRates) -> TokenRates:
    """The rates of a request with a prompt of that length: above a limit, all its tokens are billed at the limit's rates.

    Source:
        The rule of Anthropic, Google, OpenAI and xAI alike: the whole request, not the tokens beyond the limit.
    """
    reached = [rates for rates in price.long_prompt if prompt_tokens > rates.above_prompt_tokens]
    return reached[-1] if reached else price


def batch_rates(price: TokenPrice) -> TieredRates:
    """The rates of the batch service.

    Raises:
        ConfigError: none are known.
    """
    if price.batch is None:
        name = f" of {price.source.listed}" if price.source else ""
        raise ConfigError(
            f"the price{name} has no batch rates; give `batch:` in the price or an override, or price it as standard"
        )
    return price.batch


_CONTAINED = (
    (("cached_tokens", "cache_write_tokens"), "prompt_tokens"),
    (("cache_write_1h_tokens",), "cache_write_tokens"),
    (("reasoning_tokens",), "completion_tokens"),
)


def _prompt_micro_usd(usage: Usage, rates: TokenRates) -> float:
    prompt, cached = usage.prompt_tokens or 0, usage.cached_tokens or 0
    written, written_1h = usage.cache_write_tokens or 0, usage.cache_write_1h_tokens or 0
    p_in = rates.input_usd_per_1m
    p_cached = _or(rates.cached_input_usd_per_1m, p_in)
    p_write = _or(rates.cache_write_usd_per_1m, p_in)
    p_write_1h = _or(rates.cache_write_1h_usd_per_1m, p_write)
    return (
        (prompt - cached - written) * p_in
        + cached * p_cached
        + (written - written_1h) * p_write
        + written_1h * p_write_1h
    )


def _answer_micro_usd(completion_tokens: int, reasoning_tokens: int | None, rates: TokenRates) -> float | None:
    p_out = rates.output_usd_per_1m
    p_reasoning = _or(rates.reasoning_usd_per_1m, p_out)
    if p_reasoning == p_out:
        return completion_tokens * p_out
    if reasoning_tokens is None:
        return None
    return (completion_tokens - reasoning_tokens) * p_out + reasoning_tokens * p_reasoning


def _or(price: float | None, instead: float) -> float:
    return instead if price is None else price


def compute_cost_usd(flop: float | None, price: ComputePrice, profiles: Mapping[str, HardwareProfile]) -> float | None:
    """USD of the FLOPs on the named hardware at full use; None when the FLOPs are unknown."""
    profile = find_profile(price.hardware, profiles)
    return None if flop is None else profile.cost_usd(flop)
