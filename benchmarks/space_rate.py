"""Seconds of 10,000 two-weight configurations on 100,000 requests, beside a loop over policies, a matrix product and a memory pass.

    python benchmarks/space_rate.py [--quick] [--part evaluation|search|samplers]

Writes benchmarks/results/space_rate.json. The evaluation, the search's own time (Optuna and its journal) and both together are timed
apart; the samplers are compared by the hypervolume that they reach. Predictions and outcomes are drawn: speed depends on shapes, and on
how many models of a request are nowhere better than another one, which each case states.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from simulated_matrices import simulated

from workbench.core.environment import environment, versions
from workbench.core.files import read_json, write_json
from workbench.routing import Capability, Circumstances, Hybrid, Predictions
from workbench.tuning.space.plan import Parameter
from workbench.tuning.space.scoring import AT_ONCE, ROWS, THREADS, Scorer
from workbench.tuning.space.study import Study
from workbench.tuning.space.swept import pareto

RESULT = Path(__file__).parent / "results" / "space_rate.json"
LIMIT_S = 60.0
TWO_WEIGHTS = (Parameter("exchange", (), 1e-2, 1e2, log=True), Parameter("per_second", (), 0.0, 2.0))
SAMPLERS = ("random", "nsga2", "tpe")
SAMPLER_SEEDS = (100, 101, 102)
"""Other ones than those that the sampler was chosen on."""
UNKNOWN_S = 99.0


def problem(n: int, m: int, *, spread: bool) -> Scorer:
    """A scorer of n requests on m models; with `spread` costs and seconds differ by request, else by model alone."""
    rng = np.random.default_rng([n, m, spread])
    quality = rng.random((n, m))
    cost, seconds = np.sort(rng.lognormal(0.0, 1.0, m)), rng.lognormal(0.0, 0.5, m)
    wide = rng.lognormal(0.0, 0.5, (2, n, m)) if spread else np.ones((2, n, m))
    score = (rng.random((n, m)) < quality).astype(np.float64)
    predictions = Predictions(quality, cost * wide[0], seconds * wide[1])
    return Scorer(predictions, score, cost * wide[0], seconds * wide[1], (), np.zeros(n, np.intp))


def configurations(k: int) -> list[Hybrid]:
    """Two weights each, drawn from the space."""
    rng = np.random.default_rng(k)
    return [Hybrid(float(a), float(b)) for a, b in zip(10 ** rng.uniform(-2, 2, k), rng.uniform(0, 2, k), strict=True)]


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and processor seconds."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def evaluation(scorer: Scorer, k: int) -> dict[str, Any]:
    """All k configurations; the order of models is made in that time, too."""
    objectives = configurations(k)
    found = timed(lambda: scorer.realised(objectives))
    blocks = scorer._blocks["timed"]
    left = sum(block.column.size for block in blocks) / len(scorer)
    decisions = k * len(scorer)
    return {
        **found,
        "configurations": k,
        "requests": len(scorer),
        "models": scorer.score.shape[1],
        "models_left": left,
        "decisions_per_s": decisions / found["wall_s"],
        "cpu_ns_per_decision": 1e9 * found["cpu_s"] / decisions,
        "gb_read_per_s": decisions * left * 24 / found["wall_s"] / 1e9,
    }


def policy_loop(scorer: Scorer, k: int) -> dict[str, float]:
    """The loop over policies: the objective's own choice, then means over the chosen cells."""
    rows, eligible = np.arange(len(scorer)), np.ones(scorer.score.shape, np.bool_)
    given = Circumstances((None,) * len(scorer))

    def loop() -> None:
        for objective in configurations(k):
            chosen = objective.choose(scorer.predictions, eligible, given)
            (
                scorer.score[rows, chosen].mean(),
                scorer.cost_usd[rows, chosen].mean(),
                scorer.latency_s[rows, chosen].mean(),
            )

    found = timed(loop)
    return {**found, "configurations": k, "wall_s_per_configuration": found["wall_s"] / k}


