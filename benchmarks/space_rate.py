"""Seconds of 10,000 two-weight configurations on 100,000 requests, beside a loop over policies, a matrix product and a memory pass.

    python benchmarks/space_rate.py [--quick] [--part evaluation|search|samplers] [--seconds S]

Writes benchmarks/results/space_rate.json. The evaluation, the search's own time (Optuna and its journal) and both together are timed
apart; the samplers are compared by the hypervolume that they reach, on the rows of the search and on as many fresh ones. That part takes
a quarter of an hour on two cores; with --seconds it begins nothing new when these are over, keeps its runs and goes on at the next call.
Predictions and outcomes are drawn: speed depends on shapes, and on how many models of a request are nowhere better than another one,
which each case states.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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
SAMPLERS = ("random", "nsga2", "auto", "tpe")
SAMPLER_SEEDS = tuple(range(100, 110))
"""Other ones than those (0 to 2) that batches, population and the change of samplers were chosen on."""
MARKS = (100, 300, 1000)
LONG = 3000
"""Trials that are timed once more, by samplers that do not take minutes for them."""
PROCESSES = 2
SPACES = ("two weights", "floors by task", "two weights, a floor and an SLO")
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


@dataclass(frozen=True, eq=False)
class Case:
    """A space, what builds an objective of its points, the rows to search on and fresh ones."""

    parameters: tuple[Parameter, ...]
    build: Callable[[dict[str, Any]], Any]
    searched: Scorer
    fresh: Scorer


def sampler_case(kind: str, seed: int) -> Case:
    """Noisy predictions of a simulated matrix; every second row is fresh."""
    rng = np.random.default_rng(seed)
    drawn = simulated("mixed", 4000, 5, seed)
    matrix, shape = drawn.matrix, drawn.chance.shape
    quality = np.clip(drawn.chance + rng.normal(0.0, 0.15, shape), 0.0, 1.0)
    seconds = rng.lognormal(0.0, 0.6, 5) * rng.lognormal(0.0, 0.2, shape)
    names = tuple(sorted({task or "" for task in matrix.queries.tasks}))[:6]
    rows = {name: row for row, name in enumerate(names)}
    task = np.array([rows.get(name or "", len(rows)) for name in matrix.queries.tasks])
    cost = np.broadcast_to(matrix.cost_usd.mean(axis=0), shape)
    expected_s = np.broadcast_to(seconds.mean(axis=0), shape)

    def scorer(part: slice) -> Scorer:
        predictions = Predictions(quality[part].copy(), cost[part].copy(), expected_s[part].copy())
        return Scorer(predictions, matrix.score[part], matrix.cost_usd[part], seconds[part], names, task[part])

    return Case(*sampler_space(kind, names), scorer(slice(0, None, 2)), scorer(slice(1, None, 2)))


def sampler_space(kind: str, tasks: Sequence[str]) -> tuple[tuple[Parameter, ...], Callable[[dict[str, Any]], Any]]:
    """Parameters and what builds an objective of a point."""
    weights = (Parameter("exchange", (), 10.0, 1e6, log=True), Parameter("per_second", (), 0.0, 2.0))
    if kind == "two weights":
        return weights, lambda p: Hybrid(p["exchange"], p["per_second"])
    if kind == "two weights, a floor and an SLO":
        limits = (Parameter("floor", (), 0.0, 0.6), Parameter("slo_s", (None, 1.0, 2.0, 4.0)))
        return (*weights, *limits), lambda p: Hybrid(p["exchange"], p["per_second"], floor=p["floor"], slo_s=p["slo_s"])
    floors = (Parameter("floor", (), 0.0, 1.0), *(Parameter(f"floors.{name}", (), 0.0, 1.0) for name in tasks))
    return floors, lambda p: Capability(p["floor"], {name: p[f"floors.{name}"] for name in tasks})


def searched(kind: str, sampler: str, seed: int, marks: Sequence[int]) -> dict[str, Any]:
    """One search: at each mark the hypervolume, the same of the front scored on fresh rows, and the sampler's own processor seconds."""
    case = sampler_case(kind, seed)
    spent_s, found = 0.0, {}

    def score(points: Any) -> list[tuple[tuple[float, ...], float]]:
        nonlocal spent_s
        begun_s = time.process_time()
        realised = case.searched.realised([case.build(p) for p in points], threads=1)
        spent_s += time.process_time() - begun_s
        return [((r.score, r.cost_usd, r.latency_s or UNKNOWN_S), r.unserved) for r in realised]

    begun_s = time.process_time()
    with Study(case.parameters, ("maximize", "minimize", "minimize"), {}, seed, None, sampler) as study:
        for mark in marks:
            for _ in study.search(mark, score):
                pass
            own_s = time.process_time() - begun_s - spent_s
            looking_s = time.process_time()
            able = [trial for trial in study.trials() if trial.unserved == 0]
            front = [able[k] for k in pareto(np.array([t.values for t in able]) * [-1.0, 1.0, 1.0])]
            again = case.fresh.realised([case.build(t.point) for t in front], threads=1)
            fresh = [(r.score, r.cost_usd, r.latency_s or UNKNOWN_S) for r in again if r.unserved == 0]
            found[str(mark)] = {
                "hypervolume": hypervolume([t.values for t in front], case.searched),
                "fresh": hypervolume(fresh, case.fresh),
                "own_cpu_s": own_s,
            }
            begun_s += time.process_time() - looking_s
    return found


