"""How a model is loaded: the settings of one bench."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.core import ConfigError, Sampling
from workbench.evaluation.load.arrivals import Arrivals, check_arrivals
from workbench.evaluation.load.slo import SLO


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """One load.

    `rate_rps` alone is an open loop: requests start when the schedule says so, whatever is in flight, as users do. `concurrency` alone is a
    closed loop: that many requests in flight, a new one when one ends, as a batch job does. Both together are an open loop that holds at
    most `concurrency` in flight; a request that waits for its turn is counted from its intended start all the same.

    Args:
        rate_rps: requests a second offered, on average; None is a closed loop.
        concurrency: requests in flight; None does not limit an open loop.
        duration_s: length of the measured window.
        warm_up_s: load before the window; its requests are not measured, its tokens inside the window are. 5 s lets queues fill and
            caches warm on small models; a large one wants more.
        drain_s: how long measured requests may take beyond the window before they are cut.
        keep_load: whether load goes on until the measured requests have ended. Without it the last ones meet an emptying server and look
            better than they were; with it a few more requests are paid for.
        arrivals: poisson, gamma or constant gaps (open loop).
        burstiness: shape of gamma gaps: below 1 clumps, above 1 evens out, 1 is Poisson.
        rescale_gaps: stretch the gaps so that exactly rate · duration requests start, as `vllm bench serve` does; no load after the window.
        think_s: closed loop: pause between an answer and the next request.
        sampling: how answers are drawn. 64 tokens at most, greedy.
        slo: what counts as good service; None leaves goodput unknown.
        target_share: share of requests that must be good for the SLO to hold.
        confidence: nominal coverage of the intervals.
        seed: draws arrivals and the order of prompts.
        stop_when_saturated: end early when concurrency and TTFT both climb significantly: the queue grows without bound, and every
            figure would only tell how long one waited.
        stop_after_failures: end early when the first so many requests all failed.
    """

    rate_rps: float | None = None
    concurrency: int | None = None
    duration_s: float = 30.0
    warm_up_s: float = 5.0
    drain_s: float = 30.0
    keep_load: bool = True
    arrivals: Arrivals = "poisson"
    burstiness: float = 1.0
    rescale_gaps: bool = False
    think_s: float = 0.0
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=64))
    slo: SLO | None = None
    target_share: float = 0.95
    confidence: float = 0.95
    seed: int = 0
    stop_when_saturated: bool = True
    stop_after_failures: int = 10

    def __post_init__(self) -> None:
        if self.rate_rps is None and self.concurrency is None:
            raise ConfigError("a bench needs a rate (open loop) or a concurrency (closed loop); give at least one")
        _positive("duration", self.duration_s, "seconds")
        _not_negative("warm-up", self.warm_up_s)
        _not_negative("drain", self.drain_s)
        _not_negative("think time", self.think_s)
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigError(f"concurrency is at least 1 request in flight, found {self.concurrency}")
        for name, share in (("target share", self.target_share), ("confidence", self.confidence)):
            if not 0 < share < 1:
                raise ConfigError(f"{name} is a share between 0 and 1, found {share:g}")
        if self.rate_rps is not None:
            check_arrivals(self.arrivals, self.rate_rps, self.burstiness, self.horizon_s)
        if self.rate_rps is not None and self.think_s:
            raise ConfigError(
                f"think time {self.think_s:g} s is for a closed loop; an open loop has a rate: give one of them"
            )

    @property
    def loop(self) -> Literal["open", "closed"]:
        """Whether a schedule or the answers decide when requests start."""
        return "closed" if self.rate_rps is None else "open"

    @property
    def window_end_s(self) -> float:
        """End of the measured window, seconds from the start of the run."""
        return self.warm_up_s + self.duration_s

    @property
    def horizon_s(self) -> float:
        """How far the schedule reaches."""
        return self.window_end_s + (self.drain_s if self.keep_load and not self.rescale_gaps else 0.0)

    def phase(self, intended_s: float) -> str:
        """warm_up, measured or drain, by the intended start."""
        if intended_s < self.warm_up_s:
            return "warm_up"
        return "measured" if intended_s <= self.window_end_s else "drain"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for the manifest."""
        sampling = {"max_tokens": self.sampling.max_tokens, "temperature": self.sampling.temperature}
        plain = (
            "rate_rps concurrency duration_s warm_up_s drain_s keep_load arrivals burstiness rescale_gaps think_s target_share "
            "confidence seed stop_when_saturated stop_after_failures"
        )
        known = {name: getattr(self, name) for name in plain.split()}
        return {**known, "sampling": sampling, "slo": None if self.slo is None else self.slo.bounds}


def _positive(what: str, value: float, unit: str) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{what} is a number of {unit} above 0, found {value:g}")


def _not_negative(what: str, value_s: float) -> None:
    if not (value_s >= 0 and math.isfinite(value_s)):
        raise ConfigError(f"{what} is a number of seconds of at least 0, found {value_s:g}")
