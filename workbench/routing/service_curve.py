"""How long a model takes as a function of how many requests it works on at once: measured, then interpolated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.core import ConfigError
from workbench.routing.queries import FloatArray


@dataclass(frozen=True, slots=True)
class ServiceCurve:
    """Seconds at each measured concurrency.

    Between two measured points it is a straight line, below the first it is flat, and above the last it grows in proportion to
    the concurrency: a server that is full shares itself among all.

    Args:
        concurrency: requests worked on at once, ascending, at least 1.
        seconds: what one of them takes then; the mean or a percentile, whole answer or first token, as it was measured.

    Raises:
        ConfigError: lengths differ, nothing is there, concurrencies do not ascend, or a number is not positive and finite.

    Example:
        >>> curve = ServiceCurve((1, 4), (1.0, 2.5))
        >>> curve.at(np.array([0.0, 1.0, 2.0, 4.0, 8.0])).tolist()
        [1.0, 1.0, 1.5, 2.5, 5.0]
    """

    concurrency: tuple[float, ...]
    seconds: tuple[float, ...]
    _points: tuple[FloatArray, FloatArray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels, seconds = np.array(self.concurrency, float), np.array(self.seconds, float)
        if len(levels) != len(seconds) or not len(levels):
            raise ConfigError(
                f"a service curve has {len(levels)} concurrencies and {len(seconds)} times; give as many of each, at least one"
            )
        if not (np.isfinite(levels).all() and np.isfinite(seconds).all() and (seconds > 0).all() and levels[0] > 0):
            raise ConfigError(
                f"a service curve needs positive, finite numbers; found {self.concurrency} and {self.seconds}"
            )
        if (np.diff(levels) <= 0).any():
            raise ConfigError(f"the concurrencies of a service curve must ascend; found {self.concurrency}")
        object.__setattr__(self, "_points", (levels, seconds))

    def at(self, concurrency: FloatArray) -> FloatArray:
        """Seconds at any concurrency, elementwise."""
        inside: FloatArray = np.interp(concurrency, *self._points)
        beyond = self.seconds[-1] * concurrency / self.concurrency[-1]
        return np.where(concurrency > self.concurrency[-1], beyond, inside)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"concurrency": list(self.concurrency), "seconds": list(self.seconds)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> ServiceCurve | None:
        """The curve again; None of None."""
        return None if value is None else cls(tuple(value["concurrency"]), tuple(value["seconds"]))


def expected_s(
    curves: tuple[ServiceCurve | None, ...],
    predicted_s: FloatArray,
    in_flight: FloatArray | None,
    recent_s: FloatArray | None,
) -> FloatArray:
    """Seconds that one more request takes at each model, shape (n, m); infinite where nothing is known.

    From the service curve at `in flight + 1` where there is one; else the recent moving average, which has the present load in it;
    else what was predicted.

    Args:
        curves: one a column, None where not measured; empty is none at all.
        predicted_s: shape (n, m), NaN where unknown.
        in_flight: shape (n, m); None counts as nobody.
        recent_s: shape (n, m), NaN where nothing was answered yet.
    """
    found = predicted_s if recent_s is None else np.where(np.isnan(recent_s), predicted_s, recent_s)
    found = np.where(np.isnan(found), np.inf, found)
    for column, curve in enumerate(curves):
        if curve is not None:
            load = np.ones(len(found)) if in_flight is None else in_flight[:, column] + 1.0
            found[:, column] = curve.at(load)
    return found
