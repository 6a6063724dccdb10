"""Choosing a policy and its threshold on the choose split.

The rule: the best mean score at no more than the best single model's cost, then, of all settings within one standard error of it,
the cheapest. The standard error is that of the paired difference to the best single model, clustered by group. The threshold is
put in the middle of the gap in which nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation.statistics import clustered_se
from workbench.routing import Capability, CostAware, LearnedPredictor, Objective, Policy, Predictions
from workbench.tuning.frontier import Frontier, Switches, capability_switches, cost_aware_switches
from workbench.tuning.matrix import OutcomeMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

RULE = (
    "best score on the choose split at no more than the best single model's cost, then the cheapest setting within one standard "
    "error (paired difference to the best single model, clustered by group); threshold in the middle of its gap"
)


@dataclass(frozen=True, slots=True)
class SweptObjective:
    """An objective with one threshold and the function that finds all its switches."""

    build: Callable[[float], Objective]
    switches: Callable[[FloatArray, FloatArray], Switches]
    threshold_unit: str


SWEPT = {
    "cost-aware": SweptObjective(CostAware, cost_aware_switches, "λ, score per USD"),
    "capability": SweptObjective(Capability, capability_switches, "least predicted score"),
}


def swept_objective(kind: str) -> SweptObjective:
    """The objective of that name.

    Raises:
        ConfigError: unknown name.
    """
    if kind not in SWEPT:
        raise ConfigError(f"unknown objective {kind!r} for a sweep: {did_you_mean(kind, SWEPT)}")
    return SWEPT[kind]


@dataclass(frozen=True, eq=False)
class Replay:
    """A fitted predictor on the rows of one split: its predictions, all its switches, and what each threshold realises."""

    matrix: OutcomeMatrix
    predictor: LearnedPredictor
    objective: SweptObjective

    @cached_property
    def predictions(self) -> Predictions:
        """Predictions for every row."""
        return self.predictor.predict(self.matrix.queries)

    @cached_property
    def switches(self) -> Switches:
        """Every change of model over the whole range of the threshold."""
        return self.objective.switches(self.predictions.quality, self.predictions.cost_usd)

    @cached_property
    def frontier(self) -> Frontier:
        """Realised score, cost and latency at every threshold."""
        return Frontier.of(self.switches, self.matrix.score, self.matrix.cost_usd, self.matrix.latency_s)

    def policy_at(self, threshold: float) -> Policy:
        """The policy with that threshold: the object that also serves."""
        return Policy(self.matrix.models, self.predictor, self.objective.build(threshold))

    def choices_at(self, threshold: float) -> IntArray:
        """What that policy chooses for each row, shape (n,)."""
        eligible = np.ones(self.matrix.score.shape, np.bool_)
        return self.objective.build(threshold).choose(self.predictions, eligible)


@dataclass(frozen=True, slots=True)
class Pick:
    """A policy and its threshold, with what they realised on the choose split."""

    name: str
    threshold: float
    score: float
    cost_usd: float


def pick(replays: dict[str, Replay], single: int) -> Pick:
    """The setting that the rule takes over all of `replays`, which share one choose split.

    Args:
        replays: name → replay on the choose split; on equal cost and score the first name wins.
        single: column of the best single model.
    """
    matrix = next(iter(replays.values())).matrix
    budget = float(matrix.cost_usd[:, single].mean()) * (1 + 1e-9)
    affordable = {name: np.flatnonzero(replay.frontier.cost_usd <= budget) for name, replay in replays.items()}
    affordable = {name: entries for name, entries in affordable.items() if len(entries)}
    if not affordable:
        return _cheapest(replays)
    best = max(affordable, key=lambda name: replays[name].frontier.score[affordable[name]].max())
    entries = affordable[best]
    top = int(entries[replays[best].frontier.score[entries].argmax()])
    error = _standard_error(replays[best], top, single)
    enough = replays[best].frontier.score[top] - error
    within = {n: e[replays[n].frontier.score[e] >= enough] for n, e in affordable.items()}
    return _cheapest({n: replays[n] for n, e in within.items() if len(e)}, within)


def _standard_error(replay: Replay, entry: int, single: int) -> float:
    matrix = replay.matrix
    choice = replay.choices_at(replay.frontier.middle(entry))
    difference = matrix.score[np.arange(len(matrix)), choice] - matrix.score[:, single]
    error = clustered_se(difference, matrix.groups)
    return 0.0 if np.isnan(error) else error


def _cheapest(replays: dict[str, Replay], within: dict[str, IntArray] | None = None) -> Pick:
    """The cheapest entry, the better on a tie, then the first name."""
    picks: list[Pick] = []
    for name, replay in replays.items():
        frontier = replay.frontier
        entries = np.arange(len(frontier)) if within is None else within[name]
        order = np.lexsort((-frontier.score[entries], frontier.cost_usd[entries]))
        entry = int(entries[order[0]])
        picks.append(Pick(name, frontier.middle(entry), float(frontier.score[entry]), float(frontier.cost_usd[entry])))
    return min(picks, key=lambda p: (p.cost_usd, -p.score))


def trivial_predictors(tasks: Sequence[str | None]) -> tuple[str, ...]:
    """The baselines that predict: prompt length, and the task label where there are labels."""
    return ("prompt-length", "task-mean") if _has_tasks(tasks) else ("prompt-length",)


def default_predictors(tasks: Sequence[str | None]) -> tuple[str, ...]:
    """The predictors of a sweep that names none; those that read the task label only where there are labels."""
    by_task = ("ridge-task",) if _has_tasks(tasks) else ()
    return (*trivial_predictors(tasks), *by_task, "knn", "ridge", "blend")


def _has_tasks(tasks: Sequence[str | None]) -> bool:
    return len({task for task in tasks if task is not None}) > 1
