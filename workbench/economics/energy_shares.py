"""Whose energy was it: a span's energy shared over the requests that were in it, by token-steps.

A server with continuous batching takes a step for all requests that decode at once. Energy is shared so:

1. Between two readings of the meter power is taken as constant.
2. Between two events (a request starts, shows its first token, ends) nobody joins or leaves, so energy is shared by one set of weights:

       decoding request    r · d                     r: decode steps a second, d: seconds between the two events
       prefilling request  prompt_tokens · d / (first_token_s - start_s)

   with r the mean over the decoding requests of (completion_tokens - 1) / (end_s - first_token_s). Requests that decode together
   get equal shares, requests that prefill together get shares in proportion to their prompts, a prompt token weighs as much as a decode
   step of one request.
3. While nobody is active the energy is idle; it belongs to no request.

The shares and the idle energy add up to the span's energy exactly, in floating-point numbers too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.core import ConfigError

FORMULA = (
    "each interval between two events shared over its active requests: decoding ones equally (one token-step a step), prefilling ones "
    "by prompt tokens, a prompt token weighing as much as a token-step; idle where none is active"
)
Reading = tuple[float, float]
SHORTEST_S = 1e-9
"""Below a clock's resolution a rate means nothing; keeps rates finite."""


@dataclass(frozen=True, slots=True)
class ActiveRequest:
    """When a request was on the machine and what was computed for it.

    Args:
        start_s, end_s: from the send to the last token.
        first_token_s: end of prefill; None where it was not seen: then all its tokens are spread evenly.
        prompt_tokens: computed for it, cached ones left out.
        completion_tokens: of the answer.
    """

    start_s: float
    end_s: float
    first_token_s: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        first = self.start_s if self.first_token_s is None else self.first_token_s
        if not self.start_s <= first <= self.end_s:
            raise ConfigError(f"a request starts, shows a token and ends in this order; found {self}")

    @property
    def steps_per_s(self) -> float | None:
        """Decode steps a second; None where decoding was not seen."""
        if self.first_token_s is None or self.completion_tokens < 2 or self.end_s <= self.first_token_s:
            return None
        return (self.completion_tokens - 1) / max(self.end_s - self.first_token_s, SHORTEST_S)

    def decodes_at(self, moment_s: float) -> bool:
        """Whether it decodes then."""
        return self.first_token_s is not None and self.first_token_s <= moment_s < self.end_s

    def prompt_tokens_per_s(self, moment_s: float) -> float:
        """Tokens a second that count as prefill then; all tokens where the first one was not seen."""
        until_s = self.end_s if self.first_token_s is None else self.first_token_s
        if not self.start_s <= moment_s < until_s:
            return 0.0
        tokens = self.prompt_tokens + (self.completion_tokens if self.first_token_s is None else 0)
        return max(tokens, 1) / max(until_s - self.start_s, SHORTEST_S)


@dataclass(frozen=True, slots=True)
class EnergyShares:
    """A span's energy, shared.

    Args:
        request_wh: one a request, in order.
        idle_wh: while no request was active.
        total_wh: the span's; equals the sum of the others exactly.
    """

    request_wh: tuple[float, ...]
    idle_wh: float
    total_wh: float


def share_energy(readings: Sequence[Reading], requests: Sequence[ActiveRequest]) -> EnergyShares:
    """The energy between the first and the last reading, shared over the requests that were active.

    Args:
        readings: (seconds, Wh) on the requests' clock, in order; the more, the closer to what was drawn when.
        requests: those that were on the machine, also in part.

    Raises:
        ConfigError: fewer than two readings, or one that goes back in time or energy.

    Example:
        >>> two = [ActiveRequest(0, 10, 0, 0, 11), ActiveRequest(0, 5, 0, 0, 6)]
        >>> share_energy([(0, 0.0), (10, 1.0)], two).request_wh
        (0.75, 0.25)
    """
    _check(readings)
    weights = [0.0] * (len(requests) + 1)  # the last one is idle
    power_w = iter(itertools.pairwise(readings))
    (since_s, before_wh), (until_s, after_wh) = next(power_w)
    for start_s, end_s, active in _intervals(readings, requests):
        while start_s >= until_s:
            (since_s, before_wh), (until_s, after_wh) = next(power_w)
        part_wh = (after_wh - before_wh) * (end_s - start_s) / (until_s - since_s)
        for index, share in _shares_at((start_s + end_s) / 2, requests, active):
            weights[index] += part_wh * share
    total_wh = readings[-1][1] - readings[0][1]
    *shares, idle_wh = split_exactly(total_wh, weights)
    return EnergyShares(tuple(shares), idle_wh, total_wh)


