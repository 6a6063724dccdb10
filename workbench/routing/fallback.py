"""Which model answers after the chosen one failed, and how long each may take: pure logic over names and seconds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from workbench.core import ConfigError
from workbench.core.price import Strict
from workbench.routing.breaker import BreakerConfig
from workbench.routing.hedging import HedgeConfig

RESERVED_SHARE = 0.25
"""Share of the time that is kept for the last resort where the configuration does not say."""


class ChainConfig(Strict):
    """How a chain of models shares one deadline, and when one of them is left alone."""

    attempt_timeout_s: Annotated[
        float | None,
        Field(gt=0, description="most seconds an attempt may take while another can follow; null: what is left"),
    ] = None
    reserve_s: Annotated[
        float | None,
        Field(ge=0, description="seconds of the deadline kept for the last of the chain; null: a quarter of it"),
    ] = None
    breaker: Annotated[
        BreakerConfig | None, Field(description="when a failing model is no longer asked; null: it is asked every time")
    ] = BreakerConfig()
    hedge: Annotated[
        HedgeConfig | None, Field(description="when a second model is asked beside a slow one; null: never")
    ] = None

    def reserved_s(self, left_s: float | None) -> float:
        """Seconds kept for the last of the chain, out of `left_s` at its beginning; 0 without a deadline."""
        if left_s is None:
            return 0.0
        return min(left_s, RESERVED_SHARE * left_s if self.reserve_s is None else self.reserve_s)

    def attempt_s(self, left_s: float | None, reserved_s: float, is_last: bool) -> float | None:
        """Seconds that an attempt may take; None is no limit, 0 is no time for it.

        Args:
            left_s: until the deadline; None without one.
            reserved_s: kept for the last of the chain.
            is_last: whether nobody follows; the last one has all that is left.

        Example:
            >>> chain = ChainConfig(attempt_timeout_s=10)
            >>> chain.attempt_s(30, 7.5, False), chain.attempt_s(12, 7.5, False), chain.attempt_s(12, 7.5, True)
            (10.0, 4.5, 12)
        """
        if is_last:
            return left_s
        limits = [self.attempt_timeout_s, None if left_s is None else max(0.0, left_s - reserved_s)]
        return min((limit for limit in limits if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class FallbackChain:
    """Models tried in order after the chosen one.

    Args:
        order: names, first tried first; end it with a local model, which no outage of a provider takes away.

    Raises:
        ConfigError: a name stands twice.

    Example:
        >>> chain = FallbackChain(("base", "tiny"))
        >>> chain.next_after({"api"}), chain.next_after({"api", "base"}), chain.next_after({"api", "base", "tiny"})
        ('base', 'tiny', None)
        >>> chain.attempts("tiny")
        ('tiny', 'base')
    """

    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.order if self.order.count(name) > 1})
        if twice:
            raise ConfigError(f"the fallback chain names {', '.join(twice)} twice; name each model once")

    def next_after(self, failed: Collection[str], eligible: Collection[str] | None = None) -> str | None:
        """The next model to try; None when the chain is exhausted.

        Args:
            failed: models already tried for this request, the chosen one included.
            eligible: models that may answer at all (region, context, health); None is every model.
        """
        return next((m for m in self.order if m not in failed and (eligible is None or m in eligible)), None)

    def attempts(self, chosen: str | None, eligible: Collection[str] | None = None) -> tuple[str, ...]:
        """Every model in the order of trying: the chosen one, then the chain without it."""
        names = ([chosen] if chosen is not None else []) + [m for m in self.order if m != chosen]
        return tuple(m for m in names if eligible is None or m in eligible)
