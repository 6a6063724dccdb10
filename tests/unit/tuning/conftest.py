import numpy as np
import polars as pl
import pytest

from workbench.evaluation import Manifest, Outcomes

TASKS = ("add", "copy", "dates", "sort")
MODELS = ("tiny", "base", "spec")


def outcomes_of(score, cost=None, *, tasks=None, groups=None, latency=None, models=MODELS, errors=None):
    """Outcomes of a score array (n, m) or (n, m, samples); cost (n, m) or None."""
    score = np.asarray(score, float)
    score = score[:, :, None] if score.ndim == 2 else score
    n, m, samples = score.shape
    models = models[:m]
    prompts = pl.DataFrame(
        {
            "prompt_id": [f"p{i:05d}" for i in range(n)],
            "prompt": [f"{tasks[i] if tasks else 'ask'} {'word ' * (i % 7)}{i}" for i in range(n)],
            "task": pl.Series(tasks if tasks else [None] * n, dtype=pl.String),
            "group": groups if groups else [f"g{i}" for i in range(n)],
        }
    )
    cells = [(i, j, s) for i in range(n) for j in range(m) for s in range(samples) if not np.isnan(score[i, j, s])]
    failed = {(i, j) for i, j in errors} if errors else set()
    rows = pl.DataFrame(
        {
            "prompt_id": [f"p{i:05d}" for i, _, _ in cells],
            "model": [models[j] for _, j, _ in cells],
            "sample": [s for _, _, s in cells],
            "score": pl.Series([None if (i, j) in failed else score[i, j, s] for i, j, s in cells], dtype=pl.Float64),
            "error": pl.Series(["timeout" if (i, j) in failed else None for i, j, _ in cells], dtype=pl.String),
            "cost_usd": pl.Series([None if cost is None else cost[i][j] for i, j, _ in cells], dtype=pl.Float64),
            "latency_s": pl.Series([None if latency is None else latency[j] for _, j, _ in cells], dtype=pl.Float64),
        }
    )
    return Outcomes.from_frames(rows, prompts, Manifest("test"))


@pytest.fixture
def make_outcomes():
    return outcomes_of


@pytest.fixture(scope="session")
def specialists():
    """600 prompts where each task has its own best model, two samples a cell: routing pays clearly."""
    rng = np.random.default_rng(0)
    chance = np.array([[0.4, 0.9, 0.2], [0.95, 0.95, 0.3], [0.1, 0.3, 0.9], [0.4, 0.8, 0.1]])
    task = rng.integers(0, 4, 600)
    score = (rng.random((600, 3, 2)) < chance[task][:, :, None]).astype(float)
    cost = np.tile([1e-6, 5e-6, 5e-6], (600, 1))
    return outcomes_of(score, cost, tasks=[TASKS[t] for t in task], latency=[0.1, 0.3, 0.3])
