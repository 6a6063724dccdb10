"""Time and memory of the exact frontier, and how much one evaluated threshold costs beside a pandas loop over thresholds.

Writes benchmarks/results/frontier.json. Each case runs in its own process, so that its peak memory is its own.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from workbench.core.environment import environment, versions
from workbench.core.files import write_json
from workbench.tuning.frontier import Frontier, cost_aware_switches

RESULT = Path(__file__).parent / "results" / "frontier.json"
CASES = {"1M x 11": (1_000_000, 11, 3), "14k x 2": (13_767, 2, 31)}
"""Requests, models, repeats; the second has the shape of RouteLLM's MMLU rows with unit costs."""
LIMITS = {"1M x 11": {"seconds": 4.0, "peak_gib": 2.0}, "14k x 2": {"seconds": 0.02}}
PANDAS_THRESHOLDS = {"1M x 11": 3, "14k x 2": 50}


def problem(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted quality, predicted cost and realised score; costs spread over two orders of magnitude."""
    rng = np.random.default_rng(0)
    quality = rng.random((n, m))
    cost = np.tile([0.0, 1.0], (n, 1)) if m == 2 else rng.random((n, m)) * np.geomspace(0.1, 10, m)
    return quality, cost, (rng.random((n, m)) < quality).astype(np.float64)


def exact(case: str) -> dict[str, float]:
    """Median seconds of the whole frontier (switches, score, cost) and the peak memory of this process."""
    n, m, repeats = CASES[case]
    quality, cost, score = problem(n, m)
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        start_s, cpu_start_s = time.perf_counter(), time.process_time()
        frontier = Frontier.of(cost_aware_switches(quality, cost), score, cost)
        seconds.append(time.perf_counter() - start_s)
        cpu_seconds.append(time.process_time() - cpu_start_s)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": statistics.median(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "cpu_seconds": statistics.median(cpu_seconds),
        "peak_gib": peak,
        "n_thresholds": len(frontier),
    }


def pandas_loop(case: str) -> dict[str, float]:
    """Seconds a threshold of the loop one would write first: utilities as a frame, idxmax, look up, mean."""
    import pandas as pd

    n, m, _ = CASES[case]
    quality, cost, score = (pd.DataFrame(array) for array in problem(n, m))
    thresholds = np.linspace(0, 2, PANDAS_THRESHOLDS[case])
    rows = np.arange(n)
    start_s = time.perf_counter()
    for threshold in thresholds:
        choice = (quality - threshold * cost).idxmax(axis=1).to_numpy()
        pd.Series(score.to_numpy()[rows, choice]).mean(), pd.Series(cost.to_numpy()[rows, choice]).mean()
    return {"seconds_per_threshold": (time.perf_counter() - start_s) / len(thresholds)}


def in_own_process(job: str, case: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, job, case], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    rows = {}
    for case in CASES:
        found, loop = in_own_process("exact", case), in_own_process("pandas", case)
        each = found["seconds"] / found["n_thresholds"]
        ratio = loop["seconds_per_threshold"] / each
        rows[case] = {**found, "seconds_per_threshold": each, "pandas": loop, "times_faster_a_threshold": ratio}
        rows[case]["limits"] = LIMITS[case]
    libraries = versions(("numpy", "pandas", "llm-workbench"))
    load = {"load_average_at_end": os.getloadavg()[0]}  # above the number of cores, wall times are too long
    write_json(RESULT, {**environment(), **load, "versions": libraries, "threads": 2, "cases": rows})
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps({"exact": exact, "pandas": pandas_loop}[sys.argv[1]](sys.argv[2])))
