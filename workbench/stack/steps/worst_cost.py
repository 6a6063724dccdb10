"""The most that a call can cost: its prompt and the longest answer it may give."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.core import Completion, Timing, Usage
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
    worst = Completion("", name, "length", Usage(prompt_tokens, answer_tokens), Timing(0.0), compute_flop=flop)
    return priced(worst, card.price, profiles).cost_usd
