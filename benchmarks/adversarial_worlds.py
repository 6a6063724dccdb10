"""Worlds made to mislead a sweep, with a known truth: what a recommendation is tested on in `route_or_not.py`.

Each world draws *seen* requests, which a sweep may use, and *fresh* ones of the same kind, with the true chance of a right answer
and the true mean cost of each. Groups of fresh requests never occur among the seen ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from simulated_matrices import DIM, FAMILIES, SimulatedEmbedder, matrix_of, simulated

from workbench.routing import Queries
from workbench.tuning import OutcomeMatrix


@dataclass(frozen=True, eq=False)
class World:
    """What a sweep sees, and what is true.

    Args:
        seen: the drawn matrix.
        embedder: for the texts of both.
        fresh: requests that the recommendation is judged on.
        chance: true expected score of each fresh request, shape (n_fresh, m).
        cost_usd: true expected cost of each fresh request, shape (n_fresh, m).
    """

    seen: OutcomeMatrix
    embedder: SimulatedEmbedder
    fresh: Queries
    chance: np.ndarray
    cost_usd: np.ndarray


def world_of(kind: str, n: int, m: int, seed: int, n_fresh: int) -> World:
    """A world of a kind in `WORLDS` with n seen requests and m models; the same arguments give the same world."""
    rng = np.random.default_rng([list(WORLDS).index(kind), n, m, seed])
    return WORLDS[kind](rng, n, m, n_fresh, seed)


def _family(name: str) -> Callable[[np.random.Generator, int, int, int, int], World]:
    def make(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
        world = simulated(name, n + n_fresh, m, seed, labels=seed % 2 == 0)
        fresh = np.arange(n, n + n_fresh)
        cost = world.matrix.cost_usd[fresh]
        return World(
            world.matrix.take(slice(0, n)), world.embedder, world.matrix.queries[fresh], world.chance[fresh], cost
        )

    return make


def _drawn(
    rng: np.random.Generator,
    n: int,
    logit: np.ndarray,
    expected_usd: np.ndarray,
    drawn_usd: np.ndarray,
    vectors: np.ndarray,
    tasks: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    uniform: np.ndarray | None = None,
) -> World:
    """The world of true logits and costs; `uniform` decides the scores where they are not independent."""
    chance = 1.0 / (1.0 + np.exp(-logit))
    score = ((rng.random(chance.shape) if uniform is None else uniform) < chance).astype(float)
    length = rng.integers(4, 60, len(chance))
    texts = [f"{i} {'x' * size}" for i, size in enumerate(length.tolist())]
    names = [None] * len(chance) if tasks is None else [f"task{t}" for t in tasks.tolist()]
    matrix = matrix_of(texts, names, score, drawn_usd)
    if groups is not None:
        labels = tuple(f"g{g}" for g in groups.tolist())
        queries = replace(matrix.queries, groups=labels)
        matrix = replace(matrix, queries=queries)
    fresh = np.arange(n, len(chance))
    return World(
        matrix.take(slice(0, n)), SimulatedEmbedder(vectors), matrix.queries[fresh], chance[fresh], expected_usd[fresh]
    )


def _vectors(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, DIM))


def _prices(rng: np.random.Generator, m: int, spread: float = 1.2) -> np.ndarray:
    return 1e-4 * np.sort(rng.lognormal(0.0, spread, m))


def _heavy_costs(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """Models that always agree, at nearly equal true costs, each request's cost lognormal with σ = 1.8: money alone decides."""
    total, sigma = n + n_fresh, 1.8
    price = 1e-3 * rng.lognormal(0.0, 0.05, m)
    expected = np.broadcast_to(price, (total, m)).copy()
    drawn = expected * rng.lognormal(-(sigma**2) / 2, sigma, (total, m))
    return _drawn(
        rng, n, np.full((total, m), 0.6), expected, drawn, _vectors(rng, total), uniform=_agreeing(rng, total, m)
    )


