"""What a stack gives back: the answer, and why it is what it is."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from workbench.core import Completion, Trace
from workbench.guardrails import Verdict
from workbench.routing import Decision


@dataclass(frozen=True, slots=True)
class Response:
    """One answered request. Prints well in a terminal and in a notebook.

    Args:
        completion: the answer, with tokens, cost and operations of all calls that it took.
        trace: each step, explained.
        verdicts: of all guards, without text.
        decision: which model was chosen and why; of the first asking when the answer is cached.
        cached: whether a stored answer, or one that was being made for somebody else, was given; it costs 0.
        degraded: whether it was answered in another way than configured: a fallback, a missing model, no audit record.
        latency_s: seconds from arrival to the end of the last step.
    """

    completion: Completion
    trace: Trace
    verdicts: tuple[Verdict, ...]
    decision: Decision
    cached: bool
    degraded: bool
    latency_s: float

    @property
    def text(self) -> str:
        """The answer."""
        return self.completion.text

    def __str__(self) -> str:
        return f"{self.text}\n\n{self._summary()}\n{self.trace}"

    def _summary(self) -> str:
        cost = "cost unknown" if self.completion.cost_usd is None else f"{self.completion.cost_usd:.3g} USD"
        marks = [word for word, holds in (("cached", self.cached), ("degraded", self.degraded)) if holds]
        return ", ".join([self.completion.model, f"{1000 * self.latency_s:.1f} ms", cost, *marks])

    def _repr_html_(self) -> str:
        answer = f"<pre style='white-space:pre-wrap;margin:0 0 .5em'>{escape(self.text)}</pre>"
        return f"<div>{answer}<div><b>{escape(self._summary())}</b></div>{self.trace._repr_html_()}</div>"


@dataclass(frozen=True, slots=True)
class StreamPiece:
    """A piece of a streamed answer that guards have released.

    Args:
        text: new text (may be empty).
        response: the whole Response, on the last piece only.
    """

    text: str
    response: Response | None = None
