"""Any objective over the splits of a sweep: its settings tried on the choose split, one picked there, that one judged on the report split.

A sweep walks one threshold of a cost-aware or capability objective exactly. Latency-aware and hybrid objectives have more numbers; here
each setting is decided by the objective itself, the object that also serves, and all strategies end in one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.routing import Circumstances, Objective, Policy, Queries
from workbench.tuning.evidence import DEFAULT_MARGIN, Comparison, Measured, SweepVerdict, compare, judge
from workbench.tuning.frontier import Frontier
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.selection import Replay, pick
from workbench.tuning.sweeps import SweepState

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Axis = Literal["cost_usd", "latency_s"]
"""What a strategy saves: money or seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What each setting realises on one split: means over its requests.

    Args:
        score, cost_usd, latency_s: shape (K,); seconds NaN where not measured.
        unserved: share of requests for which no model was within the limits, shape (K,).
    """

    score: FloatArray
    cost_usd: FloatArray
    latency_s: FloatArray
    unserved: FloatArray

    def along(self, axis: Axis) -> FloatArray:
        """What is spent, shape (K,)."""
        return self.cost_usd if axis == "cost_usd" else self.latency_s


@dataclass(frozen=True, eq=False)
class StrategyTrial:
    """A strategy with all its settings, the one that was picked, and what it is worth.

    Args:
        name: of the strategy.
        axis: what it saves.
        settings: objectives, in order.
        picked: index of the one taken on the choose split.
        state: the sweep whose predictor and splits were used.
        fallback: column that answers where no model is within the limits.
        n_bootstrap: resamples behind each interval.
    """

    name: str
    axis: Axis
    settings: tuple[Objective, ...]
    picked: int
    state: SweepState
    fallback: int
    n_bootstrap: int = 2000

    @property
    def objective(self) -> Objective:
        """The setting that was picked."""
        return self.settings[self.picked]

    @property
    def policy(self) -> Policy:
        """The object that would serve."""
        return self.with_objective(self.objective)

    def with_objective(self, objective: Objective) -> Policy:
        """The same predictor under another objective."""
        return Policy(self.replay.matrix.models, self.replay.predictor, objective)

    def chosen_for(self, prompt: str, task: str | None = None) -> str:
        """The model that the picked setting chooses for a prompt; the fallback's name where none is within the limits."""
        column = int(self.policy.choose(Queries.of([prompt], [task]))[0])
        return self.replay.matrix.models[self.fallback if column < 0 else column]

    @property
    def replay(self) -> Replay:
        """The predictor on the report split."""
        return self.state.report[self.state.chosen.name]

    @cached_property
    def points(self) -> Points:
        """Every setting on the report split."""
        return realised(self.settings, self.replay, self.fallback)

    @cached_property
    def choice(self) -> IntArray:
        """The picked setting's choices on the report split, the fallback standing in for none, shape (n,)."""
        return choices(self.objective, self.replay, self.fallback)

    @cached_property
    def comparison(self) -> Comparison:
        """The picked setting beside the best single model, in score, money and seconds."""
        return self._compared(self.replay.matrix)

    @cached_property
    def seconds(self) -> Comparison:
        """The same with seconds in the place of money, so that their difference has an interval too.

        Raises:
            ConfigError: seconds were not measured.
        """
        return self._compared(by_seconds(self.replay.matrix))

    @cached_property
    def verdict(self) -> SweepVerdict:
        """Whether it pays against the best single model by the sweep's rule; for a strategy that saves seconds, they stand for its cost."""
        found = self.comparison if self.axis == "cost_usd" else self.seconds
        models = self.replay.matrix.models
        shares = self.replay.matrix.shares(self.choice)
        return judge(found, self.name, models[self.state.single], list(shares.items()), DEFAULT_MARGIN)

    @property
    def optimism(self) -> float:
        """Score on the choose split minus score on the report split."""
        on_choose = self.state.choose[self.state.chosen.name]
        return float(realised([self.objective], on_choose, self.fallback).score[0]) - self.comparison.score.mean

    def _compared(self, matrix: OutcomeMatrix) -> Comparison:
        rng = np.random.default_rng([self.state.config.seed, 1])
        return compare(matrix, self.choice, self.state.single, rng, self.n_bootstrap)


