"""How predictions become a choice. An objective is pure arithmetic on arrays: the same for a live request and a million rows.

The four strategies, with q quality, c cost in USD and l seconds of model j on request i (docs/routing.md works each one through):

    capability      the least c_ij with q_ij ≥ floor of i's task
    cost-aware      the most q_ij − λ c_ij
    latency-aware   the least l_j(in flight + 1), or the least c_ij with l_j ≤ target, among q_ij ≥ floor
    hybrid          the most q_ij − λ c_ij − μ l_ij among those within every limit
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from workbench.core import ConfigError
from workbench.routing.circumstances import Circumstances
from workbench.routing.predictions import Predictions
from workbench.routing.queries import BoolArray, FloatArray, IntArray


@runtime_checkable
class Objective(Protocol):
    """Chooses one model a request."""

    kind: ClassVar[str]

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where no column of `eligible` (n, m) will do."""
        ...

    def because(self, row: Row) -> str:
        """Why that column, in one line without the model's name."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Its settings as plain values, without the kind."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One request's numbers, for explaining a choice.

    Args:
        models: names of the columns.
        chosen: column.
        quality: predicted, by column.
        cost_usd: predicted, by column.
        eligible: which columns could be chosen.
        batch: predictions and circumstances of the whole batch.
        index: of the request in it.
    """

    models: tuple[str, ...]
    chosen: int
    quality: list[float]
    cost_usd: list[float]
    eligible: list[bool]
    batch: tuple[Predictions, Circumstances]
    index: int

    @property
    def predictions(self) -> Predictions:
        """Of this request alone."""
        return self.batch[0][self.index : self.index + 1]

    @property
    def given(self) -> Circumstances:
        """Of this request alone."""
        return self.batch[1][self.index : self.index + 1]

    @property
    def task(self) -> str | None:
        """Kind of task, where known."""
        return self.batch[1].tasks[self.index]

    @property
    def exchange(self) -> float | None:
        """λ that came with the request; None where none did."""
        exchange = self.batch[1].exchange
        return None if exchange is None else float(exchange[self.index])

    @property
    def others(self) -> list[int]:
        """Eligible columns beside the chosen one."""
        return [j for j, able in enumerate(self.eligible) if able and j != self.chosen]

    @property
    def rival(self) -> int | None:
        """The best predicted of the others; None when there is none."""
        return max(self.others, key=lambda j: self.quality[j], default=None)

    def times_cost_of(self, other: int) -> str:
        """What the chosen one costs beside another."""
        return _times(self.cost_usd[self.chosen], self.cost_usd[other], self.models[other])

    def at_cost_of(self, other: int) -> str:
        """The same, after a verb."""
        times = self.times_cost_of(other)
        return times if times.startswith("at ") else f"at {times}"


