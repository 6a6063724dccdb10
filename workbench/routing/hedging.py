"""Asking a second model when the first is slower than nearly always: at a measured percentile, for a bounded share of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workbench.core.price import Strict
from workbench.routing.live import LiveState


class HedgeConfig(Strict):
    """When a second model is asked beside a slow one; the first answer counts and the other call is cancelled."""

    percentile: Annotated[
        float,
        Field(gt=0, lt=100, description="of the model's own recent latencies; a call that lasts longer is hedged"),
    ] = 95.0
    min_calls: Annotated[
        int, Field(ge=2, description="answers of the model before its percentile means anything; none is hedged before")
    ] = 20
    most_share: Annotated[
        float,
        Field(
            gt=0, le=1, description="share of calls that may be hedged; keeps a general slowness from doubling the load"
        ),
    ] = 0.1
    model: Annotated[
        str | None, Field(description="who is asked second; null: the next of the chain that may answer")
    ] = None


class Hedger:
    """Decides when a call is hedged.

    Args:
        config: percentile and bound.
        live: the measured latencies.
    """

    def __init__(self, config: HedgeConfig, live: LiveState) -> None:
        self.config = config
        self._live = live
        self.n_calls = 0
        self.n_hedged = 0

    def delay_s(self, model: str) -> float | None:
        """Seconds after which the call that now begins is hedged; None when it is not. Counts the call."""
        self.n_calls += 1
        return self._live.latency_percentile_s(model, self.config.percentile, self.config.min_calls)

    def take(self) -> bool:
        """Whether one more hedge is within the bound; counts it if so."""
        if self.n_hedged + 1 > self.config.most_share * self.n_calls:
            return False
        self.n_hedged += 1
        return True
