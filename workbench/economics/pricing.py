"""From what was used to what it cost. Unknown inputs give an unknown cost, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workbench.core import Completion, ConfigError, Usage
from workbench.core.naming import did_you_mean
from workbench.core.price import ComputePrice, Price, TokenPrice
from workbench.economics.hardware import HardwareProfile


def priced(completion: Completion, price: Price | None, profiles: Mapping[str, HardwareProfile]) -> Completion:
    """The completion with `cost_usd` filled; None where the price or a count it needs is unknown.

    A cost that the completion already carries is kept when there is no price (recorded answers know theirs).

    Args:
        completion: an answer with its usage and, for local models, its FLOPs.
        price: of the model that answered.
        profiles: hardware by name, see `load_profiles`.

    Raises:
        ConfigError: the price names an unknown hardware profile.
    """
    if price is None:
        return completion
    if isinstance(price, TokenPrice):
        return replace(completion, cost_usd=token_cost_usd(completion.usage, price))
    return replace(completion, cost_usd=compute_cost_usd(completion.compute_flop, price, profiles))


def token_cost_usd(usage: Usage, price: TokenPrice) -> float | None:
    """USD: uncached prompt tokens, cached prompt tokens and answer tokens, each at its price.

    Tokens whose cached share is unknown are priced as uncached, which never understates; None when a count is unknown.

    Example:
        >>> price = TokenPrice(input_usd_per_1m=2.0, output_usd_per_1m=8.0, cached_input_usd_per_1m=0.5)
        >>> token_cost_usd(Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400), price)
        0.0022
    """
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = price.input_usd_per_1m if price.cached_input_usd_per_1m is None else price.cached_input_usd_per_1m
    micro_usd = (
        (usage.prompt_tokens - cached) * price.input_usd_per_1m
        + cached * cached_price
        + usage.completion_tokens * price.output_usd_per_1m
    )
    return micro_usd / 1e6


def compute_cost_usd(flop: float | None, price: ComputePrice, profiles: Mapping[str, HardwareProfile]) -> float | None:
    """USD of the FLOPs on the named hardware at full use; None when the FLOPs are unknown."""
    if price.hardware not in profiles:
        raise ConfigError(f"unknown hardware profile {price.hardware!r}: {did_you_mean(price.hardware, profiles)}")
    return None if flop is None else profiles[price.hardware].cost_usd(flop)
