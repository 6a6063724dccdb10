"""What is going on right now: calls in flight, recent latencies and circuits, a model each.

It lives outside the policy, so that the same policy decides offline on recorded state and live on this one: a `Circumstances` made of
a snapshot is handed to it with each request.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.core import Clock
from workbench.routing.breaker import BreakerConfig, CircuitBreaker, Permit

REMEMBERED = 512
"""Latencies kept a model: a 99th percentile still has five observations above it."""
WEIGHT = 0.1
"""Weight of the newest latency in the moving average: half of it is the last seven calls."""
STALE_S = 60.0
"""Seconds after which an average is no longer recent. A model that was slow once and is not asked since would else stay slow for ever."""


@dataclass(slots=True)
class ModelLive:
    """One model right now.

    Args:
        in_flight: calls begun and not ended.
        latency_s: exponentially weighted mean of recent answers' seconds; None before the first.
        ttft_s: the same of the first text of streams.
        answered_s: monotonic seconds of the last answer; None before the first.
        latencies_s: of recent answers, newest last; infinite for calls that were given up for being slow.
        breaker: None when circuits are not watched.
    """

    breaker: CircuitBreaker | None = None
    in_flight: int = 0
    latency_s: float | None = None
    ttft_s: float | None = None
    answered_s: float | None = None
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def answered(self, now_s: float, latency_s: float, ttft_s: float | None) -> None:
        """Remember one answer's times."""
        self.answered_s = now_s
        self.latencies_s.append(latency_s)
        self.latency_s = _moved(self.latency_s, latency_s)
        if ttft_s is not None:
            self.ttft_s = _moved(self.ttft_s, ttft_s)


def _moved(mean: float | None, value: float) -> float:
    return value if mean is None else mean + WEIGHT * (value - mean)


@dataclass(frozen=True, slots=True)
class Call:
    """A call on its way; hand it to exactly one of `answered`, `failed` and `abandoned`.

    Args:
        model: who was asked.
        permit: the breaker's; None when circuits are not watched or the call is made in spite of it.
    """

    model: str
    permit: Permit | None


class LiveState:
    """The live state of a stack's models. Use it from one event loop.

    Args:
        models: their names.
        clock: what tells the time.
        breaker: when circuits open; None watches none.
        rng: draws the jitter of cooldowns.

    Example:
        >>> from workbench.core import SystemClock
        >>> live = LiveState(["base"], SystemClock(), BreakerConfig(consecutive_failures=1))
        >>> live.failed(live.begin("base"))
        >>> live.begin("base") is None, live.why_not("base")[:22]
        (True, '1 failures in a row, i')
    """

    def __init__(
        self,
        models: Collection[str],
        clock: Clock,
        breaker: BreakerConfig | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        rng = rng or random.Random()
        self.models = {name: ModelLive(CircuitBreaker(breaker, rng) if breaker else None) for name in models}

    def may_answer(self, model: str) -> bool:
        """Whether its circuit would let a call through now."""
        breaker = self.models[model].breaker
        return breaker is None or breaker.may_ask(self._clock.monotonic_s())

    def why_not(self, model: str) -> str:
        """Why a model is not asked, in one line."""
        breaker = self.models[model].breaker
        assert breaker is not None, "a model without a breaker is always asked"
        wait_s = breaker.wait_s(self._clock.monotonic_s())
        until = f"not asked for another {wait_s:.1f} s" if wait_s else "another request is trying it now"
        return f"{breaker.because}, its circuit is open: {until}"

    def begin(self, model: str, in_spite: bool = False) -> Call | None:
        """Count a call as begun; None when the circuit does not let it through.

        Args:
            model: who is asked.
            in_spite: make the call whatever the circuit says: the last resort of a chain.
        """
        live = self.models[model]
        permit = live.breaker.ask(self._clock.monotonic_s()) if live.breaker else None
        if permit is None and live.breaker is not None and not in_spite:
            return None
        live.in_flight += 1
        return Call(model, permit)

    def answered(self, call: Call, latency_s: float, ttft_s: float | None = None) -> None:
        """The call was answered, in so many seconds."""
        live = self._ended(call)
        live.answered(self._clock.monotonic_s(), latency_s, ttft_s)
        if live.breaker is not None and call.permit is not None:
            live.breaker.succeeded(call.permit)

    def failed(self, call: Call, retry_after_s: float | None = None) -> None:
        """The model failed; `retry_after_s` where its server said when to come again."""
        live = self._ended(call)
        if live.breaker is not None and call.permit is not None:
            live.breaker.failed(call.permit, self._clock.monotonic_s(), retry_after_s)

    def abandoned(self, call: Call, is_given_up: bool = False) -> None:
        """The call was cancelled, or failed for a reason that is the request's: it says nothing about the model's health.

        Args:
            call: which.
            is_given_up: whether it was given up for being slow; percentiles then count it as longer than every answer. Left out, or
                counted as long as it was waited for, the percentile at which calls are given up would fall with each of them.
        """
        live = self._ended(call)
        if is_given_up:
            live.latencies_s.append(math.inf)
        if live.breaker is not None and call.permit is not None:
            live.breaker.abandoned(call.permit)

    def latency_percentile_s(self, model: str, percentile: float, min_calls: int) -> float | None:
        """A percentile of the model's recent latencies.

        None before `min_calls` answers, and where it falls among calls that were given up: then calls must be waited out again
        before it is known.
        """
        latencies = self.models[model].latencies_s
        if len(latencies) < min_calls:
            return None
        found = float(np.percentile(latencies, percentile, method="higher"))
        return found if math.isfinite(found) else None

    def recent_s(self, models: Sequence[str], is_ttft: bool = False) -> list[float]:
        """Moving average of each model's seconds; NaN where nothing was answered, or not for a while.

        An average of first tokens is kept however old it is: nothing else is known about them.
        """
        now_s = self._clock.monotonic_s()
        found = []
        for live in (self.models[name] for name in models):
            seconds = live.ttft_s if is_ttft else live.latency_s
            is_stale = not is_ttft and live.answered_s is not None and now_s - live.answered_s > STALE_S
            found.append(math.nan if seconds is None or is_stale else seconds)
        return found

    def in_flight(self, models: Sequence[str]) -> list[int]:
        """Calls begun and not ended, in the order of `models`."""
        return [self.models[name].in_flight for name in models]

    def _ended(self, call: Call) -> ModelLive:
        live = self.models[call.model]
        live.in_flight -= 1
        return live