def matrix_product(scorer: Scorer, k: int) -> dict[str, float]:
    """Utilities alone as one product of (k, 3) weights and (3, requests · models) terms: no argmax, no sums, other rounding."""
    p = scorer.predictions
    weights = np.array([[1.0, -o.exchange, -o.per_second] for o in configurations(k)])
    terms = np.stack([part.reshape(-1) for part in (p.quality, p.cost_usd, p.latency_s)])

    def product() -> None:
        for start in range(0, terms.shape[1], ROWS):
            weights @ terms[:, start : start + ROWS]

    found = timed(product)
    return {**found, "configurations": k, "wall_s_per_configuration": found["wall_s"] / k}


def memory_pass() -> float:
    """GB that one core reads in a second: the sum of 400 MB."""
    values = np.ones(50_000_000)
    return values.nbytes / min(timed(values.sum)["wall_s"] for _ in range(5)) / 1e9


def search(scorer: Scorer, n_trials: int, sampler: str, journal: bool) -> dict[str, float]:
    """A whole search; what is not evaluation is the search's own."""
    spent = {"wall_s": 0.0, "cpu_s": 0.0}

    def score(points: Any) -> list[tuple[tuple[float, ...], float]]:
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        found = scorer.realised([Hybrid(p["exchange"], p["per_second"]) for p in points])
        spent["wall_s"] += time.perf_counter() - begun_s
        spent["cpu_s"] += time.process_time() - begun_cpu_s
        return [((r.score, r.cost_usd, r.latency_s or 0.0), 0.0) for r in found]

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "study.jsonl" if journal else None
            with Study(TWO_WEIGHTS, ("maximize", "minimize", "minimize"), {}, 0, path, sampler) as study:
                list(study.search(n_trials, score))

    total = timed(whole)
    return {
        "trials": n_trials,
        "evaluation_wall_s": spent["wall_s"],
        "search_wall_s": total["wall_s"] - spent["wall_s"],
        "search_cpu_s": total["cpu_s"] - spent["cpu_s"],
        "total_wall_s": total["wall_s"],
    }


def sampler_case(kind: str, seed: int) -> tuple[Scorer, tuple[Parameter, ...], Callable[[dict[str, Any]], Any]]:
    """A scorer with noisy predictions of a simulated matrix, a space on it, and what builds an objective of a point."""
    rng = np.random.default_rng(seed)
    drawn = simulated("mixed", 2000, 5, seed)
    matrix, shape = drawn.matrix, drawn.chance.shape
    quality = np.clip(drawn.chance + rng.normal(0.0, 0.15, shape), 0.0, 1.0)
    seconds = rng.lognormal(0.0, 0.6, 5) * rng.lognormal(0.0, 0.2, shape)
    names = tuple(sorted({task or "" for task in matrix.queries.tasks}))[:6]
    rows = {name: row for row, name in enumerate(names)}
    task = np.array([rows.get(name or "", len(rows)) for name in matrix.queries.tasks])
    cost = np.broadcast_to(matrix.cost_usd.mean(axis=0), shape).copy()
    expected_s = np.broadcast_to(seconds.mean(axis=0), shape).copy()
    scorer = Scorer(Predictions(quality, cost, expected_s), matrix.score, matrix.cost_usd, seconds, names, task)
    weights = (Parameter("exchange", (), 10.0, 1e6, log=True), Parameter("per_second", (), 0.0, 2.0))
    if kind == "two weights":
        return scorer, weights, lambda p: Hybrid(p["exchange"], p["per_second"])
    if kind == "two weights, a floor and an SLO":
        limits = (Parameter("floor", (), 0.0, 0.6), Parameter("slo_s", (None, 1.0, 2.0, 4.0)))
        return (
            scorer,
            (*weights, *limits),
            lambda p: Hybrid(p["exchange"], p["per_second"], floor=p["floor"], slo_s=p["slo_s"]),
        )
    floors = (Parameter("floor", (), 0.0, 1.0), *(Parameter(f"floors.{name}", (), 0.0, 1.0) for name in names))
    return scorer, floors, lambda p: Capability(p["floor"], {name: p[f"floors.{name}"] for name in names})


