"""The exact frontier: realised score and cost of a policy at every setting of its threshold, from one sort and one running sum.

For `argmax_j q_ij − λ c_ij` request i changes its model only at the slopes of the upper hull of its points (c_ij, q_ij): between two
slopes nothing changes. All switches of all requests, sorted by λ, with the change of score and cost each one makes, give the mean
score and cost at *every* λ ≥ 0 in O(E log E) for E switches. No grid, no second implementation: the choice at any λ is the one that
`workbench.routing.CostAware` makes, and a property test compares the two at every distinct λ.

The hulls are walked from the best model downwards, all requests of a block at once: the next model of a request is the cheaper one
with the least loss of quality per USD saved.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BLOCK_ROWS = 16_384
"""Requests walked at once: with 11 models their predictions stay in a core's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Switches:
    """Every change of model as the threshold rises from `first`.

    Args:
        first: the lowest threshold, where `start` holds.
        start: column chosen for each request at `first`, shape (n,).
        thresholds: where each switch happens, ascending, shape (E,). At the threshold itself the new model is chosen.
        old: flat index (row · m + column) of the model left, shape (E,).
        new: flat index of the model taken, shape (E,).
        n_models: m.
    """

    first: float
    start: IntArray
    thresholds: FloatArray
    old: IntArray
    new: IntArray
    n_models: int

    @property
    def distinct(self) -> FloatArray:
        """Thresholds at which the choice of any request differs from just below; `first` leads, shape (K,)."""
        return np.concatenate([[self.first], self.thresholds[self._last_of_ties()]])

    def realised(self, values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """Mean of `values` over the chosen models from each distinct threshold up to the next, shape (K,).

        Args:
            values: what was measured, shape (n, m).
            weights: weight of each request, shape (n,); None weighs all alike.
        """
        flat = np.ascontiguousarray(values).reshape(-1)
        begin = np.arange(len(self.start)) * self.n_models + self.start
        change = flat[self.new] - flat[self.old]
        if weights is None:
            first, total = flat[begin].sum(), float(len(self.start))
        else:
            first, total = (flat[begin] * weights).sum(), float(weights.sum())
            change *= weights[self.old // self.n_models]
        np.cumsum(change, out=change)
        change += first
        change /= total
        return np.concatenate([[first / total], change[self._last_of_ties()]])

    def _last_of_ties(self) -> npt.NDArray[np.bool_]:
        last = np.ones(len(self.thresholds), np.bool_)
        np.not_equal(self.thresholds[1:], self.thresholds[:-1], out=last[:-1])
        return last


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """What a policy realises at every threshold. Entry k holds from `thresholds[k]` up to `thresholds[k + 1]`.

    Args:
        thresholds: ascending, shape (K,).
        score: mean score, shape (K,).
        cost_usd: mean USD a request, shape (K,).
        latency_s: mean seconds a request, shape (K,); None where not measured.
    """

    thresholds: FloatArray
    score: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray | None = None

    @classmethod
    def of(
        cls, switches: Switches, score: FloatArray, cost_usd: FloatArray, latency_s: FloatArray | None = None
    ) -> Self:
        """The frontier of measured arrays of shape (n, m)."""
        latency = None if latency_s is None or np.isnan(latency_s).any() else switches.realised(latency_s)
        return cls(switches.distinct, switches.realised(score), switches.realised(cost_usd), latency)

    def __len__(self) -> int:
        return len(self.thresholds)

    def index_at(self, threshold: float) -> int:
        """The entry that holds at a threshold."""
        return max(int(np.searchsorted(self.thresholds, threshold, "right")) - 1, 0)

    def middle(self, index: int) -> float:
        """A threshold halfway between where an entry begins and ends: small errors of the events do not change its choices.

        The last entry never ends; it gets twice its beginning (or 1 above it when that is not positive).
        """
        begin = float(self.thresholds[index])
        if index + 1 < len(self.thresholds):
            return begin + (float(self.thresholds[index + 1]) - begin) / 2
        return 2 * begin if begin > 0 else begin + 1.0

    def thinned(self, most: int = 200) -> IntArray:
        """Entries for a plot or a table: at most `most`, evenly spread over cost, both ends kept."""
        if len(self) <= most:
            return np.arange(len(self))
        span = float(np.ptp(self.cost_usd)) or 1.0
        bins = ((self.cost_usd - self.cost_usd.min()) / span * (most - 2)).astype(np.intp)
        _, kept = np.unique(bins, return_index=True)
        return np.unique(np.concatenate([kept, [0, len(self) - 1]])).astype(np.intp)


def cost_aware_switches(quality: FloatArray, cost_usd: FloatArray, *, threads: int = 2) -> Switches:
    """Every switch of `CostAware(λ)` as λ rises from 0.

    Args:
        quality: predicted, shape (n, m), finite.
        cost_usd: predicted, shape (n, m), finite and not negative.
        threads: blocks walked at the same time.

    Raises:
        ConfigError: shapes differ, no rows, or a value is not finite.
    """
    _check(quality, cost_usd)
    return _collect(quality, cost_usd, _walk_down_hull, first=0.0, threads=threads)


def capability_switches(quality: FloatArray, cost_usd: FloatArray, *, threads: int = 2) -> Switches:
    """Every switch of `Capability(floor)` as the floor rises; arguments as in `cost_aware_switches`."""
    _check(quality, cost_usd)
    return _collect(quality, cost_usd, _climb_records, first=float(quality.min()), threads=threads)


def _check(quality: FloatArray, cost_usd: FloatArray) -> None:
    if quality.shape != cost_usd.shape or quality.ndim != 2 or quality.size == 0:
        raise ConfigError(
            f"predictions have shapes {quality.shape} and {cost_usd.shape}; both must be (n, m), not empty"
        )
    for name, array in (("quality", quality), ("cost", cost_usd)):
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0].tolist()
            raise ConfigError(
                f"predicted {name} of model {column} on request {row} is {array[row, column]}; it must be finite"
            )
    if cost_usd.min() < 0:
        raise ConfigError(f"a predicted cost is {cost_usd.min()}; costs must be 0 or more")


@dataclass(frozen=True, slots=True)
class _Block:
    start: npt.NDArray[Any]
    thresholds: list[FloatArray]
    rows: list[npt.NDArray[Any]]
    old: list[npt.NDArray[Any]]
    new: list[npt.NDArray[Any]]


_Walk = Callable[[FloatArray, FloatArray], _Block]


def _collect(quality: FloatArray, cost: FloatArray, walk: _Walk, *, first: float, threads: int) -> Switches:
    n, m = quality.shape

    def block(begin: int) -> _Block:
        rows = slice(begin, begin + BLOCK_ROWS)
        walked = walk(np.ascontiguousarray(quality[rows].T), np.ascontiguousarray(cost[rows].T))
        for part in walked.rows:
            part += begin
        return walked

    begins = range(0, n, BLOCK_ROWS)
    if threads > 1 and len(begins) > 1:
        with ThreadPoolExecutor(threads) as pool:
            blocks = list(pool.map(block, begins))
    else:
        blocks = [block(begin) for begin in begins]
    thresholds = _joined(blocks, "thresholds", np.float64)
    rows = _joined(blocks, "rows", np.intp)
    rows *= m
    order = np.argsort(thresholds)
    old, new = _joined(blocks, "old", np.intp), _joined(blocks, "new", np.intp)
    old += rows
    new += rows
    start = np.concatenate([b.start for b in blocks]).astype(np.intp)
    return Switches(first, start, thresholds[order], old[order], new[order], m)


def _joined(blocks: list[_Block], name: str, dtype: Any) -> npt.NDArray[Any]:
    parts = [part for b in blocks for part in getattr(b, name)]
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)


