"""Which model answers after the chosen one failed: pure logic over names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from workbench.core import ConfigError


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
