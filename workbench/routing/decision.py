"""What a policy answers for one request, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model that was not chosen, with what was expected of it."""

    model: str
    predicted_quality: float
    predicted_cost_usd: float
    eligible: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """The model for one request.

    Args:
        model: the chosen model; None when no model was eligible.
        because: one line that a person can check.
        predicted_quality: expected score of the chosen model; None when the policy does not predict.
        predicted_cost_usd: expected USD; None when the policy does not predict.
        alternatives: the other models, best utility first, as far as the policy predicts them.
        propensity: probability with which this model was chosen; None where nothing is drawn by lot.
        is_explored: whether the lot took another model than the policy would have.

    A policy's decisions find their line and their alternatives when they are first read: `told_later`.
    """

    model: str | None
    because: str
    predicted_quality: float | None = None
    predicted_cost_usd: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    propensity: float | None = None
    is_explored: bool = False
    _tell: Callable[[str], Any] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def told_later(
        cls, model: str | None, quality: float | None, cost_usd: float | None, tell: Callable[[str], Any]
    ) -> Decision:
        """A decision whose `because` and `alternatives` are what `tell` says to these names when they are first read.

        What `tell` looks at must not change: the explanation is of the moment of the decision.
        """
        decision = object.__new__(cls)
        put = object.__setattr__  # one by one: a loop takes twice as long
        put(decision, "model", model)
        put(decision, "predicted_quality", quality)
        put(decision, "predicted_cost_usd", cost_usd)
        put(decision, "propensity", None)
        put(decision, "is_explored", False)
        put(decision, "_tell", tell)
        return decision

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What was not told yet; Python asks here only for names that are not set."""
            if name not in ("because", "alternatives"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            object.__setattr__(self, name, self._tell(name))
            return getattr(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are told all."""
        named = ("because", "predicted_quality", "predicted_cost_usd", "alternatives", "propensity", "is_explored")
        return Decision, (self.model, *(getattr(self, name) for name in named))

    def to_json(self) -> dict[str, Any]:
        """Plain values; no prompt text is inside."""
        return {
            "model": self.model,
            "because": self.because,
            "predicted_quality": self.predicted_quality,
            "predicted_cost_usd": self.predicted_cost_usd,
            "propensity": self.propensity,
            "is_explored": self.is_explored,
            "alternatives": [
                {
                    "model": other.model,
                    "predicted_quality": other.predicted_quality,
                    "predicted_cost_usd": other.predicted_cost_usd,
                    "eligible": other.eligible,
                }
                for other in self.alternatives
            ],
        }