def _dearer_specialists(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """Each task has its own best model, so routing gains much; the best single model is truly the cheapest, by 3 %, with heavy tails."""
    total, sigma = n + n_fresh, 1.8
    task = rng.integers(0, 2 * m, total)
    logit = np.where(task[:, None] // 2 == np.arange(m), 2.5, 0.0)
    logit[:, 0] += 0.4
    expected = np.broadcast_to(1e-3 * np.where(np.arange(m) == 0, 1.0, 1.03), (total, m)).copy()
    drawn = expected * rng.lognormal(-(sigma**2) / 2, sigma, (total, m))
    return _drawn(rng, n, logit, expected, drawn, _vectors(rng, total), tasks=task)


def _rare_dear(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """Models that agree, and all but one look cheap: 1 request in 300 costs 400 times as much, which makes them dearer on the whole."""
    total = n + n_fresh
    rare = 1 / 300
    usual = 1e-3 * np.concatenate([[1.0], rng.uniform(0.5, 0.9, m - 1)])
    often = rng.random((total, m)) < rare
    often[:, 0] = False
    drawn = usual * np.where(often, 400.0, 1.0)
    expected = np.broadcast_to(usual * np.where(np.arange(m) == 0, 1.0, 1 + 399 * rare), (total, m)).copy()
    return _drawn(
        rng, n, np.full((total, m), 0.8), expected, drawn, _vectors(rng, total), uniform=_agreeing(rng, total, m)
    )


def _agreeing(rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """One number a request for all models: at equal chances they are right and wrong together."""
    return np.broadcast_to(rng.random((n, 1)), (n, m))


def _sessions(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int, sizes: str = "equal") -> World:
    """40 sessions; a session's requests lie together and share luck with each model that no other session has."""
    n_groups = 40
    share = np.full(n_groups, 1 / n_groups) if sizes == "equal" else 1 / np.arange(1, n_groups + 1)
    seen = np.concatenate([np.arange(n_groups), rng.choice(n_groups, n - n_groups, p=share / share.sum())])
    fresh = n_groups + np.arange(n_fresh) // 5
    group = np.concatenate([seen, fresh])
    n_all = int(group.max()) + 1
    homes = rng.standard_normal((n_all, DIM)) * 1.5
    vectors = homes[group] + 0.5 * rng.standard_normal((len(group), DIM))
    logit = 0.4 + 0.1 * rng.standard_normal(m) + rng.normal(0.0, 1.5, (n_all, m))[group]
    cost = _prices(rng, m) * rng.lognormal(0.0, 0.5, n_all)[group][:, None]
    return _drawn(rng, n, logit, cost, cost, vectors, groups=group)


def _uneven_sessions(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """The same with sizes like 1, 1/2, 1/3, …: the largest session has a quarter of all requests."""
    return _sessions(rng, n, m, n_fresh, seed, "uneven")


def _label_noise(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """Tasks differ, and three labels in ten are drawn by a coin: the score is the label, so the truth is the noisy chance."""
    total, n_tasks = n + n_fresh, 8
    task = rng.integers(0, n_tasks, total)
    clean = 1.0 / (1.0 + np.exp(-(0.5 + rng.normal(0, 0.6, (n_tasks, m))[task])))
    noisy = 0.7 * clean + 0.15
    cost = np.broadcast_to(_prices(rng, m), (total, m)) * rng.lognormal(0.0, 0.3, (total, 1))
    return _drawn(rng, n, np.log(noisy / (1 - noisy)), cost, cost, _vectors(rng, total), tasks=task)


def _tiny_tasks(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """A label for every three requests that says nothing: means of a task are luck."""
    total = n + n_fresh
    task = rng.integers(0, max(n // 3, 2), total)
    logit = 0.5 + 0.05 * rng.standard_normal(m) + rng.standard_normal((total, 1))
    cost = np.broadcast_to(_prices(rng, m, 0.3), (total, m)).copy()
    return _drawn(rng, n, logit, cost, cost, _vectors(rng, total), tasks=task)


def _copies(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """Models that answer almost alike: one common number decides in nine of ten requests, skills differ by 1 %."""
    total = n + n_fresh
    common = np.broadcast_to(rng.random((total, 1)), (total, m))
    uniform = np.where(rng.random((total, m)) < 0.9, common, rng.random((total, m)))
    logit = 0.5 + 0.05 * rng.standard_normal(m) + rng.standard_normal((total, 1))
    cost = np.broadcast_to(_prices(rng, m), (total, m)).copy()
    return _drawn(rng, n, logit, cost, cost, _vectors(rng, total), uniform=uniform)


def _near_margin(rng: np.random.Generator, n: int, m: int, n_fresh: int, seed: int) -> World:
    """The best model is dear, and every cheaper one truly loses a little more than the margin on every request."""
    total = n + n_fresh
    chance = np.concatenate([np.full(m - 1, 0.9 - 0.011), [0.9]]) + np.zeros((total, 1))
    uniform = np.broadcast_to(rng.random((total, 1)), (total, m))  # paired: few answers differ, so intervals are short
    cost = np.broadcast_to(1e-4 * np.arange(1, m + 1), (total, m)).copy()
    return _drawn(rng, n, np.log(chance / (1 - chance)), cost, cost, _vectors(rng, total), uniform=uniform)


WORLDS: dict[str, Callable[[np.random.Generator, int, int, int, int], World]] = {
    **{name: _family(name) for name in ("noise", "equal", "dominant", "difficulty", "task", "mixed")},
    "heavy costs": _heavy_costs,
    "dearer specialists": _dearer_specialists,
    "rare dear requests": _rare_dear,
    "40 sessions": _sessions,
    "40 uneven sessions": _uneven_sessions,
    "label noise": _label_noise,
    "tiny tasks": _tiny_tasks,
    "copies": _copies,
    "near the margin": _near_margin,
}
WORLDS |= {name: _family(name) for name in FAMILIES if name not in WORLDS}
