"""A streamed answer while it arrives: its text, its times, and in the end the Completion."""

from __future__ import annotations

from workbench.core import Completion, FinishReason, Timing, Unavailable, Usage


class PartialAnswer:
    """Collects what every protocol has in common.

    Args:
        model: name of the model in the configuration.
        start_s: intended start, on the caller's clock.
        flop_per_token: of the card; None leaves the compute unknown.
    """

    def __init__(self, model: str, start_s: float, flop_per_token: float | None) -> None:
        self.model = model
        self._flop_per_token = flop_per_token
        self._start_s = self._last_s = start_s
        self._texts: list[str] = []
        self._ttft_s: float | None = None

    def add(self, text: str, now_s: float, *, is_streamed: bool = True) -> str:
        """Take in text (empty for a piece that has none) that arrived at `now_s`; returns it."""
        self._texts.append(text)
        self._last_s = now_s
        if text and is_streamed and self._ttft_s is None:
            self._ttft_s = now_s - self._start_s
        return text

    def completion(self, finish_reason: FinishReason | None, usage: Usage, logprob: float | None = None) -> Completion:
        """The whole answer; its latency ends with the last piece that belongs to it.

        Raises:
            Unavailable: it ended without a finish reason (cut stream).
        """
        if finish_reason is None:
            raise Unavailable("the stream ended before the answer was complete", model=self.model)
        n_tokens, flop = usage.total_tokens, self._flop_per_token
        return Completion(
            text="".join(self._texts),
            model=self.model,
            finish_reason=finish_reason,
            usage=usage,
            timing=Timing(self._last_s - self._start_s, self._ttft_s),
            compute_flop=None if n_tokens is None or flop is None else n_tokens * flop,
            logprob=logprob,
        )
