"""Many configurations on many rows at once, with the arithmetic of the objectives that serve.

A model that is nowhere better than another one cannot be chosen: with q₁ ≥ q₂, c₁ ≤ c₂ (and l₁ ≤ l₂ where seconds are weighed),
rounding keeps q₁ − λ c₁ − μ l₁ ≥ q₂ − λ c₂ − μ l₂, whatever reaches a limit for 2 reaches it for 1, and a tie goes to the smaller
cost, then to the first column. So each row keeps its remaining models in that order, rows with equally many lie together, and the first
largest utility is the choice of `first_best`. A block of rows times a few configurations stays in a core's cache.

The utilities are computed by the same operations in the same order as `CostAware` and `Hybrid`, so that choices are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.routing import Capability, CostAware, Hybrid, Objective, Predictions
from workbench.tuning.matrix import OutcomeMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
_Order = Literal["weighed", "timed", "floors"]

ROWS = 4096
"""Rows of a block, and with `AT_ONCE` configurations the numbers that stay in cache; measured, see benchmarks/space_rate.py."""
AT_ONCE = 8
THREADS = 2
P95 = 0.95


@dataclass(frozen=True, slots=True)
class Realised:
    """What a configuration would have brought on the rows of a split, means a request.

    Args:
        score: a request that nobody serves scores 0.
        cost_usd: and costs nothing.
        latency_s: None where it was not measured or nobody serves some request.
        latency_p95_s: the smallest seconds that 95 % of requests do not exceed; None as above, or where it is not asked for.
        unserved: share of requests that no model may serve within the limits.
    """

    score: float
    cost_usd: float
    latency_s: float | None = None
    latency_p95_s: float | None = None
    unserved: float = 0.0

    def to_json(self) -> dict[str, float | None]:
        """Plain values, money per 1,000 requests."""
        return {
            "score": self.score,
            "cost_usd_per_1k": 1000 * self.cost_usd,
            "latency_s": self.latency_s,
            "latency_p95_s": self.latency_p95_s,
            "unserved": self.unserved,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Rows with equally many models left: those models by rising cost, then column. Arrays are (models left, rows)."""

    rows: IntArray
    column: IntArray
    quality: FloatArray
    cost_usd: FloatArray
    seconds: FloatArray
    realised: FloatArray
    """Score, USD and, where measured, seconds: (2 or 3, (models left + 1) · rows), the last place of each for nobody."""
    task: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.column.shape[0]), int(self.column.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Limits:
    """Numbers of a few configurations with the same kind of objective, shape (k, 1); floors (k, tasks + 1)."""

    exchange: FloatArray
    per_second: FloatArray
    floors: FloatArray
    slo_s: FloatArray
    cost_limit_usd: FloatArray
    is_capability: bool

    @property
    def has_floors(self) -> bool:
        return bool(np.isfinite(self.floors).any())

    @property
    def has_limits(self) -> bool:
        return self.has_floors or bool(np.isfinite(self.slo_s).any() or np.isfinite(self.cost_limit_usd).any())

    @property
    def order(self) -> _Order:
        """Which models may be left out of a row."""
        if self.is_capability:
            return "floors"
        return "timed" if self.per_second.any() or np.isfinite(self.slo_s).any() else "weighed"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Predictions and outcomes of the rows of one split under one basis, ready to score configurations.

    Args:
        predictions: shape (n, m).
        score, cost_usd, latency_s: measured, shape (n, m); latency with NaN where it was not measured.
        tasks: names of all tasks, sorted.
        task: number of each row's task in `tasks`, `len(tasks)` where it has none, shape (n,).
        wants_p95: whether the 95th percentile of latency is asked for; it takes as long as the rest.
    """

    predictions: Predictions
    score: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    tasks: tuple[str, ...]
    task: IntArray
    wants_p95: bool = False
    _blocks: dict[_Order, list[_Block]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, predictions: Predictions, matrix: OutcomeMatrix, tasks: tuple[str, ...], wants_p95: bool) -> Self:
        """The scorer of a split's matrix and the predictions for its rows."""
        rows = {name: row for row, name in enumerate(tasks)}
        task = np.fromiter((rows.get(t or "", len(rows)) for t in matrix.queries.tasks), np.intp, len(matrix))
        return cls(predictions, matrix.score, matrix.cost_usd, matrix.latency_s, tasks, task, wants_p95)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def has_latency(self) -> bool:
        """Whether every model's seconds were measured."""
        return not bool(np.isnan(self.latency_s).any())

    def prepared(self, objectives: Sequence[Objective]) -> Self:
        """Itself, with the orders of models that these objectives need: they are then part of what travels to a worker."""
        for batch, _ in self._batches(objectives):
            self._blocks_for(batch.order)
        return self

    def realised(self, objectives: Sequence[Objective], threads: int = THREADS) -> list[Realised]:
        """What each of the objectives would have brought, in their order.

        Args:
            objectives: `CostAware`, `Capability` or `Hybrid` without service curves.
            threads: configurations scored at the same time; results do not depend on it.
        """
        found: list[Realised | None] = [None] * len(objectives)
        work = [(self._blocks_for(batch.order), batch, at) for batch, at in self._batches(objectives)]
        with ThreadPoolExecutor(threads) as pool:
            for (_, _, at), results in zip(work, pool.map(lambda job: self._realised(*job[:2]), work), strict=True):
                for index, result in zip(at, results, strict=True):
                    found[index] = result
        return [result for result in found if result is not None]

    def choices(self, objectives: Sequence[Objective]) -> IntArray:
        """Column that each objective chooses for each row, shape (objectives, n); -1 where nobody may serve."""
        found = np.full((len(objectives), len(self)), -1, np.intp)
        for batch, at in self._batches(objectives):
            for block in self._blocks_for(batch.order):
                columns = np.concatenate([block.column.reshape(-1), np.full(block.shape[1], -1)])
                found[np.array(at)[:, None], block.rows] = columns[_places(block, batch)]
        return found

    def _realised(self, blocks: list[_Block], batch: _Limits) -> list[Realised]:
        k, n = len(batch.exchange), len(self)
        has_latency, wants_p95 = self.has_latency, self.wants_p95 and self.has_latency
        totals, unserved = np.zeros((3, k)), np.zeros(k)
        seconds = np.empty((k, n)) if wants_p95 else np.empty((k, 0))
        filled = 0
        for block in blocks:
            left, size = block.shape
            places, picked = _places(block, batch), np.empty((k, size))
            for row, values in enumerate(block.realised):
                np.take(values, places, out=picked, mode="clip")
                totals[row] += picked.sum(axis=1)
            if batch.has_limits:
                unserved += (places >= left * size).sum(axis=1)
            if wants_p95:
                seconds[:, filled : filled + size] = picked
            filled += size
        p95 = (
            np.partition(seconds, int(np.ceil(P95 * n)) - 1, axis=1)[:, int(np.ceil(P95 * n)) - 1]
            if wants_p95
            else None
        )
        return [
            Realised(
                float(totals[0, c] / n),
                float(totals[1, c] / n),
                float(totals[2, c] / n) if has_latency and not unserved[c] else None,
                float(p95[c]) if p95 is not None and not unserved[c] else None,
                float(unserved[c] / n),
            )
            for c in range(k)
        ]

    def _batches(self, objectives: Sequence[Objective]) -> Iterator[tuple[_Limits, list[int]]]:
        """A few objectives of a kind at a time, with their places in the list."""
        by_kind: dict[tuple[Any, ...], list[int]] = {}
        for index, objective in enumerate(objectives):
            by_kind.setdefault(_kind(objective), []).append(index)
        for indices in by_kind.values():
            for start in range(0, len(indices), AT_ONCE):
                at = indices[start : start + AT_ONCE]
                yield self._limits([objectives[index] for index in at]), at

    def _limits(self, objectives: Sequence[Objective]) -> _Limits:
        rows = [_numbers(objective, self.tasks) for objective in objectives]
        exchange, per_second, slo_s, cost_limit_usd = (np.array([row[i] for row in rows])[:, None] for i in range(4))
        floors = np.array([row[4] for row in rows])
        return _Limits(exchange, per_second, floors, slo_s, cost_limit_usd, isinstance(objectives[0], Capability))

    def _blocks_for(self, order: _Order) -> list[_Block]:
        if order not in self._blocks:
            self._blocks[order] = self._blocked(order)
        return self._blocks[order]

    def _blocked(self, order: _Order) -> list[_Block]:
        quality, cost, seconds = (self.predictions.quality, self.predictions.cost_usd, self.predictions.latency_s)
        if not np.isfinite(quality).all() or not np.isfinite(cost).all():
            raise ConfigError("a predicted score or cost is not finite; fill or drop such rows before a sweep")
        if order == "timed" and np.isnan(seconds).any():
            raise ConfigError(
                "seconds are weighed, but no latency was measured for some model; record it, or leave seconds out"
            )
        keeps = _undominated(quality, cost, seconds if order == "timed" else None, order == "floors")
        left = keeps.sum(axis=1)
        blocks = []
        for count in np.unique(left):
            rows = np.flatnonzero(left == count)
            for start in range(0, len(rows), ROWS):
                blocks.append(self._block(rows[start : start + ROWS], keeps, int(count)))
        return blocks

    def _block(self, rows: IntArray, keeps: BoolArray, count: int) -> _Block:
        cost = np.where(keeps[rows], self.predictions.cost_usd[rows], np.inf)
        column = np.argsort(cost, axis=1, kind="stable")[:, :count].T

        def taken(values: FloatArray) -> FloatArray:
            return np.ascontiguousarray(values[rows, column])

        measured = [self.score, self.cost_usd, *([self.latency_s] if self.has_latency else [])]
        nobody = np.zeros(len(rows))
        realised = np.stack([np.concatenate([taken(values).reshape(-1), nobody]) for values in measured])
        expected = self.predictions
        return _Block(
            rows,
            np.ascontiguousarray(column),
            taken(expected.quality),
            taken(expected.cost_usd),
            taken(expected.latency_s),
            realised,
            self.task[rows],
        )


def _kind(objective: Objective) -> tuple[Any, ...]:
    """Equal for objectives that are computed alike; a weight of 0 leaves its term out, as `Hybrid` does with μ."""
    if isinstance(objective, Hybrid):
        reads_seconds = objective.per_second > 0 or objective.slo_s is not None
        return objective.kind, reads_seconds, bool(objective.floors), np.isfinite(objective.floor)
    return (objective.kind,)


def _numbers(objective: Objective, tasks: tuple[str, ...]) -> tuple[float, float, float, float, list[float]]:
    """λ, μ, most seconds, most USD, and the floor of each task with the common one last."""
    if isinstance(objective, CostAware):
        return objective.exchange, 0.0, np.inf, np.inf, [-np.inf] * (len(tasks) + 1)
    if not isinstance(objective, Capability | Hybrid):
        raise ConfigError(f"a space has no objective of kind {objective.kind!r}; known: cost-aware, capability, hybrid")
    floors = [objective.floors.get(task, objective.floor) for task in tasks] + [objective.floor]
    if isinstance(objective, Capability):
        return 0.0, 0.0, np.inf, np.inf, floors
    if objective.curves:
        raise ConfigError("a space scores predicted seconds; service curves depend on the load of the moment")
    slo_s = np.inf if objective.slo_s is None else objective.slo_s
    most = np.inf if objective.cost_limit_usd is None else objective.cost_limit_usd
    return objective.exchange, objective.per_second, slo_s, most, floors


def _undominated(quality: FloatArray, cost: FloatArray, seconds: FloatArray | None, of_equal_cost: bool) -> BoolArray:
    """Which models of each row some objective could choose, shape (n, m).

    Args:
        quality, cost, seconds: predicted, shape (n, m); seconds None where they are not weighed.
        of_equal_cost: of equally dear models only the best predicted can be chosen, as with a floor; weighed ones may tie by rounding.
    """
    keeps = np.ones(quality.shape, np.bool_)
    for a in range(quality.shape[1]):
        for b in range(quality.shape[1]):
            if a == b:
                continue
            first = cost[:, a] <= cost[:, b] if a < b else cost[:, a] < cost[:, b]
            if of_equal_cost:
                first |= (cost[:, a] == cost[:, b]) & (quality[:, a] > quality[:, b])
            beats = first & (quality[:, a] >= quality[:, b])
            if seconds is not None:
                beats &= seconds[:, a] <= seconds[:, b]
            keeps[:, b] &= ~beats
    return keeps


def _places(block: _Block, batch: _Limits) -> IntArray:
    """Where each configuration's choice lies in the block's flat arrays, shape (k, rows); behind the models for nobody."""
    if batch.is_capability:
        return _cheapest_able(block, batch)
    left, size = block.shape
    k = len(batch.exchange)
    every = np.arange(size)
    within = _within(block, batch) if batch.has_limits else None
    places = np.empty((k, size), np.intp)
    places[...] = every if within is None else left * size + every
    if left == 1 and within is None:
        return places
    best, at, term = (np.empty((k, size)) for _ in range(3))
    better = np.empty((k, size), np.bool_)
    if within is not None:
        best.fill(-np.inf)
    for j in range(left):
        goes_first = j == 0 and within is None
        out = best if goes_first else at
        np.multiply(batch.exchange, block.cost_usd[j], out=term)
        np.subtract(block.quality[j], term, out=out)
        if batch.per_second.any():
            np.multiply(batch.per_second, block.seconds[j], out=term)
            np.subtract(out, term, out=out)
        if goes_first:
            continue
        np.greater(at, best, out=better)
        if within is not None:
            better &= within(j)
            np.copyto(best, at, where=better)
        else:
            np.maximum(best, at, out=best)
        np.copyto(places, every + j * size, where=better)
    return places


def _within(block: _Block, batch: _Limits) -> Any:
    """For the j-th model of a block: where every limit holds, shape (k, rows)."""
    floors = batch.floors[:, block.task] if batch.has_floors else None

    def at(j: int) -> BoolArray:
        found = batch.cost_limit_usd >= block.cost_usd[j]
        if floors is not None:
            found &= block.quality[j] >= floors
        if np.isfinite(batch.slo_s).any():
            found &= block.seconds[j] <= batch.slo_s
        return np.asarray(found)

    return at


def _cheapest_able(block: _Block, batch: _Limits) -> IntArray:
    """The cheapest model that reaches the floor; the best predicted where none does.

    The models left rise in cost and in predicted score, so it is the one behind all that fall short, at most the last.
    """
    left, size = block.shape
    floors = batch.floors[:, block.task]
    short = np.zeros(floors.shape, np.intp)
    for j in range(left - 1):
        short += block.quality[j] < floors
    short *= size
    short += np.arange(size)
    return short