def hypervolume(values: Sequence[tuple[float, ...]], scorer: Scorer) -> float:
    """Of (score, cost, seconds), in units of the ranges up to the worst single model."""
    from optuna._hypervolume import compute_hypervolume

    worst = np.array(
        [-scorer.score.mean(axis=0).min(), *(a.mean(axis=0).max() for a in (scorer.cost_usd, scorer.latency_s))]
    )
    share = (np.array(values) * [-1.0, 1.0, 1.0] - [-1.0, 0.0, 0.0]) / (worst - [-1.0, 0.0, 0.0])
    share = share[(share <= 1).all(axis=1)]
    return float(compute_hypervolume(share[pareto(share)], np.ones(3)))


def samplers(before: dict[str, Any], seconds: float, quick: bool) -> dict[str, Any]:
    """Every search that is not there yet, as long as the seconds last, and what all that are there say."""
    runs = dict(before.get("runs", {}))
    asked = {" | ".join(map(str, (*search, at[-1]))): (*search, at) for *search, at in asked_searches(quick)}
    missing = [name for name in asked if name not in runs]
    end_s = time.monotonic() + seconds
    with ProcessPoolExecutor(PROCESSES) as pool:
        while missing and time.monotonic() < end_s:
            now, missing = missing[:PROCESSES], missing[PROCESSES:]
            runs |= dict(zip(now, pool.map(searched, *zip(*(asked[name] for name in now), strict=True)), strict=True))
    return {"runs": runs, "missing": missing, "summary": {kind: summary(runs, kind) for kind in SPACES}}


def asked_searches(quick: bool) -> Iterator[tuple[Any, ...]]:
    """Space, sampler, seed and marks of each search, the quick ones first; TPE's thousand trials on half of the seeds."""
    marks, seeds = (MARKS[:1], SAMPLER_SEEDS[:2]) if quick else (MARKS, SAMPLER_SEEDS)
    for sampler in SAMPLERS[:-1]:
        yield from ((kind, sampler, seed, marks) for seed in seeds for kind in SPACES)
        if not quick:
            yield from ((kind, sampler, seed, (LONG,)) for seed in seeds[:2] for kind in SPACES)
    yield from ((kind, "tpe", seed, marks[:2]) for seed in seeds[len(seeds) // 2 :] for kind in SPACES)
    yield from ((kind, "tpe", seed, marks) for seed in seeds[: len(seeds) // 2] for kind in SPACES)


def summary(runs: dict[str, Any], kind: str) -> dict[str, Any]:
    """By sampler and trials: means over the seeds, and the paired differences to the other samplers."""
    found: dict[str, Any] = {}
    for mark in (*MARKS, LONG):
        rows = {sampler: by_seed(runs, kind, sampler, mark) for sampler in SAMPLERS}
        for sampler in SAMPLERS:
            if rows[sampler]:
                found.setdefault(sampler, {})[str(mark)] = line(rows, sampler)
    return found


def by_seed(runs: dict[str, Any], kind: str, sampler: str, mark: int) -> dict[str, Any]:
    """What one sampler reached after so many trials, by seed."""
    parts = {name: name.split(" | ") for name in runs}
    return {
        seed: runs[name][str(mark)]
        for name, (*of, seed, _) in parts.items()
        if of == [kind, sampler] and str(mark) in runs[name]
    }


def line(rows: dict[str, Any], sampler: str) -> dict[str, Any]:
    """Means over seeds, and mean and standard error of the differences to each other sampler on the same seeds."""
    mine = rows[sampler]
    figures: dict[str, Any] = {"n": len(mine)}
    for name in ("hypervolume", "fresh", "own_cpu_s"):
        figures[name] = float(np.mean([row[name] for row in mine.values()]))
    for name in ("hypervolume", "fresh"):
        figures[f"{name}_over"] = {other: over for other in SAMPLERS if (over := paired(mine, rows[other], name))}
    return figures


def paired(mine: dict[str, Any], other: dict[str, Any], name: str) -> list[float]:
    """Mean difference, standard error and number of seeds; empty below two."""
    over = np.array([row[name] - other[seed][name] for seed, row in mine.items() if seed in other])
    if len(over) < 2 or mine is other:
        return []
    return [float(over.mean()), float(over.std(ddof=1) / np.sqrt(len(over))), len(over)]


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
    return search(problem(n, 5, spread=True), k, "auto", journal=True)


PARTS = ("evaluation", "search", "samplers")


def measured(part: str, before: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What a part finds; of the samplers, beside what earlier calls found."""
    if part == "samplers":
        return samplers(before.get(part, {}).get("found", {}), options.seconds, options.quick)
    return evaluations(options.quick) if part == "evaluation" else whole_search(options.quick)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the work; prints and writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only this part; the others are kept as they are on disk")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="most seconds that new searches of samplers begin in"
    )
    options = parser.parse_args()
    before = read_json(RESULT, "results") if RESULT.exists() and options.part else {}
    parts = dict(before.get("parts", {}))
    for name in [options.part] if options.part else PARTS:
        found = measured(name, parts, options)
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
