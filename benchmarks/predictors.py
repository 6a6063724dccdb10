"""Every predictor on many outcome matrices: AIQ with intervals, and whether the default is at or above the best simple one.

    python benchmarks/predictors.py [--data PATH] [--reference OUTCOMES] [--seeds 3] [--only NAME,...] [--design]

Writes benchmarks/results/predictors.json and docs/results/predictors.md. Recorded matrices: RouteLLM's MMLU, GSM8K and MT-Bench and
RouterArena's public rows (folders `routellm` and `routerarena` under PATH, default
$WORKBENCH_DATA/routing), and the reference family's answers (an Outcomes folder; the page's is of `workbench suite build --per-task 160
--seed 4242 --out suite.jsonl` and `workbench record --suite suite.jsonl --out OUTCOMES`). What is not there is left out and said.
Simulated matrices: `simulated_matrices.py`. --design prints results on the seeds that the design was
chosen on and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from simulated_matrices import FAMILIES, LATER_FAMILIES, simulated

from workbench.core.environment import environment
from workbench.core.files import read_json, write_json, write_text
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.evaluation import Outcomes
from workbench.evaluation.importers import import_from
from workbench.evaluation.statistics import percentile_interval, resampled_weights
from workbench.routing import Queries, make_predictor
from workbench.routing.predictors.folds import folds_of
from workbench.tuning import OutcomeMatrix, aiq, apgr, call_curve, cost_aware_switches
from workbench.tuning.sweeps import EmbeddedTexts

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "predictors.json"
TABLE = ROOT / "docs" / "results" / "predictors.md"
SIMPLE = ("task-mean", "knn", "ridge")
DEFAULT = "stack"
KINDS = (
    "constant",
    "prompt-length",
    "task-mean",
    "kmeans",
    "knn",
    "ridge",
    "ridge-task",
    "logistic",
    "factors",
    "boosting",
    "local",
    "local-task",
    "stack",
)
READS_LABELS = {"task-mean", "ridge-task", "local-task"}
SLOW = {"boosting", "logistic"}
"""Left out of the larger simulated matrices: minutes a fit, and far from the best where they were run."""
DRAWS = 200
VERY_LARGE_KINDS = ("constant", "prompt-length", "task-mean", "knn", "ridge", "local", "stack")
"""All that is fitted on ten thousand prompts and more."""
DESIGN_SEEDS = (0, 1, 2, 3, 4, 5)
REPORT_SEED = 200
NOTHING_TO_GAIN = ("noise", "dominant", "equal")
"""Families in which no prompt says anything: the best policy is a constant, and which predictor comes out on top is luck."""
SHAPES = ((2000, 2), (3000, 5), (4000, 11))


@dataclass(frozen=True, eq=False)
class Case:
    """A matrix to route on; `folds` is how many parts are held out in turn (simulated ones: half against half)."""

    name: str
    matrix: OutcomeMatrix
    embedder: Embedder
    labels: bool
    source: str


def main() -> int:
    options = _options()
    results = (
        dict(read_json(RESULT, "results")["matrices"])
        if options.only and RESULT.exists() and not options.design
        else {}
    )
    for case in _cases(options):
        if options.only and not any(part in case.name for part in options.only.split(",")):
            continue
        results[case.name] = analysed(case, options.kinds.split(",") if options.kinds else None)
        say(f"{case.name}: {_line(results[case.name])}")
        if not options.design:  # after each matrix: a run that is stopped keeps what it has
            written(results)
    if not options.design:
        written(results)
    return 0


def written(results: dict[str, Any]) -> None:
    """Both files, from all results so far."""
    document = {
        **environment(),
        "draws": DRAWS,
        "default": DEFAULT,
        "simple": list(SIMPLE),
        "matrices": results,
        "summary": summary(results),
    }
    write_json(RESULT, document)
    write_text(TABLE, as_markdown(document))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="parts of names, by commas; results of the others are kept as they are on disk"
    )
    parser.add_argument("--kinds", default="")
    parser.add_argument("--design", action="store_true")
    return parser.parse_args()


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    families = FAMILIES if options.design else (*FAMILIES, *LATER_FAMILIES)
    seeds = DESIGN_SEEDS if options.design else range(REPORT_SEED, REPORT_SEED + options.seeds)
    for family in families:
        for n, m in SHAPES:
            for seed in seeds:
                labels = seed % 2 == 0
                name = f"{family}, {n} x {m}, seed {seed}{'' if labels else ', no labels'}"
                if not _wanted(name, options):
                    continue
                found = simulated(family, n, m, seed, labels)
                yield Case(name, found.matrix, found.embedder, labels, "simulated")
    yield from _recorded(options)


def _wanted(name: str, options: argparse.Namespace) -> bool:
    return not options.only or any(part in name for part in options.only.split(","))


def _recorded(options: argparse.Namespace) -> Iterator[Case]:
    root = os.environ.get("WORKBENCH_DATA")
    data = options.data or (Path(root) / "routing" if root else None)
    if data is None or not data.is_dir():
        say("no RouteLLM or RouterArena rows: name their folder with --data or WORKBENCH_DATA")
    else:
        minilm = CachedEmbedder(load_embedder("minilm"))
        sources = [
            ("MT-Bench", "routellm", {"subset": "mt_bench"}),
            ("RouterArena", "routerarena", {}),
            ("GSM8K", "routellm", {"subset": "gsm8k"}),
            ("MMLU", "routellm", {"subset": "mmlu"}),
        ]
        for name, source, how in sources:
            if _wanted(name, options):
                yield from _both(name, OutcomeMatrix.from_outcomes(import_from(source, data / source, **how)), minilm)
    if options.reference is None:
        say("no reference family: name an Outcomes folder with --reference")
    elif _wanted("reference family", options):
        yield from _both(
            "reference family", OutcomeMatrix.from_outcomes(Outcomes.read(options.reference)), load_embedder("static")
        )


def _both(name: str, matrix: OutcomeMatrix, embedder: Embedder) -> Iterator[Case]:
    """With labels (where there are several) and without."""
    known = EmbeddedTexts(embedder, matrix.queries.texts)
    if len(set(matrix.queries.tasks)) > 1:
        yield Case(name, matrix, known, True, "recorded")
    yield Case(f"{name}, no labels", without_labels(matrix), known, False, "recorded")


def without_labels(matrix: OutcomeMatrix) -> OutcomeMatrix:
    """The same matrix for a caller who never knows the task."""
    import dataclasses

    queries = Queries.of(matrix.queries.texts, groups=matrix.queries.groups)
    return dataclasses.replace(matrix, queries=queries)


def analysed(case: Case, kinds: list[str] | None) -> dict[str, Any]:
    """AIQ of every predictor on rows that it did not see, intervals by resampling groups, and the default beside each other one."""
    large = len(case.matrix) * len(case.matrix.models) > 12_000
    known = VERY_LARGE_KINDS if len(case.matrix) >= 10_000 else KINDS
    wanted = kinds or [k for k in known if not (k in SLOW and large)]
    names = [k for k in wanted if case.labels or k not in READS_LABELS]
    rows, quality, cost, seconds = held_out(case, names)
    matrix = case.matrix.take(rows)
    _, group = np.unique(np.array(matrix.groups), return_inverse=True)
    weights = next(resampled_weights(int(group.max()) + 1, DRAWS, np.random.default_rng(7), max_chunk=10**9))[:, group]
    compared = {DEFAULT, *SIMPLE}
    areas = {
        name: _areas(matrix, quality[name], cost[name], weights if name in compared else weights[:0]) for name in names
    }
    found: dict[str, Any] = {
        "n": len(case.matrix),
        "n_held_out": len(rows),
        "models": len(matrix.models),
        "labels": case.labels,
        "source": case.source,
        "embedder": case.embedder.fingerprint,
        "predictors": {},
    }
    for name in names:
        area = areas[name]
        found["predictors"][name] = {
            "aiq": area[0],
            "aiq_ci": list(percentile_interval(area[1:])) if len(area) > 1 else None,
            "fit_s": seconds[name],
        }
        if len(matrix.models) == 2:
            found["predictors"][name]["apgr"] = _apgr(matrix, quality[name])
    rivals = [name for name in SIMPLE if name in areas]
    if DEFAULT in areas and rivals:
        best = max(rivals, key=lambda name: areas[name][0])
        difference = areas[DEFAULT] - areas[best]
        ci = list(percentile_interval(difference[1:]))
        found["against_best"] = {
            "best": best,
            "difference": float(difference[0]),
            "ci": ci,
            "at_or_above": ci[1] >= 0,
            "above": bool(difference[0] > 0),
        }
    return found


def held_out(
    case: Case, names: list[str]
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray], dict[str, float]]:
    """Rows, and what each predictor says of them when it did not see them: five folds of recorded rows, half of simulated ones."""
    matrix, folds = case.matrix, folds_of(case.matrix.queries)
    turns = list(np.unique(folds)) if case.source == "recorded" else [-1]
    halves = np.arange(len(matrix)) % 2
    rows = np.arange(len(matrix)) if case.source == "recorded" else np.flatnonzero(halves)
    quality = {name: np.empty(matrix.score.shape) for name in names}
    cost = {name: np.empty(matrix.score.shape) for name in names}
    seconds = dict.fromkeys(names, 0.0)
    for turn in turns:
        held = folds == turn if turn >= 0 else halves == 1
        seen, asked = matrix.take(~held), matrix.queries[held]
        for name in names:
            start = time.perf_counter()
            predictor = make_predictor(name, case.embedder).fit(seen.queries, seen.score, seen.cost_usd, seen.latency_s)
            seconds[name] += time.perf_counter() - start
            predictions = predictor.predict(asked)
            quality[name][held], cost[name][held] = predictions.quality, predictions.cost_usd
    return rows, {k: v[rows] for k, v in quality.items()}, {k: v[rows] for k, v in cost.items()}, seconds


def _areas(matrix: OutcomeMatrix, quality: np.ndarray, cost: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AIQ on all rows, then of every resample, shape (1 + DRAWS,)."""
    switches = cost_aware_switches(quality, cost)
    singles = matrix.cost_usd
    areas = []
    for w in (np.ones(len(matrix)), *weights):
        means = w @ singles / w.sum()
        points = switches.realised(matrix.cost_usd, w), switches.realised(matrix.score, w)
        areas.append(aiq(*points, least_cost=float(means.min()), most_cost=float(means.max())))
    return np.array(areas)