def share_by_token_steps(span_wh: float, requests: Sequence[ActiveRequest]) -> list[float]:
    """The energy of one span from the first start to the last end, when the meter was read only there.

    Args:
        span_wh: what was spent.
        requests: at least one; gaps between them are shared too, in proportion.

    Returns:
        Wh of each; their sum is `span_wh` exactly.

    Example:
        >>> share_by_token_steps(3.0, [ActiveRequest(0, 2, 1, 10, 2), ActiveRequest(0, 2, 1, 20, 2)])
        [1.25, 1.75]
    """
    if not requests:
        raise ConfigError("no requests to share the energy over; it was idle")
    span = (min(r.start_s for r in requests), 0.0), (max(r.end_s for r in requests), span_wh)
    if span[0][0] == span[1][0]:
        return split_exactly(span_wh, [1.0] * len(requests))
    shares = share_energy(span, requests).request_wh
    return split_exactly(span_wh, shares if any(shares) else [1.0] * len(requests))


def batch_of(
    prompt_tokens: Sequence[int], completion_tokens: Sequence[int], latency_s: float, ttft_s: float | None
) -> list[ActiveRequest]:
    """The requests of a batch that started together, each active until its own last token.

    Args:
        prompt_tokens, completion_tokens: of each.
        latency_s: of the whole batch.
        ttft_s: prefill of the whole batch; None where it was not seen.
    """
    if ttft_s is None:
        return [
            ActiveRequest(0.0, latency_s, None, p, n) for p, n in zip(prompt_tokens, completion_tokens, strict=True)
        ]
    steps = max(max(completion_tokens, default=1) - 1, 1)
    step_s = (latency_s - ttft_s) / steps
    return [
        ActiveRequest(0.0, max(ttft_s, min(latency_s, ttft_s + (n - 1) * step_s)), ttft_s, p, n)
        for p, n in zip(prompt_tokens, completion_tokens, strict=True)
    ]


def split_exactly(total: float, weights: Sequence[float]) -> list[float]:
    """Parts in proportion to the weights whose sum, in any order, is `total` to the last bit.

    Every part is a whole number of the total's last binary digit, so no sum of them is rounded. What rounding leaves goes to the
    largest weight.

    Args:
        total: at least 0.
        weights: at least 0; when all are 0, the last one takes everything.

    Example:
        >>> parts = split_exactly(0.1, [1, 1, 1])
        >>> sum(parts) == 0.1
        True
    """
    whole = math.fsum(weights)
    if whole <= 0:
        return [*([0.0] * (len(weights) - 1)), total]
    unit = max(math.frexp(total)[1] - 53, -1074)
    units = int(math.ldexp(total, -unit))
    counts = [int(units * (weight / whole)) for weight in weights]
    largest = max(range(len(weights)), key=lambda index: weights[index])
    counts[largest] += units - sum(counts)
    return [math.ldexp(count, unit) for count in counts]


def _intervals(
    readings: Sequence[Reading], requests: Sequence[ActiveRequest]
) -> Iterator[tuple[float, float, Sequence[int]]]:
    """(start, end, active requests) between each two moments at which anything changes: a reading, or a request's phase."""
    first_s, last_s = readings[0][0], readings[-1][0]
    moments = {at_s for at_s, _ in readings}
    for request in requests:
        seen = (request.start_s, request.first_token_s, request.end_s)
        moments.update(at_s for at_s in seen if at_s is not None and first_s < at_s < last_s)
    coming = sorted(range(len(requests)), key=lambda index: -requests[index].start_s)
    active: list[int] = []
    for start_s, end_s in itertools.pairwise(sorted(moments)):
        while coming and requests[coming[-1]].start_s <= start_s:
            active.append(coming.pop())
        active = [index for index in active if requests[index].end_s > start_s]
        yield start_s, end_s, active


def _shares_at(moment_s: float, requests: Sequence[ActiveRequest], active: Sequence[int]) -> list[tuple[int, float]]:
    """(index, share) of whoever is active then, adding up to 1; the index behind the last request is idle."""
    decoding = [i for i in active if requests[i].decodes_at(moment_s)]
    rates = [rate for rate in (requests[i].steps_per_s for i in decoding) if rate is not None]
    steps_per_s = math.fsum(rates) / len(rates) if rates else 1.0
    weights = [(i, steps_per_s) for i in decoding]
    weights += [(i, rate) for i in active if (rate := requests[i].prompt_tokens_per_s(moment_s)) > 0]
    whole = math.fsum(weight for _, weight in weights)
    if whole == 0:
        return [(len(requests), 1.0)]
    return [(index, weight / whole) for index, weight in weights]


def _check(readings: Sequence[Reading]) -> None:
    if len(readings) < 2:
        raise ConfigError(f"a span of energy has two readings of the meter at least, found {len(readings)}")
    for (since_s, before_wh), (until_s, after_wh) in itertools.pairwise(readings):
        if until_s <= since_s or after_wh < before_wh:
            raise ConfigError(
                f"readings must go forward: ({since_s} s, {before_wh} Wh) is followed by ({until_s} s, {after_wh} Wh)"
            )
