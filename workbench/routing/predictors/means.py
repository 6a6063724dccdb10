"""Means by task, shrunken towards the mean of all tasks as far as the data cannot tell them apart (empirical Bayes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from workbench.routing.predictors.predictor import State
from workbench.routing.queries import FloatArray, IntArray, Queries


@dataclass(frozen=True, slots=True, eq=False)
class TaskMeans:
    """A table of means, one row a known task and a last row for every other one.

    Args:
        tasks: names of the known tasks.
        table: shape (len(tasks) + 1, k).
    """

    tasks: tuple[str, ...]
    table: FloatArray
    _rows: dict[str | None, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", task_rows(self.tasks))
        self.table.setflags(write=False)  # one request gets a view of it

    @classmethod
    def fit(cls, queries: Queries, values: FloatArray, *, pooled: bool) -> Self:
        """Shrunken means of `values` (n, k), NaN where not measured; a column without any value stays NaN.

        A task with n rows keeps the share n / (n + s²/τ²) of its own deviation; s² is the variance within tasks, τ² the
        variance between them by the method of moments (never below 0: then every task gets the overall mean).

        Args:
            queries: where the tasks are.
            values: what is averaged.
            pooled: one share for all columns (they are on one scale) or one a column.
        """
        tasks = tuple(sorted({task for task in queries.tasks if task is not None}))
        codes = task_codes(queries, tasks)
        columns = [_by_task(values[:, j], codes, len(tasks)) for j in range(values.shape[1])]
        shares = [_pseudo_counts([column]) for column in columns]
        if pooled:
            shares = [_pseudo_counts(columns)] * len(columns)
        return cls(tasks, np.column_stack([column.shrunken(k0) for column, k0 in zip(columns, shares, strict=True)]))

    def look_up(self, queries: Queries) -> FloatArray:
        """The row of each request's task, shape (n, k)."""
        return picked(self.table, codes_of(self._rows, queries.tasks, len(self.tasks)))

    def to_state(self) -> State:
        """Plain values and arrays."""
        return State({"tasks": list(self.tasks)}, {"table": self.table})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The table again."""
        return cls(tuple(state.settings["tasks"]), state.arrays["table"])


def task_codes(queries: Queries, tasks: tuple[str, ...]) -> IntArray:
    """Row number of each request's task in `tasks`; `len(tasks)` for an unknown one."""
    return np.array(codes_of(task_rows(tasks), queries.tasks, len(tasks)), np.intp)


def task_rows(tasks: tuple[str, ...]) -> dict[str | None, int]:
    """Task → its row number."""
    return {task: row for row, task in enumerate(tasks)}


def codes_of(rows: Mapping[str | None, int], tasks: Sequence[str | None], unknown: int) -> list[int]:
    """Row number of each task."""
    return [rows.get(task, unknown) for task in tasks]


def picked(table: FloatArray, rows: list[int]) -> FloatArray:
    """These rows of a table, shape (n, k). A single one is a view, which takes a fifth of the time."""
    if len(rows) == 1:
        return table[rows[0] : rows[0] + 1]
    return table[rows]


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """Count, mean and squared deviations of one column by task."""

    overall: float
    count: FloatArray
    mean: FloatArray
    squares_within: float

    def shrunken(self, pseudo_count: float) -> FloatArray:
        share = np.zeros_like(self.count)
        np.divide(self.count, self.count + pseudo_count, out=share, where=self.count > 0)
        return np.append(self.overall + share * (self.mean - self.overall), self.overall)


def _by_task(values: FloatArray, codes: IntArray, n_tasks: int) -> _Column:
    measured = ~np.isnan(values)
    if not measured.any():
        return _Column(np.nan, np.zeros(n_tasks), np.zeros(n_tasks), 0.0)
    values, codes = values[measured], codes[measured]
    overall = float(values.mean())
    known = codes < n_tasks
    count = np.bincount(codes[known], minlength=n_tasks).astype(np.float64)
    total = np.bincount(codes[known], weights=values[known], minlength=n_tasks)
    mean = np.divide(total, count, out=np.full(n_tasks, overall), where=count > 0)
    within = float(((values[known] - mean[codes[known]]) ** 2).sum())
    return _Column(overall, count, mean, within)


def _pseudo_counts(columns: list[_Column]) -> float:
    """s²/τ²: how many rows the overall mean is worth. 0 keeps every task's mean, infinity none."""
    squares = between = freedom_within = freedom_between = spread = 0.0
    for column in columns:
        n, groups = column.count.sum(), int((column.count > 0).sum())
        if groups < 2:
            continue
        grand = float((column.count * column.mean).sum() / n)
        squares += column.squares_within
        between += float((column.count * (column.mean - grand) ** 2).sum())
        freedom_within += n - groups
        freedom_between += groups - 1
        spread += float(n - (column.count**2).sum() / n)
    if freedom_between == 0:
        return np.inf
    within = squares / freedom_within if freedom_within > 0 else 0.0
    tau2 = (between - freedom_between * within) / spread
    return float(within / tau2) if tau2 > 0 else np.inf
