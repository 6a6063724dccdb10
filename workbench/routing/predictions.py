"""What is expected of every model on every request, before it is answered."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.routing.queries import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Expected quality, cost and latency, arrays of shape (n_requests, n_models).

    Args:
        quality: expected score, about 0..1 (a linear predictor may leave the range).
        cost_usd: expected USD of one answer.
        latency_s: expected seconds of one answer; NaN where no latency was measured.
    """

    quality: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray

    def __getitem__(self, rows: slice) -> Predictions:
        """The predictions of a slice of the requests."""
        return Predictions(self.quality[rows], self.cost_usd[rows], self.latency_s[rows])