def _apgr(matrix: OutcomeMatrix, quality: np.ndarray) -> float | None:
    cost, score = matrix.cost_usd.mean(axis=0), matrix.score.mean(axis=0)
    strong = int(cost.argmax())
    if score[strong] <= score[1 - strong]:
        return None
    return apgr(
        call_curve(quality[:, strong] - quality[:, 1 - strong], matrix.score[:, 1 - strong], matrix.score[:, strong])
    )


def _line(found: dict[str, Any]) -> str:
    areas = "  ".join(
        f"{name} {row['aiq']:.4f}" + (f"/{row['apgr']:.3f}" if row.get("apgr") else "")
        for name, row in found["predictors"].items()
    )
    against = found.get("against_best")
    if against is None:
        return areas
    ci, fit_s = np.round(against["ci"], 4).tolist(), found["predictors"][DEFAULT]["fit_s"]
    return f"{areas}  | {against['difference']:+.4f} {ci} vs {against['best']}; fit {fit_s:.1f}s"


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """How often the default is at or above the best simple predictor, by source and by what there is to gain."""
    found = {}
    groups = {
        "recorded": lambda name, row: row["source"] == "recorded",
        "simulated": lambda name, row: row["source"] == "simulated",
        "simulated, something to gain": lambda name, row: row["source"] == "simulated" and not _hopeless(name),
        "simulated, nothing to gain": lambda name, row: row["source"] == "simulated" and _hopeless(name),
        "simulated, families added after the design": lambda name, row: name.partition(",")[0] in LATER_FAMILIES,
    }
    for group, within in groups.items():
        compared = [r["against_best"] for n, r in results.items() if "against_best" in r and within(n, r)]
        found[group] = {
            "matrices": len(compared),
            "mean_difference": float(np.mean([c["difference"] for c in compared])) if compared else None,
            "at_or_above_the_best_within_its_interval": sum(c["at_or_above"] for c in compared),
            "above_all": sum(c["above"] for c in compared),
            "clearly_above_all": sum(c["ci"][0] > 0 for c in compared),
        }
    return found


