"""Coverage of a comparison's intervals where money has long tails and groups are few, with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from simulated_matrices import matrix_of

from workbench.tuning.evidence import compare

GROUPS = (12, 40, 150, 600)
PER_GROUP = 3
Drawn = tuple[np.ndarray, np.ndarray, float]
"""Scores (n, 2), costs (n, 2), and the true difference of the second model and the first in what is looked at."""


def _by_group(rng: np.random.Generator, groups: int, sd: float) -> np.ndarray:
    return np.repeat(rng.normal(0.0, sd, groups), PER_GROUP)


def _normal_cost(rng: np.random.Generator, groups: int) -> Drawn:
    n = groups * PER_GROUP
    other = 10.0 + _by_group(rng, groups, 1.0) + rng.normal(0.0, 1.0, n)
    return np.full((n, 2), 0.5), np.column_stack([np.full(n, 10.0), other]), 0.0


def _lognormal_cost(sigma: float) -> Callable[[np.random.Generator, int], Drawn]:
    def draw(rng: np.random.Generator, groups: int) -> Drawn:
        n = groups * PER_GROUP
        both = rng.lognormal(-(sigma**2) / 2, sigma, (n, 2))
        both[:, 0] = 1.0  # a flat price against one by use
        return np.full((n, 2), 0.5), both, 0.0

    return draw


def _clustered_score(rng: np.random.Generator, groups: int) -> Drawn:
    n = groups * PER_GROUP
    chance = np.clip(0.6 + np.column_stack([_by_group(rng, groups, 0.2), _by_group(rng, groups, 0.2)]), 0, 1)
    return (rng.random((n, 2)) < chance).astype(float), np.ones((n, 2)), 0.0


def _rarely_different_score(rng: np.random.Generator, groups: int) -> Drawn:
    n = groups * PER_GROUP
    score = np.ones((n, 2))
    score[rng.random(n) < 0.03, 1] = 0.0
    return score, np.ones((n, 2)), -0.03


COSTS: dict[str, tuple[str, Callable[[np.random.Generator, int], Drawn]]] = {
    "cost difference, normal and clustered": ("cost_difference", _normal_cost),
    "cost difference, lognormal σ = 1": ("cost_difference", _lognormal_cost(1.0)),
    "cost difference, lognormal σ = 1.8": ("cost_difference", _lognormal_cost(1.8)),
    "score difference, clustered": ("score_difference", _clustered_score),
    "score difference, 3 % of answers differ": ("score_difference", _rarely_different_score),
}


def coverage_of(kind: str, samples: int) -> Iterator[dict[str, Any]]:
    """How often the interval of the second model against the first lies wholly below or above the truth, by number of groups."""
    name, draw = COSTS[kind]
    for groups in GROUPS:
        below = above = 0
        for seed in range(samples):
            rng = np.random.default_rng([list(COSTS).index(kind), groups, seed])
            score, cost, truth = draw(rng, groups)
            matrix = matrix_of([str(i) for i in range(len(score))], [None] * len(score), score, cost)
            labels = tuple(f"g{i // PER_GROUP}" for i in range(len(score)))
            matrix = replace(matrix, queries=replace(matrix.queries, groups=labels))
            found = getattr(compare(matrix, np.ones(len(score), np.intp), 0, rng, 500), name)
            below, above = below + (found.ci[1] < truth), above + (found.ci[0] > truth)
        yield {"world": kind, "groups": groups, "samples": samples, "below": below / samples, "above": above / samples}
