"""Choosing a policy and its threshold on the choose split.

The rule: the best mean score at no more than the best single model's cost, then, of all settings within one standard error of it,
the cheapest. The standard error is that of the paired difference to the best single model, clustered by group. The threshold is
put in the middle of the gap in which nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation.statistics import clustered_se
from workbench.routing import Capability, CostAware, LearnedPredictor, Objective, Policy, Predictions
from workbench.tuning.evidence import hull_of_singles
from workbench.tuning.frontier import Frontier, Switches, capability_switches, cost_aware_switches
from workbench.tuning.matrix import OutcomeMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

RULE = (
    "best score on the choose split at no more than the best single model's cost, then the cheapest setting within one standard "
    "error (paired difference to the best single model, clustered by group); threshold in the middle of its gap"
)
TRADE_OFF_RULE = (
    "the setting whose score on the choose split is furthest above what any mix of single models reaches at the same mean cost; "
    "threshold in the middle of its gap"
)


def rule_text(rule: str, spend_usd: float | None) -> str:
    """The rule in a sentence."""
    text = TRADE_OFF_RULE if rule == "trade-off" else RULE
    if spend_usd is None:
        return text
    if rule != "trade-off":
        text = "best score on the choose split within the spending limit; threshold in the middle of its gap"
    return f"{text}; at most {1000 * spend_usd:g} USD per 1,000 requests, three standard errors kept free below it"


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


class Settings(Protocol):
    """What one is picked from: settings of a policy on one split, numbered as the entries of a frontier."""

    @property
    def matrix(self) -> OutcomeMatrix:
        """The split."""
        ...

    @property
    def frontier(self) -> Frontier:
        """What each entry realises."""
        ...

    def choices_at(self, threshold: float) -> IntArray:
        """Choices at a threshold of the frontier, shape (n,)."""
        ...


@dataclass(frozen=True, slots=True)
class Pick:
    """A policy and its threshold, with what they realised on the choose split."""

    name: str
    threshold: float
    score: float
    cost_usd: float


def pick(replays: Mapping[str, Settings], single: int, rule: str = "no-worse", spend_usd: float | None = None) -> Pick:
    """The setting that the rule takes over all of `replays`, which share one choose split.

    Args:
        replays: name → replay on the choose split; on equal cost and score the first name wins.
        single: column of the best single model.
        rule: "no-worse" (`RULE`) or "trade-off": furthest above the mixes of single models (`TRADE_OFF_RULE`).
        spend_usd: most mean USD a request; three standard errors of the cost are kept free below it.
    """
    matrix = next(iter(replays.values())).matrix
    if rule == "trade-off" or spend_usd is not None:
        return _furthest_above_mixes(replays, spend_usd, rule)
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


def _furthest_above_mixes(replays: Mapping[str, Settings], spend_usd: float | None, rule: str) -> Pick:
    """The entry with the largest score above the singles' hull at its cost; with a limit and rule "no-worse", the best score within it."""
    picks: list[tuple[float, Pick]] = []
    for name, replay in replays.items():
        frontier, matrix = replay.frontier, replay.matrix
        shape = (len(frontier), len(matrix.models))
        score, cost = (np.broadcast_to(a.mean(axis=0), shape) for a in (matrix.score, matrix.cost_usd))
        mixes = hull_of_singles(score, cost, frontier.cost_usd) if rule == "trade-off" else np.zeros(len(frontier))
        worth = frontier.score - mixes
        worth = np.where(np.isnan(worth), -np.inf, worth)
        if spend_usd is not None:
            slack = np.array([_cost_error(replay, entry) for entry in _near(frontier, spend_usd)])
            room = spend_usd - 3.0 * float(slack.max(initial=0.0))
            worth = np.where(frontier.cost_usd <= room, worth, -np.inf)
        entry = int(worth.argmax())
        if np.isfinite(worth[entry]):
            found = Pick(name, frontier.middle(entry), float(frontier.score[entry]), float(frontier.cost_usd[entry]))
            picks.append((float(worth[entry]), found))
    return max(picks, key=lambda p: p[0])[1] if picks else _cheapest(replays)


def _near(frontier: Frontier, spend_usd: float) -> list[int]:
    """The dearest entry within the limit."""
    within = np.flatnonzero(frontier.cost_usd <= spend_usd)
    return [int(within[frontier.cost_usd[within].argmax()])] if len(within) else []


def _cost_error(replay: Settings, entry: int) -> float:
    matrix = replay.matrix
    cost = matrix.cost_usd[np.arange(len(matrix)), replay.choices_at(replay.frontier.middle(entry))]
    error = clustered_se(cost, matrix.groups)
    return 0.0 if np.isnan(error) else error


def _standard_error(replay: Settings, entry: int, single: int) -> float:
    matrix = replay.matrix
    choice = replay.choices_at(replay.frontier.middle(entry))
    difference = matrix.score[np.arange(len(matrix)), choice] - matrix.score[:, single]
    error = clustered_se(difference, matrix.groups)
    return 0.0 if np.isnan(error) else error


def _cheapest(replays: Mapping[str, Settings], within: dict[str, IntArray] | None = None) -> Pick:
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
    """The predictor of a sweep that names none: the stack, which weighs the simple ones on held-out rows."""
    del tasks
    return ("stack",)


def _has_tasks(tasks: Sequence[str | None]) -> bool:
    return len({task for task in tasks if task is not None}) > 1