def _walk_down_hull(quality: FloatArray, cost: FloatArray) -> _Block:
    """Switches of one block; arrays are (m, rows). Starts at the best model, the cheaper on a tie, then the first."""
    at_q, at_c, at = quality[0].copy(), cost[0].copy(), np.zeros(quality.shape[1], np.int16)
    for j in range(1, len(quality)):
        better = (quality[j] > at_q) | ((quality[j] == at_q) & (cost[j] < at_c))
        _move(better, at_q, at_c, at, quality[j], cost[j], j)
    found = _Block(at.copy(), [], [], [], [])
    rows = np.arange(quality.shape[1])
    reached = np.zeros(quality.shape[1])
    while True:
        slope, to = _least_slope(quality, cost, at_q, at_c)
        goes = np.flatnonzero(to >= 0)
        if not len(goes):
            return found
        if len(goes) < len(rows):
            quality, cost = quality[:, goes], cost[:, goes]
            rows, at, slope, to, reached = rows[goes], at[goes], slope[goes], to[goes], reached[goes]
        # Rounding may put a slope a hair below the one before; the order of a request's switches must hold.
        reached = np.maximum(slope, reached)
        found.thresholds.append(reached)
        found.rows.append(rows.copy())
        found.old.append(at)
        found.new.append(to)
        at = to
        columns = np.arange(len(rows))
        at_q, at_c = quality[at, columns], cost[at, columns]


