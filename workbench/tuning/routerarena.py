"""RouterArena's table again: single models, the oracle and our policy on its public rows, with its score.

Source: Lu et al., arXiv 2510.00202; rows: https://github.com/RouteWorks/RouterArena (Apache-2.0), the public 809 questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.embedding import Embedder
from workbench.evaluation.statistics import percentile_interval, resampled_weights
from workbench.routing import CostAware, make_predictor
from workbench.routing.predictors.folds import FOLDS, folds_of
from workbench.tuning.frontier import Frontier, cost_aware_switches
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.sweeps import EmbeddedTexts

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

MOST_USD_PER_1K = 200.0
LEAST_USD_PER_1K = 0.0044
COST_WEIGHT = 0.1
DRAWS = 2000

PUBLISHED_NOTE = (
    "leaderboard of the repository's README in November 2025 (commit 0a6c872), on 8,400 questions and each router's own pool of "
    "models; neither the rows nor the models are those measured here"
)
PUBLISHED: Mapping[str, float] = {
    "MIRT-BERT": 66.89,
    "Azure": 66.66,
    "NIRT-BERT": 66.12,
    "GPT-5": 64.32,
    "vLLM-SR": 64.32,
    "CARROT": 63.87,
    "NotDiamond": 63.00,
    "MLP": 57.56,
    "GraphRouter": 57.22,
    "KNN": 55.48,
    "RouteLLM": 48.07,
    "RouterDC": 33.75,
}
"""Router → arena score in percent."""
CONTAMINATION_NOTE = (
    "the answers to the public questions are in the repository: issue #190 there shows an entry of which 294 of 809 public choices were "
    "revised so that the cheapest right model was taken 168 instead of 21 times (p about 1e-29). A score on these rows says nothing about "
    "a router that could look them up; ours learns from four fifths of them and is judged on the last"
)


def arena_score(accuracy: float, usd_per_1k: float) -> float:
    """RouterArena's score, 0..1: a weighted harmonic mean of accuracy and log-cost in which cost weighs 0.1.

    C = (log₂ 200 − log₂ c) / (log₂ 200 − log₂ 0.0044), S = 1.1 · A · C / (0.1 · A + C), with c in USD per 1,000 questions, kept
    between 0.0044 and 200.

    Args:
        accuracy: mean score, 0..1.
        usd_per_1k: above 0.

    Raises:
        ConfigError: outside of these ranges.

    Source: `router_evaluation/compute_scores.py` of RouterArena.

    Example:
        >>> round(arena_score(0.5, 0.0044), 4), arena_score(0.5, 200.0), round(arena_score(1.0, 0.0044), 4)
        (0.5238, 0.0, 1.0)
    """
    if not (0 <= accuracy <= 1 and usd_per_1k > 0):
        raise ConfigError(f"accuracy {accuracy} and {usd_per_1k} USD per 1,000: 0..1 and above 0 are needed")
    cost = min(max(usd_per_1k, LEAST_USD_PER_1K), MOST_USD_PER_1K)
    cheapness = math.log2(MOST_USD_PER_1K / cost) / math.log2(MOST_USD_PER_1K / LEAST_USD_PER_1K)
    weighted = COST_WEIGHT * accuracy + cheapness
    return (1 + COST_WEIGHT) * accuracy * cheapness / weighted if weighted > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ArenaRow:
    """One line of the table.

    Args:
        name: model or policy.
        accuracy, accuracy_ci: mean score, 0..1.
        usd_per_1k: mean cost.
        score, score_ci: RouterArena's, 0..1.
        shares: model → share of the questions it answered.
    """

    name: str
    accuracy: float
    accuracy_ci: tuple[float, float]
    usd_per_1k: float
    score: float
    score_ci: tuple[float, float]
    shares: dict[str, float]


def arena_row(name: str, matrix: OutcomeMatrix, choice: IntArray, draws: int = DRAWS) -> ArenaRow:
    """The line of a policy that chose these columns; 95 % by resampling groups of questions."""
    rows = np.arange(len(matrix))
    score, cost = matrix.score[rows, choice], matrix.cost_usd[rows, choice]
    drawn = _drawn_means(np.stack([score, cost], axis=1), matrix, draws)
    scores = [arena_score(a, 1000 * c) for a, c in drawn.tolist()]
    accuracy, usd_per_1k = float(score.mean()), 1000 * float(cost.mean())
    return ArenaRow(
        name=name,
        accuracy=accuracy,
        accuracy_ci=percentile_interval(drawn[:, 0]),
        usd_per_1k=usd_per_1k,
        score=arena_score(accuracy, usd_per_1k),
        score_ci=percentile_interval(scores),
        shares=matrix.shares(choice),
    )


def score_difference(matrix: OutcomeMatrix, choice: IntArray, other: IntArray, draws: int = DRAWS) -> dict[str, Any]:
    """Arena score of one choice − that of another, with the paired 95 % interval."""
    rows = np.arange(len(matrix))
    columns = [values[rows, chosen] for chosen in (choice, other) for values in (matrix.score, matrix.cost_usd)]
    both = np.stack(columns, axis=1)

    def difference(means: FloatArray) -> float:
        return arena_score(means[0], 1000 * means[1]) - arena_score(means[2], 1000 * means[3])

    drawn = [difference(means) for means in _drawn_means(both, matrix, draws)]
    return {"difference": float(difference(both.mean(axis=0))), "ci": list(percentile_interval(drawn))}


def oracle_choice(matrix: OutcomeMatrix) -> IntArray:
    """The cheapest of the models with the best score on each question, shape (n,): an upper bound, flattered by lucky answers."""
    best = matrix.score == matrix.score.max(axis=1, keepdims=True)
    chosen: IntArray = np.where(best, matrix.cost_usd, np.inf).argmin(axis=1)
    return chosen


def policy_choice(
    kind: str, matrix: OutcomeMatrix, embedder: Embedder, progress: Callable[[str], None] = lambda line: None
) -> IntArray:
    """What a cost-aware policy chooses for each question when neither predictor nor λ has seen it, shape (n,).

    Of five folds one is held out in turn, one chooses λ (the best arena score of all thresholds), three are learned from.
    """
    known, folds = EmbeddedTexts(embedder, matrix.queries.texts), folds_of(matrix.queries)
    choice = np.empty(len(matrix), np.intp)
    for held in range(FOLDS):
        progress(f"{kind}: fold {held + 1} of {FOLDS}")
        chooses = (held + 1) % FOLDS
        learn = matrix.take((folds != held) & (folds != chooses))
        tune, judged = matrix.take(folds == chooses), matrix.take(folds == held)
        predictor = make_predictor(kind, known).fit(learn.queries, learn.score, learn.cost_usd, learn.latency_s)
        predicted = predictor.predict(tune.queries)
        switches = cost_aware_switches(predicted.quality, predicted.cost_usd)
        frontier = Frontier.of(switches, tune.score, tune.cost_usd)
        pairs = zip(frontier.score.tolist(), frontier.cost_usd.tolist(), strict=True)
        best = int(np.argmax([arena_score(a, 1000 * c) for a, c in pairs]))
        objective = CostAware(frontier.middle(best))
        eligible = np.ones(judged.score.shape, np.bool_)
        choice[folds == held] = objective.choose(predictor.predict(judged.queries), eligible)
    return choice


def _drawn_means(columns: FloatArray, matrix: OutcomeMatrix, draws: int) -> FloatArray:
    """Means of every column in every resample of groups, shape (draws, columns)."""
    _, group = np.unique(np.array(matrix.groups), return_inverse=True)
    chunks = resampled_weights(int(group.max()) + 1, draws, np.random.default_rng(1))
    return np.concatenate([weights[:, group] @ columns / weights[:, group].sum(axis=1)[:, None] for weights in chunks])
