"""The front of a space: picked on the choose split by the sweep's rule, and decided again by the policies that would serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.core import WorkbenchError
from workbench.routing import LearnedPredictor, Policy, Predictions, Queries
from workbench.routing.predictors import State
from workbench.tuning.frontier import Frontier
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.selection import Pick, pick
from workbench.tuning.space.plan import Basis, Configuration
from workbench.tuning.space.scoring import Realised
from workbench.tuning.space.swept import pareto, thinned

IntArray = npt.NDArray[np.intp]
MOST_FINALISTS = 100
"""Configurations that the choose split chooses among: a front of more is thinned evenly over cost."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration with what it realises on the tune split's held-out predictions.

    Args:
        configuration: the point.
        found_by: "search", "exact sweep" or "list".
        tune: realised there.
    """

    configuration: Configuration
    found_by: str
    tune: Realised


@dataclass(frozen=True, slots=True)
class Finalist:
    """A proposal on the front, scored again on the choose split."""

    proposal: Proposal
    choose: Realised

    @property
    def configuration(self) -> Configuration:
        """The point."""
        return self.proposal.configuration


def goal_values(realised: Realised, goals: Sequence[str]) -> tuple[float, ...]:
    """What the goals measure, in their order; infinite seconds where somebody is not served."""
    seconds = {"latency": realised.latency_s, "latency-p95": realised.latency_p95_s}
    known = {"score": realised.score, "cost": realised.cost_usd}
    return tuple(known[goal] if goal in known else _or_infinite(seconds[goal]) for goal in goals)


def _or_infinite(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def front_of(proposals: Sequence[Proposal], goals: Sequence[str]) -> list[Proposal]:
    """The proposals that serve every request and that no other one beats in all goals, at most `MOST_FINALISTS`, by rising cost."""
    able = [proposal for proposal in proposals if proposal.tune.unserved == 0]
    if not able:
        return []
    signs = np.array([-1.0 if goal == "score" else 1.0 for goal in goals])
    values = signs * np.array([goal_values(proposal.tune, goals) for proposal in able])
    cost = np.array([proposal.tune.cost_usd for proposal in able])
    return [able[row] for row in thinned(pareto(values), cost, MOST_FINALISTS)]


@dataclass(frozen=True, eq=False)
class Settled:
    """Finalists on the choose split as settings that the sweep's rule picks from; entry k is finalist k.

    Args:
        matrix: the choose split.
        finalists: by rising cost on it.
        choices: of each, shape (finalists, n).
    """

    matrix: OutcomeMatrix
    finalists: tuple[Finalist, ...]
    choices: IntArray

    @property
    def frontier(self) -> Frontier:
        """What each finalist realises; its number stands in for a threshold."""
        score = np.array([f.choose.score for f in self.finalists])
        cost = np.array([f.choose.cost_usd for f in self.finalists])
        return Frontier(np.arange(len(self.finalists), dtype=np.float64), score, cost)

    def choices_at(self, threshold: float) -> IntArray:
        """Choices of the finalist with that number."""
        return np.asarray(self.choices[self.frontier.index_at(threshold)])

    def picked(self, single: int, rule: str, spend_usd: float | None) -> tuple[Finalist, Pick]:
        """The finalist that the rule takes."""
        found = pick({"space": self}, single, rule, spend_usd)
        return self.finalists[self.frontier.index_at(found.threshold)], found


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A predictor that has already said what it says of some requests."""

    predictor: LearnedPredictor
    predictions: Predictions

    @property
    def kind(self) -> str:
        """The predictor's."""
        return self.predictor.kind

    def fit(self, *_: object) -> Known:
        """Itself: it is fitted."""
        return self

    def predict(self, queries: Queries) -> Predictions:
        """What was said of these requests."""
        assert len(queries) == len(self.predictions.quality), "these are other requests"
        return self.predictions

    def to_state(self) -> State:
        """The predictor's."""
        return self.predictor.to_state()


def decide_again(
    matrix: OutcomeMatrix,
    configurations: Sequence[Configuration],
    predictors: Mapping[Basis, LearnedPredictor],
    predictions: Mapping[Basis, Predictions],
    choices: IntArray,
) -> None:
    """Let each configuration's policy decide the rows of a split again.

    Args:
        matrix: the split.
        configurations: whose choices they are.
        predictors, predictions: by basis; predictions for the rows of the split.
        choices: of the evaluator, shape (configurations, n).

    Raises:
        WorkbenchError: one choice is another one.
    """
    for configuration, chosen in zip(configurations, choices, strict=True):
        known = Known(predictors[configuration.basis], predictions[configuration.basis])
        decided = Policy(matrix.models, known, configuration.objective).choose(matrix.queries)
        if (decided != chosen).any():
            row = int(np.flatnonzero(decided != chosen)[0])
            raise WorkbenchError(
                f"the policy {configuration} chooses column {decided[row]} for prompt {matrix.prompt_ids[row]!r}, the evaluation of the "
                f"space column {chosen[row]}: one of them is wrong, and nothing may be concluded; please report it"
            )


def with_nobody(matrix: OutcomeMatrix, choice: IntArray) -> tuple[OutcomeMatrix, IntArray]:
    """A split and choices on it in which an unserved request (-1) has a column: no score, no cost, no known latency."""
    if (choice >= 0).all():
        return matrix, choice
    none, n = np.zeros((len(matrix), 1)), len(matrix.models)
    beside = replace(
        matrix,
        models=(*matrix.models, "nobody"),
        score=np.hstack([matrix.score, none]),
        cost_usd=np.hstack([matrix.cost_usd, none]),
        latency_s=np.hstack([matrix.latency_s, np.full_like(none, np.nan)]),
        samples=np.concatenate([matrix.samples, np.zeros((len(matrix), 1, matrix.samples.shape[2]))], axis=1),
    )
    return beside, np.where(choice < 0, n, choice)