def _hopeless(name: str) -> bool:
    return name.partition(",")[0] in NOTHING_TO_GAIN


def as_markdown(document: dict[str, Any]) -> str:
    lines = [
        "# Predictors on many matrices",
        "",
        "Written by `python benchmarks/predictors.py`; do not edit. AIQ (area under the non-decreasing hull of a policy's own points,",
        "`workbench.tuning.metrics.FORMULAS`) on rows that the predictor did not see: five folds by prompt group of recorded matrices,",
        f"half of simulated ones. Intervals: {document['draws']} resamples of groups, predictions held fixed. The default of",
        f"`workbench sweep` is `{document['default']}`.",
        "",
        "Looked at while the default was designed: MMLU, GSM8K, MT-Bench, RouterArena and a recording of the reference family with 1,440",
        f"prompts, all cross-validated, and the simulated families {', '.join(FAMILIES)}",
        f"with seeds {DESIGN_SEEDS[0]} to {DESIGN_SEEDS[-1]}. Seen for the first time in this table: all simulated matrices",
        f"(seeds from {REPORT_SEED} on), the families {' and '.join(LATER_FAMILIES)} altogether, and the reference family's rows",
        "(a fresh recording of other instances). The best",
        "simple predictor is picked afterwards, from these same rows: of equally good ones the default would be above all in one of four",
        f"matrices with labels, one of three without. In the families {', '.join(NOTHING_TO_GAIN)} no prompt says anything, and",
        "which predictor comes out on top is luck.",
        "",
    ]
    for source, found in document["summary"].items():
        lines.append(
            f"- **{source}**: {found['matrices']} matrices; at or above the best of {', '.join(document['simple'])} within its interval on "
            f"{found['at_or_above_the_best_within_its_interval']}, above all of them on {found['above_all']}, clearly (interval above 0) "
            f"on {found['clearly_above_all']}"
            + (f"; mean difference {found['mean_difference']:+.4f}." if found["matrices"] else ".")
        )
    kinds = [k for k in KINDS if any(k in r["predictors"] for r in document["matrices"].values())]
    lines += [
        "",
        "| matrix | n | models | " + " | ".join(kinds) + " | default − best simple, 95 % |",
        "|---|---|---|" + "---|" * (len(kinds) + 1),
    ]
    for name, found in document["matrices"].items():
        cells = [f"{found['predictors'][k]['aiq']:.4f}" if k in found["predictors"] else "" for k in kinds]
        against = found.get("against_best")
        last = (
            ""
            if against is None
            else f"{against['difference']:+.4f} [{against['ci'][0]:+.4f}, {against['ci'][1]:+.4f}] ({against['best']})"
        )
        lines.append(f"| {name} | {found['n']} | {found['models']} | " + " | ".join(cells) + f" | {last} |")
    hardware = document["hardware"]
    lines += [
        "",
        f"{document['date']}, commit {document['git_commit']}, {hardware['cpu']}, {hardware['cores']} cores.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
