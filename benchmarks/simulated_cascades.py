"""Cascades with a known truth: three models, a confidence that says much, little or nothing about being right."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from simulated_matrices import matrix_of

from workbench.evaluation import Manifest, Outcomes
from workbench.tuning.cascade import Cascade, cascade_sweep

CASCADES = {"informed": 2.0, "hardly informed": 0.4, "uninformed": 0.0, "uninformed, equal models": 0.0}
"""How strongly the log-probability follows being right."""
ORDER = ("cheap", "middle", "strong")


def judged_cascade(kind: str, n: int, seed: int, n_fresh: int) -> dict[str, Any]:
    """One swept cascade and the truth about its recommendation on fresh requests."""
    rng = np.random.default_rng([list(CASCADES).index(kind), n, seed])
    price = np.sort(rng.lognormal(0.0, 1.0, 3)) * 1e-4
    skill = np.full(3, 0.5) if "equal" in kind else np.sort(rng.normal(0.5, 0.5, 3))
    seen = _drawn(rng, n, skill, price, CASCADES[kind])
    fresh = _drawn(rng, n_fresh, skill, price, CASCADES[kind])
    found = cascade_sweep(_outcomes(*seen), ORDER, "logprob", seed=seed, n_bootstrap=500)
    if found.verdict.answer != "route":
        return {"route": False, "wrong": False}
    score, cost, confidence = fresh
    texts = [str(i) for i in range(n_fresh)]
    nothing = np.zeros((n_fresh, 2))
    true = Cascade(ORDER, _ordered(texts, score, cost), confidence[:, :2], (), nothing, nothing)
    got, spent, _ = true.realised(found.document["chosen"]["threshold"])
    single = ORDER.index(found.document["best_single"])
    gain = float(got.mean() - score[:, single].mean())
    saving = float(cost[:, single].mean() - spent.mean())
    cheaper = "cheaper, and" in found.document["because"]
    wrong = (saving <= 0 or gain <= -0.01) if cheaper else (gain <= 0 or saving < 0)
    equalled = ((score.mean(axis=0) >= got.mean()) & (cost.mean(axis=0) <= spent.mean())).any()
    return {
        "route": True,
        "wrong": bool(wrong),
        "equalled": bool(equalled),
        "gain": gain,
        "saving": saving / float(cost[:, single].mean()),
    }


def _drawn(
    rng: np.random.Generator, n: int, skill: np.ndarray, price: np.ndarray, informed: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, costs and log-probabilities, shape (n, 3) each."""
    ease = rng.standard_normal((n, 1))
    score = (rng.random((n, 3)) < 1.0 / (1.0 + np.exp(-(skill + ease)))).astype(float)
    cost = price * rng.lognormal(0.0, 0.5, (n, 1))
    confidence = -np.exp(rng.standard_normal((n, 3)) - informed * score)
    return score, cost, confidence


def _ordered(texts: list[str], score: np.ndarray, cost: np.ndarray) -> Any:
    from dataclasses import replace

    return replace(matrix_of(texts, [None] * len(texts), score, cost), models=ORDER)


def _outcomes(score: np.ndarray, cost: np.ndarray, confidence: np.ndarray) -> Outcomes:
    n = len(score)
    ids = [f"p{i:06d}" for i in range(n)]
    prompts = pl.DataFrame({"prompt_id": ids, "prompt": [f"request {i}" for i in range(n)]})
    parts = [
        pl.DataFrame(
            {
                "prompt_id": ids,
                "model": [name] * n,
                "score": score[:, j],
                "cost_usd": cost[:, j],
                "logprob": confidence[:, j],
                "completion_tokens": [1] * n,
            }
        )
        for j, name in enumerate(ORDER)
    ]
    return Outcomes.from_frames(pl.concat(parts), prompts, Manifest("simulated"))
