"""What is answered: text, usage, timing and cost. Unknown is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "blocked", "error"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call.

    Args:
        prompt_tokens: all tokens of the prompt, cached ones included.
        completion_tokens: tokens of the answer.
        cached_tokens: prompt tokens read from a prefix cache; None when the model does not report them.
        cache_write_tokens: prompt tokens written to a prefix cache that bills for it; None when not reported.
        cache_write_1h_tokens: those cache-write tokens that are kept for an hour, at a price of their own; None when not reported.
        reasoning_tokens: those completion tokens that are hidden reasoning; None when not reported.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Prompt plus completion; None when either is unknown."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Sum of two calls; a count that either does not know is unknown."""
        return Usage(
            prompt_tokens=_sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, other.completion_tokens),
            cached_tokens=_sum(self.cached_tokens, other.cached_tokens),
            cache_write_tokens=_sum(self.cache_write_tokens, other.cache_write_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, other.reasoning_tokens),
            cache_write_1h_tokens=_sum(self.cache_write_1h_tokens, other.cache_write_1h_tokens),
        )


def _sum(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call on a monotonic clock.

    Args:
        latency_s: from the intended start to the last token.
        ttft_s: from the intended start to the first visible token; None when not observed (not streamed).
    """

    latency_s: float
    ttft_s: float | None = None

    def tpot_s(self, completion_tokens: int | None) -> float | None:
        """Time per output token, (latency - TTFT) / (n - 1); None when it cannot be known."""
        if self.ttft_s is None or completion_tokens is None or completion_tokens < 2:
            return None
        return (self.latency_s - self.ttft_s) / (completion_tokens - 1)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of one model.

    Args:
        text: the answer, without special tokens.
        model: name of the model that answered.
        finish_reason: why it ended.
        usage: tokens.
        timing: seconds.
        cost_usd: what it cost; None when no price is known.
        compute_flop: floating-point operations spent, where the card tells FLOPs a token; else None.
        logprob: sum of the answer tokens' log-probabilities; None when not asked for or not reported.
        memory_gib: peak memory of the process while answering, where measured; else None.
        memory_baseline_gib: what the process had before the model was loaded, where `memory_gib` is measured; else None.
    """

    text: str
    model: str
    finish_reason: FinishReason
    usage: Usage
    timing: Timing
    cost_usd: float | None = None
    compute_flop: float | None = None
    logprob: float | None = None
    memory_gib: float | None = None
    memory_baseline_gib: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer.

    Args:
        text: the new text (may be empty).
        completion: the whole Completion, on the last piece only.
    """

    text: str
    completion: Completion | None = None