def reached(kind: str, seed: int, sampler: str, n_trials: int) -> tuple[float, float]:
    """Hypervolume of the front in units of the single models' ranges, and processor seconds of the search a trial."""
    from optuna._hypervolume import compute_hypervolume

    scorer, parameters, build = sampler_case(kind, seed)
    spent_s = 0.0

    def score(points: Any) -> list[tuple[tuple[float, ...], float]]:
        nonlocal spent_s
        begun_s = time.process_time()
        found = scorer.realised([build(p) for p in points], threads=1)
        spent_s += time.process_time() - begun_s
        return [((r.score, r.cost_usd, r.latency_s or UNKNOWN_S), r.unserved) for r in found]

    begun_s = time.process_time()
    with Study(parameters, ("maximize", "minimize", "minimize"), {}, seed, None, sampler) as study:
        list(study.search(n_trials, score))
        able = [trial.values for trial in study.trials() if trial.unserved == 0]
    own_s = (time.process_time() - begun_s - spent_s) / n_trials
    values = np.array(able) * [-1.0, 1.0, 1.0]
    worst = np.array(
        [-scorer.score.mean(axis=0).min(), *(a.mean(axis=0).max() for a in (scorer.cost_usd, scorer.latency_s))]
    )
    share = (values - [-1.0, 0.0, 0.0]) / (worst - [-1.0, 0.0, 0.0])
    share = share[(share <= 1).all(axis=1)]
    return float(compute_hypervolume(share[pareto(share)], np.ones(3))), own_s


def samplers(n_trials: int) -> dict[str, Any]:
    """Mean hypervolume over the seeds, by space and sampler."""
    found: dict[str, Any] = {}
    for kind in ("two weights", "floors by task", "two weights, a floor and an SLO"):
        rows = {}
        for sampler in SAMPLERS:
            volumes, own_s = zip(*(reached(kind, seed, sampler, n_trials) for seed in SAMPLER_SEEDS), strict=True)
            rows[sampler] = {
                "hypervolume": float(np.mean(volumes)),
                "by_seed": list(volumes),
                "cpu_ms_per_trial": 1000 * float(np.mean(own_s)),
            }
        found[kind] = rows
    return found


def evaluations(quick: bool) -> dict[str, Any]:
    """The evaluation alone, and its yardsticks in the same run."""
    n, k = (20_000, 500) if quick else (100_000, 10_000)
    cases = {f"{m} models": evaluation(problem(n, m, spread=True), k) for m in (2, 5, 11)}
    cases["5 models, costs by model"] = evaluation(problem(n, 5, spread=False), k)
    yard = problem(n, 5, spread=True)
    yardsticks = {
        "policy loop": policy_loop(yard, 5 if quick else 20),
        "matrix product": matrix_product(yard, 50 if quick else 200),
        "memory_gb_per_s_one_core": memory_pass(),
    }
    return {"cases": cases, "yardsticks (5 models)": yardsticks}


def whole_search(quick: bool) -> dict[str, Any]:
    """A search of as many configurations, journal included, on 5 models."""
    n, k = (20_000, 500) if quick else (100_000, 10_000)
    return search(problem(n, 5, spread=True), k, "nsga2", journal=True)


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "evaluation": evaluations,
    "search": whole_search,
    "samplers": lambda quick: samplers(100 if quick else 300),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work; prints and writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only this part; the others are kept as they are on disk")
    options = parser.parse_args()
    before = read_json(RESULT, "results") if RESULT.exists() and options.part else {}
    parts = dict(before.get("parts", {}))
    for name in [options.part] if options.part else PARTS:
        found = PARTS[name](options.quick)
        # above the number of cores, wall times are too long
        parts[name] = {**environment(), "load_average_at_end": os.getloadavg()[0], "found": found}
    document = {
        "versions": versions(("numpy", "optuna", "llm-workbench")),
        "rows_a_block": ROWS,
        "configurations_at_once": AT_ONCE,
        "threads": THREADS,
        "limit": {"configurations": 10_000, "requests": 100_000, "wall_s": LIMIT_S},
        "parts": parts,
    }
    if not options.quick:
        write_json(RESULT, document)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