def try_strategy(
    name: str, settings: Sequence[Objective], state: SweepState, *, by: Axis = "cost_usd", n_bootstrap: int = 2000
) -> StrategyTrial:
    """A strategy whose setting is picked on the choose split and judged on the report split.

    The rule is the sweep's: the best score that spends no more than the best single model, then the setting that spends least within a
    standard error of it. Where no model is within a setting's limits, the best single model answers, as the last of a chain would.

    Args:
        name: of the strategy.
        settings: objectives to try; `strategy_settings` makes them.
        state: of a finished sweep; its chosen predictor and its splits are used.
        by: what is spent.
        n_bootstrap: resamples behind each interval.

    Raises:
        ConfigError: no settings, or seconds are to be saved that were not measured.
    """
    if not settings:
        raise ConfigError(f"strategy {name!r} has no setting to try; give at least one objective")
    on_choose = state.choose[state.chosen.name]
    if by == "latency_s" and np.isnan(on_choose.matrix.latency_s).any():
        raise ConfigError(f"strategy {name!r} is to save seconds, but latency_s was not measured for every model")
    tried = _Tried(tuple(settings), on_choose, state.single, by)
    picked = tried.frontier.index_at(pick({name: tried}, state.single).threshold)
    return StrategyTrial(name, by, tuple(settings), picked, state, state.single, n_bootstrap)


def telling_row(trial: StrategyTrial, floor: float) -> int:
    """A row of the report split on which there is something to decide: the most models reach the floor, at different costs.

    Args:
        trial: whose predictions are looked at.
        floor: predicted score; where all models reach it there is more to explain than where one does.

    Returns:
        The first such row on which the choice is not the best predicted model, else the first such row.
    """
    quality = trial.replay.predictions.quality
    able = (quality >= floor).sum(axis=1)
    saves = trial.choice != quality.argmax(axis=1)
    return int(np.lexsort((~saves, -able))[0])


def choices(objective: Objective, replay: Replay, fallback: int) -> IntArray:
    """The objective's choices on a split, the fallback where it chooses nobody, shape (n,)."""
    policy = Policy(replay.matrix.models, replay.predictor, objective)
    chosen = policy.choose(replay.matrix.queries)
    return np.where(chosen < 0, fallback, chosen)


def realised(settings: Sequence[Objective], replay: Replay, fallback: int) -> Points:
    """What each setting realises on a split."""
    rows, matrix = np.arange(len(replay.matrix)), replay.matrix
    predictions, eligible = replay.predictions, np.ones(matrix.score.shape, np.bool_)
    given = Circumstances.of(matrix.queries)
    found = []
    for objective in settings:
        chosen = objective.choose(predictions, eligible, given)
        column = np.where(chosen < 0, fallback, chosen)
        parts = (matrix.score, matrix.cost_usd, matrix.latency_s)
        found.append([*(float(part[rows, column].mean()) for part in parts), float((chosen < 0).mean())])
    return Points(*np.array(found).T)


def by_seconds(matrix: OutcomeMatrix) -> OutcomeMatrix:
    """The matrix with seconds where money stands.

    Raises:
        ConfigError: seconds were not measured.
    """
    if np.isnan(matrix.latency_s).any():
        raise ConfigError("latency_s was not measured for every model; record with the recorder, or compare money only")
    return replace(matrix, cost_usd=matrix.latency_s)


@dataclass(frozen=True, eq=False)
class _Tried:
    """Settings on the choose split, numbered, as what the sweep's rule picks from; what is spent stands where money does."""

    settings: tuple[Objective, ...]
    replay: Replay
    fallback: int
    by: Axis

    @property
    def matrix(self) -> OutcomeMatrix:
        return self.replay.matrix if self.by == "cost_usd" else by_seconds(self.replay.matrix)

    @cached_property
    def frontier(self) -> Frontier:
        points = realised(self.settings, self.replay, self.fallback)
        return Frontier(np.arange(len(self.settings), dtype=np.float64), points.score, points.along(self.by))

    def choices_at(self, threshold: float) -> IntArray:
        return choices(self.settings[self.frontier.index_at(threshold)], self.replay, self.fallback)


def mean_of_singles(state: SweepState, axis: Axis) -> dict[str, tuple[Measured, Measured]]:
    """Model → what it spends and what it scores when it answers everything, on the report split, with intervals."""
    replay = state.report[state.chosen.name]
    matrix = replay.matrix if axis == "cost_usd" else by_seconds(replay.matrix)
    found = {}
    for column, name in enumerate(matrix.models):
        rng = np.random.default_rng([state.config.seed, 4, column])
        alone = compare(matrix, np.full(len(matrix), column, np.intp), state.single, rng, 500)
        found[name] = (alone.cost_usd, alone.score)
    return found


def middle_thresholds(frontier: Frontier, most: int = 100) -> list[float]:
    """Thresholds in the middle of the gaps of an exact frontier, at most so many, both ends kept."""
    return [frontier.middle(int(entry)) for entry in frontier.thinned(most)]
