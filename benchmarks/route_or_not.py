"""How often `sweep` and `cascade` recommend what does not pay: many simulated matrices whose truth is known.

    python benchmarks/route_or_not.py --part structures [--only task,noise] [--seeds 10]

Each matrix is swept as a user would, and the recommendation is judged by the true chances and costs on fresh requests that nothing has
seen. It is wrong when what it claims is false: "cheaper and no worse" where it truly is not cheaper or loses the margin, "better at no
higher cost" where it truly is not better or costs more, "above the mixes of single models" where it truly is not, "within the limit"
where it truly costs more. Parts: structures, worlds, few-prompts, settings, cascade, coverage; each run replaces its own rows of
benchmarks/results/route_or_not.json and writes docs/results/route_or_not.md from all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from adversarial_worlds import WORLDS, World, world_of
from route_or_not_report import RESULT, TABLE, as_markdown
from simulated_cascades import CASCADES, judged_cascade
from simulated_costs import COSTS, coverage_of
from simulated_matrices import FAMILIES

from workbench.core.environment import environment
from workbench.core.files import read_json, write_json, write_text
from workbench.evaluation.statistics import wilson_interval
from workbench.routing import FixedPolicy
from workbench.tuning import SweepConfig, sweep_matrix
from workbench.tuning.evidence import DEFAULT_MARGIN, hull_of_singles

JUDGED_ON = 10_000
FIRST_SEED = 7000
"""Not among the seeds that the verdict rules were worked on with."""
RULES: dict[str, dict[str, Any]] = {"no-worse": {"rule": "no-worse"}, "trade-off": {"rule": "trade-off"}}
FOUR = ("task-mean", "ridge", "knn", "kmeans")
SETTINGS: dict[str, dict[str, Any]] = {
    "four predictors, no-worse": {"predictors": FOUR},
    "four predictors, trade-off": {"predictors": FOUR, "rule": "trade-off"},
    "capability, no-worse": {"objective": "capability"},
    "capability, trade-off": {"objective": "capability", "rule": "trade-off"},
    "spend, no-worse": {"spend_usd_per_1k": 0.0},
    "spend, trade-off": {"spend_usd_per_1k": 0.0, "rule": "trade-off"},
}
"""A spend of 0 stands for the mean cost of the dearest and the cheapest model of each world."""
STRUCTURES = dict.fromkeys(FAMILIES, (900,))
PART_WORLDS = {name: (200, 600, 1500) for name in WORLDS if name not in FAMILIES}
SMALL = dict.fromkeys(("noise", "equal", "task", "mixed", "copies", "tiny tasks"), (60, 100, 200))
MIXED = dict.fromkeys(("noise", "task", "dearer specialists", "near the margin", "copies", "label noise"), (300, 1000))


@dataclass(frozen=True)
class Part:
    """What a part runs: world → numbers of prompts, numbers of models, and name → settings of the sweep."""

    worlds: dict[str, tuple[int, ...]]
    models: tuple[int, ...] = (2, 5, 11)
    settings: dict[str, dict[str, Any]] = field(default_factory=lambda: RULES)


PARTS = {
    "structures": Part(STRUCTURES),
    "worlds": Part(PART_WORLDS),
    "few-prompts": Part(SMALL, (2, 11)),
    "settings": Part(MIXED, (3, 8), SETTINGS),
}


def main() -> int:
    options = _options()
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    run = {"cascade": _cascades, "coverage": _coverages}.get(options.part, _sweeps)
    found = read_json(RESULT) if RESULT.exists() else {}
    parts: dict[str, Any] = found.get("parts", {})
    before = [c for c in parts.get(options.part, {}).get("cells", []) if only and c["world"] not in only]
    cells = [*before, *run(options.part, only, options.seeds)]
    parts[options.part] = {**environment(), "judged_on": JUDGED_ON, "cells": cells}
    document = {"parts": parts, "confidence": 0.975, "margin": DEFAULT_MARGIN}
    write_json(RESULT, document)
    write_text(TABLE, as_markdown(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=[*PARTS, "cascade", "coverage"], default="structures")
    parser.add_argument("--only", default="", help="comma-separated names of the part's worlds; all when empty")
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


def _sweeps(part: str, only: list[str], seeds: int) -> Iterator[dict[str, Any]]:
    plan = PARTS[part]
    for kind, sizes in plan.worlds.items():
        if only and kind not in only:
            continue
        for name, settings in plan.settings.items():
            begun_s = time.monotonic()
            rows = [
                judged(world_of(kind, n, m, seed, JUDGED_ON), settings, seed)
                for n in sizes
                for m in plan.models
                for seed in range(FIRST_SEED, FIRST_SEED + seeds)
            ]
            _say(f"{kind}, {name}: {len(rows)} in {time.monotonic() - begun_s:.0f} s")
            yield {"world": kind, "setting": name, "prompts": sizes, "models": plan.models, **counted(rows)}


def _cascades(part: str, only: list[str], seeds: int) -> Iterator[dict[str, Any]]:
    for kind in CASCADES:
        if not only or kind in only:
            rows = [
                judged_cascade(kind, n, seed, JUDGED_ON)
                for n in (200, 600, 1500)
                for seed in range(FIRST_SEED, FIRST_SEED + 3 * seeds)
            ]
            _say(f"cascade {kind}: {len(rows)}")
            yield {"world": kind, "setting": "cascade", "prompts": (200, 600, 1500), "models": (3,), **counted(rows)}


def _coverages(part: str, only: list[str], seeds: int) -> Iterator[dict[str, Any]]:
    for kind in COSTS:
        if not only or kind in only:
            yield from coverage_of(kind, 40 * seeds)
            _say(f"coverage {kind}")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def judged(world: World, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """One sweep and the truth about its recommendation."""
    if settings.get("spend_usd_per_1k") == 0.0:
        means = world.cost_usd.mean(axis=0)
        settings = {**settings, "spend_usd_per_1k": 500.0 * float(means.min() + means.max())}
    config = replace(SweepConfig(embedder=world.embedder, seed=seed, n_bootstrap=500), **settings)
    found = sweep_matrix(world.seen, config)
    if isinstance(found.policy, FixedPolicy):
        return {"route": False, "wrong": False}
    choice, rows = found.policy.choose(world.fresh), np.arange(len(world.fresh))
    score, spent = float(world.chance[rows, choice].mean()), float(world.cost_usd[rows, choice].mean())
    singles, costs = world.chance.mean(axis=0), world.cost_usd.mean(axis=0)
    single = world.seen.models.index(found.best_single)
    gain, saving = score - float(singles[single]), float(costs[single]) - spent
    at = np.array([max(spent, float(costs.min()))])
    over = score - float(hull_of_singles(singles[None, :], costs[None, :], at)[0])
    wrong = is_wrong(found.document["because"], gain, saving, over)
    if config.spend_usd is not None:
        wrong = wrong or spent > config.spend_usd
    return {
        "route": True,
        "wrong": wrong,
        "equalled": bool(((singles >= score) & (costs <= spent)).any()),
        "gain": gain,
        "saving": saving / float(costs[single]),
    }


def is_wrong(because: str, gain: float, saving: float, over: float) -> bool:
    """Whether the claim that a verdict makes is false."""
    if "above the best mix" in because:
        return over <= 0
    if "cheaper, and" in because:
        return saving <= 0 or gain <= -DEFAULT_MARGIN
    return gain <= 0 or saving < 0


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many sweeps, recommendations and wrong ones."""
    routed = [row for row in rows if row["route"]]
    wrong = sum(row["wrong"] for row in rows)

    def mean(name: str) -> float | None:
        return float(np.mean([row[name] for row in routed])) if routed else None

    return {
        "sweeps": len(rows),
        "route": len(routed),
        "wrong": wrong,
        "ci": list(wilson_interval(wrong, len(rows))),
        "equalled": sum(row.get("equalled", False) for row in rows),
        "mean_true_gain": mean("gain"),
        "mean_true_saving_share": mean("saving"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
