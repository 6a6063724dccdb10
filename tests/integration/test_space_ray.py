"""The sweep of a space on Ray's workers."""

import numpy as np
import polars as pl
import pytest

from workbench.core.validation import parse
from workbench.evaluation import Manifest, Outcomes
from workbench.evaluation.engine import make_engine
from workbench.tuning.space import SpaceConfig, space_sweep

SPACE = {
    "schema_version": 1,
    "predictor": ["ridge", "task-mean"],
    "calibration": ["none", "isotonic"],
    "objective": ["hybrid", "capability", "cost-aware"],
    "exchange": {"low": 1.0, "high": 1e7, "log": True},
    "per_second": {"low": 0.0, "high": 1.0},
    "floor": 0.5,
    "floors": {"*": {"low": 0.0, "high": 1.0}},
}


@pytest.fixture(scope="module")
def outcomes():
    rng = np.random.default_rng(0)
    tasks, models = [("add", "copy", "sort")[i % 3] for i in range(240)], ("tiny", "base", "spec")
    chance = {("add", "base"): 0.9, ("copy", "tiny"): 0.9, ("sort", "spec"): 0.9}
    cells = [(i, name) for i in range(len(tasks)) for name in models]
    prompts = pl.DataFrame(
        {
            "prompt_id": [f"p{i}" for i in range(len(tasks))],
            "prompt": [f"{t} {i}" for i, t in enumerate(tasks)],
            "task": tasks,
        }
    )
    rows = pl.DataFrame(
        {
            "prompt_id": [f"p{i}" for i, _ in cells],
            "model": [name for _, name in cells],
            "score": [float(rng.random() < chance.get((tasks[i], name), 0.4)) for i, name in cells],
            "cost_usd": [{"tiny": 1e-6, "base": 5e-6, "spec": 3e-6}[name] for _, name in cells],
            "latency_s": [{"tiny": 0.1, "base": 0.4, "spec": 0.2}[name] for _, name in cells],
        }
    )
    return Outcomes.from_frames(rows, prompts, Manifest("test"))


def test_ray_and_this_process_find_the_same(outcomes):
    space = parse(SpaceConfig, SPACE, "space")
    here = space_sweep(outcomes, space, n_trials=150, n_bootstrap=200)
    engine = make_engine("ray")
    try:
        there = space_sweep(outcomes, space, n_trials=150, n_bootstrap=200, engine=engine)
    finally:
        engine.close()
    assert there.document == here.document
    assert there.report.equals(here.report)
