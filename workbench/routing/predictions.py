"""What is expected of every model on every request, before it is answered."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.routing.queries import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Expected quality, cost and latency, arrays of shape (n_requests, n_models).

    Args:
        quality: expected score, about 0..1 (a linear predictor may leave the range).
        cost_usd: expected USD of one answer.
        latency_s: expected seconds of one answer; NaN where no latency was measured.
        unfamiliar: true where a request is unlike all that was recorded, shape (n_requests,): its quality is each model's mean.
            None where the predictor does not tell.
    """

    quality: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    unfamiliar: BoolArray | None = None

    def __getitem__(self, rows: slice) -> Predictions:
        """The predictions of a slice of the requests."""
        unfamiliar = None if self.unfamiliar is None else self.unfamiliar[rows]
        return Predictions(self.quality[rows], self.cost_usd[rows], self.latency_s[rows], unfamiliar)
