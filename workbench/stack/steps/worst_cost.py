"""The most that a call can cost: its prompt and the longest answer it may give."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.core import Completion, Timing, Usage
from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile, priced
from workbench.models import ModelCard


def most_usd(
    name: str, card: ModelCard, prompt_tokens: int | None, answer_tokens: int, profiles: Mapping[str, HardwareProfile]
) -> float | None:
    """USD of a call that uses all its answer tokens; None where price or tokens are unknown.

    Args:
        name: the model.
        card: its price, and operations a token for local hardware.
        prompt_tokens: as counted; None when nobody can.
        answer_tokens: most tokens of the answer.
        profiles: hardware by name.
    """
    flop = None
    if card.flop_per_token is not None and prompt_tokens is not None:
        flop = card.flop_per_token * (prompt_tokens + answer_tokens)
    usage = _dearest_usage(card, prompt_tokens, answer_tokens)
    worst = Completion("", name, "length", usage, Timing(0.0), compute_flop=flop)
    return priced(worst, card.price, profiles).cost_usd


def _dearest_usage(card: ModelCard, prompt_tokens: int | None, answer_tokens: int) -> Usage:
    """Nothing read from a cache; the prompt written to one where the card asks for that; hidden reasoning where it costs more."""
    price, keeps_for = card.price, card.options.get("cache_prompt")
    is_reasoning_dearer = (
        isinstance(price, TokenPrice) and (price.reasoning_usd_per_1m or 0.0) > price.output_usd_per_1m
    )
    return Usage(
        prompt_tokens,
        answer_tokens,
        cached_tokens=0,
        cache_write_tokens=prompt_tokens if keeps_for else 0,
        cache_write_1h_tokens=prompt_tokens if keeps_for == "1h" else 0,
        reasoning_tokens=answer_tokens if is_reasoning_dearer else 0,
    )
