"""How predictions become a choice. An objective is pure arithmetic on arrays: the same for a live request and a million rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.routing.predictions import Predictions
from workbench.routing.queries import BoolArray, FloatArray, IntArray


@runtime_checkable
class Objective(Protocol):
    """Chooses one model a request."""

    kind: ClassVar[str]

    def choose(self, predictions: Predictions, eligible: BoolArray) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where no column of `eligible` (n, m) is true."""
        ...


@dataclass(frozen=True, slots=True)
class CostAware:
    """The model with the largest `quality − exchange · cost_usd`; on a tie the cheaper one, then the first.

    Args:
        exchange: score that one USD must buy, λ ≥ 0, in score per USD. 0 ignores cost; infinity takes the cheapest.
    """

    exchange: float
    kind: ClassVar[str] = "cost-aware"

    def __post_init__(self) -> None:
        if not self.exchange >= 0:
            raise ConfigError(f"the exchange rate λ is {self.exchange}; it is score per USD and must be 0 or more")

    def choose(self, predictions: Predictions, eligible: BoolArray) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where nothing is eligible."""
        if np.isinf(self.exchange):
            utility = -predictions.cost_usd
            return _first_best(utility, -predictions.quality, eligible)
        utility = predictions.quality - self.exchange * predictions.cost_usd
        return _first_best(utility, predictions.cost_usd, eligible)


@dataclass(frozen=True, slots=True)
class Capability:
    """The cheapest model whose predicted quality reaches the floor; where none does, the best predicted one.

    Args:
        floor: least acceptable predicted score.
    """

    floor: float
    kind: ClassVar[str] = "capability"

    def __post_init__(self) -> None:
        if np.isnan(self.floor):
            raise ConfigError("the quality floor is not a number; give a score, usually 0..1")

    def choose(self, predictions: Predictions, eligible: BoolArray) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where nothing is eligible."""
        able = eligible & (predictions.quality >= self.floor)
        cheapest = _first_best(-predictions.cost_usd, -predictions.quality, able)
        best = _first_best(predictions.quality, predictions.cost_usd, eligible)
        return np.where(able.any(axis=1), cheapest, best)


@dataclass(frozen=True, slots=True)
class FixedChoice:
    """Always the same column; -1 where that model is not eligible."""

    column: int
    kind: ClassVar[str] = "fixed"

    def choose(self, predictions: Predictions, eligible: BoolArray) -> IntArray:
        """The column, or -1 where it is not eligible, shape (n,)."""
        del predictions
        return np.where(eligible[:, self.column], self.column, -1).astype(np.intp)


def _first_best(utility: FloatArray, then_least: FloatArray, eligible: BoolArray) -> IntArray:
    """Column of the largest utility among the eligible; ties by the smallest `then_least`, then the first column."""
    masked = np.where(eligible, utility, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    tied = eligible & (masked == top)
    choice = np.where(tied, then_least, np.inf).argmin(axis=1)
    return np.where(tied.any(axis=1), choice, -1)


OBJECTIVES: dict[str, type[CostAware] | type[Capability] | type[FixedChoice]] = {
    kind.kind: kind for kind in (CostAware, Capability, FixedChoice)
}


def objective_to_json(objective: Objective) -> dict[str, Any]:
    """The objective as plain values; `objective_from_json` restores it."""
    return {"kind": objective.kind, **asdict(objective)}  # type: ignore[call-overload]


def objective_from_json(value: dict[str, Any]) -> Objective:
    """The objective that `objective_to_json` described.

    Raises:
        ConfigError: unknown kind or settings.
    """
    settings = dict(value)
    kind = settings.pop("kind", None)
    if kind not in OBJECTIVES:
        raise ConfigError(f"unknown objective {kind!r}: {did_you_mean(str(kind), OBJECTIVES)}")
    try:
        return OBJECTIVES[kind](**settings)
    except TypeError as exc:
        raise ConfigError(f"objective {kind!r} cannot be built from {settings}: {exc}") from exc