def _least_slope(
    quality: FloatArray, cost: FloatArray, at_q: FloatArray, at_c: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.int16]]:
    """Least quality lost per USD saved among the cheaper models, and which; on a tie the cheapest, then the first; -1 for none."""
    slope, to = np.full(len(at_q), np.inf), np.full(len(at_q), -1, np.int16)
    to_cost = np.full(len(at_q), np.inf)
    lost, saved = np.empty_like(at_q), np.empty_like(at_q)
    for j in range(len(quality)):
        np.subtract(at_c, cost[j], out=saved)
        cheaper = saved > 0
        if not cheaper.any():
            continue
        np.subtract(at_q, quality[j], out=lost)
        np.divide(lost, saved, out=lost, where=cheaper)
        better = cheaper & ((lost < slope) | ((lost == slope) & (cost[j] < to_cost)))
        np.copyto(slope, lost, where=better)
        np.copyto(to_cost, cost[j], where=better)
        np.copyto(to, np.int16(j), where=better)
    return slope, to


def _climb_records(quality: FloatArray, cost: FloatArray) -> _Block:
    """Switches of `Capability` in one block; arrays are (m, rows). Starts at the cheapest, the better on a tie, then the first."""
    at_q, at_c, at = quality[0].copy(), cost[0].copy(), np.zeros(quality.shape[1], np.int16)
    for j in range(1, len(quality)):
        better = (cost[j] < at_c) | ((cost[j] == at_c) & (quality[j] > at_q))
        _move(better, at_q, at_c, at, quality[j], cost[j], j)
    found = _Block(at.copy(), [], [], [], [])
    rows = np.arange(quality.shape[1])
    while True:
        to_q, to_c = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
        to = np.full(len(rows), -1, np.int16)
        for j in range(len(quality)):
            able = quality[j] > at_q
            better = able & ((cost[j] < to_c) | ((cost[j] == to_c) & (quality[j] > to_q)))
            _move(better, to_q, to_c, to, quality[j], cost[j], j)
        goes = np.flatnonzero(to >= 0)
        if not len(goes):
            return found
        quality, cost, rows, at, to = quality[:, goes], cost[:, goes], rows[goes], at[goes], to[goes]
        # A floor equal to the predicted quality is still reached, so the switch comes at the next larger number.
        found.thresholds.append(np.nextafter(at_q[goes], np.inf))
        found.rows.append(rows.copy())
        found.old.append(at)
        found.new.append(to)
        at, at_q = to, to_q[goes]


def _move(
    where: npt.NDArray[np.bool_],
    at_q: FloatArray,
    at_c: FloatArray,
    at: npt.NDArray[np.int16],
    quality: FloatArray,
    cost: FloatArray,
    column: int,
) -> None:
    np.copyto(at_q, quality, where=where)
    np.copyto(at_c, cost, where=where)
    np.copyto(at, np.int16(column), where=where)
