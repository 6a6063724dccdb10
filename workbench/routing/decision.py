"""What a policy answers for one request, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    """

    model: str | None
    because: str
    predicted_quality: float | None = None
    predicted_cost_usd: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    propensity: float | None = None
    is_explored: bool = False

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
