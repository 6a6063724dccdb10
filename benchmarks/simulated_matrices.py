"""Outcome matrices with a known truth, for benchmarks: every prompt has a vector, a length and a task, every model a true chance on it.

A family says what the chances depend on. The same family and seed give the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from workbench.evaluation import PROMPT_SCHEMA
from workbench.routing import Queries
from workbench.tuning import OutcomeMatrix

DIM = 64
FAMILIES = ("task", "difficulty", "direction", "regions", "length", "mixed", "noise", "dominant", "equal")
"""What the chances depend on: the task; one difficulty for all models; a direction of the embedding, another for each model; where a
prompt lies; its length; all of these; nothing (models differ in their mean alone); nothing, and one model is best and cheap; nothing
at all (all models are equally good)."""
LATER_FAMILIES = ("kinship", "curved")
"""Added when the design was done: models of two kinds whose strengths follow two shared directions of the embedding; a wave along a
direction of the embedding, another for each model, which is neither a line nor a matter of where a prompt lies."""


class SimulatedEmbedder:
    """The vectors that the simulation drew, by the number at the beginning of a text."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors.astype(np.float32)
        self.fingerprint = f"simulated:dim={vectors.shape[1]}"
        self.dim = vectors.shape[1]

    def embed(self, texts: list[str]) -> np.ndarray:
        """Vectors, shape (n, DIM)."""
        return self.vectors[[int(text.partition(" ")[0]) for text in texts]]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A matrix, its embedder, and the truth.

    Args:
        matrix: drawn outcomes, one sample a cell.
        embedder: for its texts.
        chance: true expected score, shape (n, m).
    """

    matrix: OutcomeMatrix
    embedder: SimulatedEmbedder
    chance: np.ndarray


def simulated(family: str, n: int, m: int, seed: int, labels: bool = True) -> Simulated:
    """A matrix of n prompts on m models whose chances follow `family`."""
    rng = np.random.default_rng([(*FAMILIES, *LATER_FAMILIES).index(family), n, m, seed])
    n_tasks = int(rng.integers(4, 30))
    homes = rng.standard_normal((n_tasks, DIM)) * 0.9
    task = rng.choice(n_tasks, n, p=rng.dirichlet(np.full(n_tasks, 2.0)))
    vectors = homes[task] + rng.standard_normal((n, DIM))
    length = rng.lognormal(4.0 + 0.3 * rng.standard_normal(n_tasks)[task], 0.7)
    skill = np.sort(rng.normal(0.6, 0.5, m)) if family != "equal" else np.full(m, 0.6)
    logit = skill + _effects(family, rng, vectors, task, length, m)
    chance = 1.0 / (1.0 + np.exp(-logit))
    score = (rng.random((n, m)) < chance).astype(float)
    price = 1e-4 * np.sort(rng.lognormal(0.0, 1.2, m))
    if family == "dominant":
        chance[:, 0] = np.minimum(chance.max(axis=1) + 0.05, 1.0)
        score[:, 0] = rng.random(n) < chance[:, 0]
    cost = price * (0.5 + length[:, None] / length.mean()) * rng.lognormal(0.0, 0.3, (n, m))
    texts = [f"{i} {'x' * int(size)}" for i, size in enumerate(length)]
    names = [f"task{t}" for t in task] if labels else [None] * n
    return Simulated(matrix_of(texts, names, score, cost), SimulatedEmbedder(vectors), chance)


def _effects(
    family: str, rng: np.random.Generator, vectors: np.ndarray, task: np.ndarray, length: np.ndarray, m: int
) -> np.ndarray:
    """What is added to each model's skill on each prompt, shape (n, m) or (n, 1)."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rank = length.argsort().argsort() / len(length) - 0.5
    by_task = rng.normal(0.0, 0.9, (task.max() + 1, m))[task]
    hard = (unit @ rng.standard_normal(DIM) * 1.5 - 1.5 * rank)[:, None]
    steep = np.linspace(1.6, 0.6, m)  # weak models suffer more from difficulty
    line = unit @ rng.standard_normal((DIM, m)) * 1.2
    seeds = unit[rng.integers(0, len(unit), 60)]
    region = rng.normal(0.0, 0.9, (60, m))[(unit @ seeds.T).argmax(axis=1)]
    by_length = rank[:, None] * rng.normal(0.0, 2.0, m)
    effects = {
        "task": by_task,
        "difficulty": hard * steep,
        "direction": line,
        "regions": region,
        "length": by_length,
        "mixed": 0.5 * (by_task + hard * steep + line + region + by_length),
    }
    if family in LATER_FAMILIES:  # drawn last, so that the other families stay what they were
        effects |= _later_effects(rng, unit, m)
    return effects.get(family, np.zeros((len(unit), m)))


def _later_effects(rng: np.random.Generator, unit: np.ndarray, m: int) -> dict[str, np.ndarray]:
    strengths = unit @ rng.standard_normal((DIM, 2)) * 1.2
    kinds = np.where(np.arange(m)[:, None] % 2 == [0, 1], 1.0, 0.2) * rng.uniform(0.6, 1.4, (m, 2))
    waves = np.sin(2.0 * unit @ rng.standard_normal((DIM, m)) + rng.uniform(0.0, 2.0 * np.pi, m))
    return {"kinship": strengths @ kinds.T, "curved": 1.2 * waves}


def matrix_of(texts: list[str], tasks: list[str | None], score: np.ndarray, cost: np.ndarray) -> OutcomeMatrix:
    """A matrix of drawn arrays (n, m); every prompt is its own group, nothing is known of latency."""
    ids = [f"p{i:06d}" for i in range(len(texts))]
    known = {"prompt_id": ids, "prompt": texts, "task": tasks, "group": ids}
    columns = {name: known.get(name, [None] * len(texts)) for name in PROMPT_SCHEMA}
    return OutcomeMatrix(
        models=tuple(f"model{j}" for j in range(score.shape[1])),
        prompt_ids=tuple(ids),
        queries=Queries.of(texts, tasks, groups=tuple(ids)),
        score=score,
        cost_usd=cost,
        latency_s=np.full(score.shape, np.nan),
        samples=score[:, :, None],
        prompts=pl.DataFrame(columns, schema=PROMPT_SCHEMA),
        data_hash="simulated",
    )
