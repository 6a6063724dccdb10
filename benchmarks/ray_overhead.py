"""What Ray adds: the same recording and the same fits through the local engine and through a Ray cluster on this machine.

Recording: the reference suite by the model `tiny`, on one worker and on as many as there are cores. Tasks: fits of a predictor on random
rows, as a sweep hands them out, and empty tasks, which are nothing but overhead. The cluster's start is told apart.
Local runs come before and after those on Ray, so that a drift of the machine would show. Writes benchmarks/results/ray_overhead.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from workbench.core.environment import environment, versions
from workbench.core.files import write_json
from workbench.evaluation import Engine, LocalEngine, Suite, make_engine, record_on
from workbench.evaluation.engine import WorkerNeeds
from workbench.evaluation.plan import RecordConfig
from workbench.evaluation.shards import close_models
from workbench.models.family import family_cards

RESULT = Path(__file__).parent / "results" / "ray_overhead.json"


def seconds(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def fit(rows: tuple[Any, Any], penalty: float) -> float:
    """Four ridge fits and the error of the last, 0.1 to 0.2 s on one core."""
    features, scores = rows
    for _ in range(4):
        gram = features.T @ features + penalty * np.eye(features.shape[1])
        weights = np.linalg.solve(gram, features.T @ scores)
    return float(np.mean((features @ weights - scores) ** 2))


def nothing(_: None, task: int) -> int:
    return task


def measure(engine: Engine, n_prompts: int, n_fits: int, n_empty: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 256)), rng.normal(size=20_000)
    suite, card = Suite.reference(), {"tiny": family_cards()["tiny"]}
    with tempfile.TemporaryDirectory() as folder:
        warm = RecordConfig(
            limit=8 * card["tiny"].batch_size
        )  # a shard for every worker, so that each builds its model
        first_s = seconds(lambda: record_on(engine, suite, card, Path(folder) / "warm", warm))
        config = RecordConfig(limit=n_prompts)
        recorded_s = seconds(lambda: record_on(engine, suite, card, Path(folder) / "timed", config))
    list(engine.run(fit, rows, [1.0] * 4))
    fitted_s = seconds(lambda: list(engine.run(fit, rows, list(np.logspace(-2, 2, n_fits)))))
    empty_s = seconds(lambda: list(engine.run(nothing, None, range(n_empty))))
    return {
        "first_256_answers_s": first_s,
        "record_answers_per_s": n_prompts / recorded_s,
        "fits_per_s": n_fits / fitted_s,
        "empty_task_ms": 1000 * empty_s / n_empty,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1440)
    parser.add_argument("--fits", type=int, default=60)
    parser.add_argument("--empty", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    given.prompts = min(given.prompts, len(Suite.reference()))
    sizes = given.prompts, given.fits, given.empty
    n_cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(1)  # the local engine gets what a Ray worker gets
    threadpool_limits(1)
    runs: dict[str, list[dict[str, float]]] = {"local": [measure(LocalEngine(), *sizes)]}
    close_models()
    starts_s = []
    for n_workers in (1, n_cores):
        begun_s = time.perf_counter()
        engine = make_engine("ray", needs=WorkerNeeds(most_workers=n_workers))
        starts_s.append(time.perf_counter() - begun_s)
        runs[f"ray, {n_workers} of {n_cores} workers"] = [measure(engine, *sizes)]
        engine.close()
    runs["local"].append(measure(LocalEngine(), *sizes))
    means = {
        name: {key: statistics.fmean(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    local = means["local"]
    ratios = {
        name: {key: found[key] / local[key] for key in ("record_answers_per_s", "fits_per_s")}
        for name, found in means.items()
    }
    document = {
        **environment(),
        "versions": versions(("ray", "numpy", "torch", "transformers")),
        "sizes": {"prompts": given.prompts, "fits": given.fits, "empty_tasks": given.empty, "threads_each": 1},
        "cluster_start_s": starts_s,
        "load_average_at_end": os.getloadavg()[0],
        "runs": runs,
        "mean": means,
        "ratio_to_local": ratios,
    }
    write_json(given.out, document)
    for name, found in means.items():
        shown = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
        print(f"{name}: {shown}; beside local: {ratios[name]}")


if __name__ == "__main__":
    main()