@dataclass(frozen=True, slots=True)
class CostAware:
    """The model with the largest `quality − exchange · cost_usd`; on a tie the cheaper one, then the first.

    Args:
        exchange: score that one USD must buy, λ ≥ 0, in score per USD. 0 ignores cost; infinity takes the cheapest. A λ that comes
            with the request (budget pacing) stands in for it.
    """

    exchange: float
    kind: ClassVar[str] = "cost-aware"

    def __post_init__(self) -> None:
        check_exchange(self.exchange)

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where nothing is eligible."""
        if given is not None and given.exchange is not None:
            return self._paced(predictions, eligible, given.exchange)
        if math.isinf(self.exchange):
            return first_best(-predictions.cost_usd, -predictions.quality, eligible)
        utility = predictions.quality - self.exchange * predictions.cost_usd
        return first_best(utility, predictions.cost_usd, eligible)

    def _paced(self, predictions: Predictions, eligible: BoolArray, exchange: FloatArray) -> IntArray:
        spent = np.isinf(exchange)
        finite = np.where(spent, 0.0, exchange)[:, None]
        weighed = first_best(predictions.quality - finite * predictions.cost_usd, predictions.cost_usd, eligible)
        if not np.count_nonzero(spent):
            return weighed
        cheapest = first_best(-predictions.cost_usd, -predictions.quality, eligible)
        return np.where(spent, cheapest, weighed)

    def because(self, row: Row) -> str:
        """The best predicted rival, λ, and the cost beside it."""
        exchange = self.exchange if row.exchange is None else row.exchange
        paced = "" if row.exchange is None else ", paced"
        because = f"{row.quality[row.chosen]:.2f} predicted"
        rival = row.rival
        if rival is None:
            return f"{because}, the only eligible model"
        other = f"{row.models[rival]} {row.quality[rival]:.2f}"
        return f"{because} vs {other} at λ={exchange:.4g} score per USD{paced}, {row.times_cost_of(rival)}"

    def to_json(self) -> dict[str, Any]:
        """λ."""
        return {"exchange": self.exchange}


@dataclass(frozen=True, slots=True)
class Capability:
    """The cheapest model whose predicted quality reaches the floor; where none does, the best predicted one.

    Args:
        floor: least acceptable predicted score; with a calibrated predictor of right answers, the least probability of one.
        floors: task → its own floor; other tasks, and requests of unknown task, have `floor`.
    """

    floor: float
    floors: Mapping[str, float] = field(default_factory=dict, hash=False)
    kind: ClassVar[str] = "capability"

    def __post_init__(self) -> None:
        check_floors(self.floor, self.floors)

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """Column of the chosen model, shape (n,); -1 where nothing is eligible."""
        able = eligible & reaches(predictions.quality, self.floor, self.floors, given)
        cheapest = first_best(-predictions.cost_usd, -predictions.quality, able)
        best = first_best(predictions.quality, predictions.cost_usd, eligible)
        return np.where(able.any(axis=1), cheapest, best)

    def because(self, row: Row) -> str:
        """The floor, and the cost beside the best predicted rival."""
        task, quality = row.task, row.quality[row.chosen]
        floor = self.floors.get(task or "", self.floor)
        of_task = f" of task {task}" if task in self.floors else ""
        rival = row.rival
        if quality < floor:
            return f"{quality:.2f} is the best predicted, none reaches the floor {floor:g}{of_task}"
        because = f"{quality:.2f} ≥ {floor:g} floor{of_task}"
        return f"{because}, the only eligible model" if rival is None else f"{because} {row.at_cost_of(rival)}"

    def to_json(self) -> dict[str, Any]:
        """The floors."""
        return {"floor": self.floor, **({"floors": dict(self.floors)} if self.floors else {})}


@dataclass(frozen=True, slots=True)
class FixedChoice:
    """Always the same column; -1 where that model is not eligible."""

    column: int
    kind: ClassVar[str] = "fixed"

    def choose(self, predictions: Predictions, eligible: BoolArray, given: Circumstances | None = None) -> IntArray:
        """The column, or -1 where it is not eligible, shape (n,)."""
        del predictions, given
        return np.where(eligible[:, self.column], self.column, -1).astype(np.intp)

    def because(self, row: Row) -> str:
        """That it is always so."""
        return f"{row.quality[row.chosen]:.2f} predicted, fixed"

    def to_json(self) -> dict[str, Any]:
        """The column."""
        return {"column": self.column}


def first_best(utility: FloatArray, then_least: FloatArray, eligible: BoolArray) -> IntArray:
    """Column of the largest utility among the eligible; ties by the smallest `then_least`, then the first column; -1 for none.

    A number that is not known (NaN) is the worst of its kind.
    """
    if len(utility) == 1:
        return np.array([_first_best(*utility.tolist(), *then_least.tolist(), *eligible.tolist())], np.intp)
    known = np.where(eligible & (utility == utility), utility, -np.inf)
    tied = eligible & (known == known.max(axis=1, keepdims=True))
    second = np.where(tied & (then_least == then_least), then_least, np.inf)
    first = tied & (second == second.min(axis=1, keepdims=True))
    return np.where(tied.any(axis=1), first.argmax(axis=1), -1)


def _first_best(utility: list[float], then_least: list[float], eligible: list[bool]) -> int:
    """The same of one request; arrays of one row cost ten times as much. Tests hold the two together."""
    best, most, least = -1, -np.inf, np.inf
    for column, able in enumerate(eligible):
        if able:
            u = utility[column] if utility[column] == utility[column] else -np.inf
            second = then_least[column] if then_least[column] == then_least[column] else np.inf
            if best < 0 or u > most or (u == most and second < least):
                best, most, least = column, u, second
    return best


def reaches(quality: FloatArray, floor: float, floors: Mapping[str, float], given: Circumstances | None) -> BoolArray:
    """Where a predicted quality reaches its request's floor, shape (n, m)."""
    if not floors or given is None:
        return quality >= floor
    return quality >= given.floors(floor, dict(floors))[:, None]


def check_exchange(exchange: float) -> None:
    """Refuse a λ that is none.

    Raises:
        ConfigError: negative or not a number.
    """
    if not exchange >= 0:
        raise ConfigError(f"the exchange rate λ is {exchange}; it is score per USD and must be 0 or more")


def check_floors(floor: float, floors: Mapping[str, float]) -> None:
    """Refuse floors that are no numbers.

    Raises:
        ConfigError: one is NaN.
    """
    for name, value in (("", floor), *floors.items()):
        if np.isnan(value):
            of_task = f" of task {name!r}" if name else ""
            raise ConfigError(f"the quality floor{of_task} is not a number; give a score, usually 0..1")


def _times(cost: float, other_cost: float, other: str) -> str:
    if other_cost == cost:
        return f"at the same cost as {other}"
    if other_cost <= 0 or cost <= 0:
        return f"{cost:.3g} USD instead of {other_cost:.3g}"
    return f"{cost / other_cost:.2g}× the cost of {other}"
