"""How often `sweep` recommends routing where it does not pay: many simulated matrices whose truth is known.

    python benchmarks/route_or_not.py [--seeds 20] [--prompts 900]

Each matrix is swept as a user would, and the recommended policy is then judged by the true chances on 20,000 prompts that nothing has
seen. A recommendation is wrong when what it claims is false: under "no-worse", the policy is cheaper but truly loses more than the
margin, or is truly no better at no lower cost; under "trade-off", it is truly not above the best mix of single models at its own cost.
Writes benchmarks/results/route_or_not.json and docs/results/route_or_not.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from simulated_matrices import FAMILIES, simulated

from workbench.core.environment import environment
from workbench.core.files import write_json, write_text
from workbench.evaluation.statistics import wilson_interval
from workbench.routing import FixedPolicy
from workbench.tuning import SweepConfig, sweep_matrix
from workbench.tuning.evidence import hull_of_singles

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "route_or_not.json"
TABLE = ROOT / "docs" / "results" / "route_or_not.md"
JUDGED_ON = 20_000
MARGIN = 0.01
CONFIDENCE = 0.975
"""Of each deciding interval's lower end."""
MODELS = (2, 5, 11)
FIRST_SEED = 1000


def main() -> int:
    options = _options()
    cases = [
        (rule, family, m, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds)
        for family in FAMILIES
        for m in MODELS
        for rule in ("no-worse", "trade-off")
    ]
    rows = [judged(*case, prompts=options.prompts) for case in _said(cases)]
    document = {
        **environment(),
        "prompts": options.prompts,
        "judged_on": JUDGED_ON,
        "margin": MARGIN,
        "confidence": CONFIDENCE,
        "rules": {rule: _counts([r for r in rows if r["rule"] == rule]) for rule in ("no-worse", "trade-off")},
        "families": {
            f"{rule}, {family}": _counts([r for r in rows if r["rule"] == rule and r["family"] == family])
            for rule in ("no-worse", "trade-off")
            for family in FAMILIES
        },
        "rows": rows,
    }
    write_json(RESULT, document)
    write_text(TABLE, as_markdown(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=900)
    return parser.parse_args()


def _said(cases: list[Any]) -> Any:
    for number, case in enumerate(cases):
        if number % 54 == 0:
            print(f"{time.strftime('%H:%M:%S')} {number} of {len(cases)}", file=sys.stderr, flush=True)
        yield case


def judged(rule: str, family: str, m: int, seed: int, *, prompts: int) -> dict[str, Any]:
    """One sweep and the truth about its recommendation."""
    world = simulated(family, prompts + JUDGED_ON, m, seed, labels=seed % 2 == 0)
    seen, fresh = world.matrix.take(slice(0, prompts)), slice(prompts, None)
    config = SweepConfig(embedder=world.embedder, seed=seed, n_bootstrap=500, rule=rule)
    found = sweep_matrix(seen, config)
    row: dict[str, Any] = {
        "rule": rule,
        "family": family,
        "models": m,
        "seed": seed,
        "verdict": found.document["verdict"],
    }
    if isinstance(found.policy, FixedPolicy):
        return {**row, "wrong": False}
    chance, cost = world.chance[fresh], world.matrix.cost_usd[fresh]
    choice = found.policy.choose(world.matrix.queries[np.arange(prompts, prompts + JUDGED_ON)])
    rows, single = np.arange(len(chance)), seen.models.index(found.best_single)
    score, spent = float(chance[rows, choice].mean()), float(cost[rows, choice].mean())
    gain, saving = score - float(chance[:, single].mean()), float(cost[:, single].mean()) - spent
    means = chance.mean(axis=0)[None, :], cost.mean(axis=0)[None, :]
    over = score - float(hull_of_singles(*means, np.array([spent]))[0])
    if rule == "trade-off":
        wrong = not over > 0
    else:
        wrong = gain <= -MARGIN if saving > 0 else gain <= 0
    return {
        **row,
        "true_gain": gain,
        "true_saving_share": saving / (saving + spent),
        "true_over_singles": over,
        "wrong": wrong,
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    routed = [r for r in rows if r["verdict"] == "route"]
    wrong = sum(r["wrong"] for r in rows)
    return {
        "sweeps": len(rows),
        "route": len(routed),
        "wrong": wrong,
        "wrong_share": wrong / len(rows),
        "ci": list(wilson_interval(wrong, len(rows))),
        "mean_true_gain": float(np.mean([r["true_gain"] for r in routed])) if routed else None,
        "mean_true_saving_share": float(np.mean([r["true_saving_share"] for r in routed])) if routed else None,
    }


def as_markdown(document: dict[str, Any]) -> str:
    allowed = 100 * (1 - document["confidence"])
    lines = [
        "# How often routing is recommended where it does not pay",
        "",
        "Written by `python benchmarks/route_or_not.py`; do not edit. Simulated matrices with known chances: nine structures,",
        f"{', '.join(map(str, MODELS))} models, with and without task labels, {document['prompts']} prompts each; the recommended policy",
        f"is judged by the true chances on {document['judged_on']:,} fresh prompts. A recommendation is wrong when its claim is false. The",
        "lower end of the deciding",
        f"interval is a {100 * document['confidence']:g} % one, so at most {allowed:g} % wrong sweeps are allowed.",
        "",
        "| rule, structure | sweeps | says route | wrong | wrong, % of sweeps (95 %) | mean true gain where routed | mean true saving |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, c in {**{f"**{k}, all**": v for k, v in document["rules"].items()}, **document["families"]}.items():
        low, high = (100 * end for end in c["ci"])
        gain = "" if c["mean_true_gain"] is None else f"{c['mean_true_gain']:+.4f}"
        saving = "" if c["mean_true_saving_share"] is None else f"{100 * c['mean_true_saving_share']:.1f} %"
        share = f"{100 * c['wrong_share']:.1f} ({low:.1f} to {high:.1f})"
        lines.append(f"| {name} | {c['sweeps']} | {c['route']} | {c['wrong']} | {share} | {gain} | {saving} |")
    hardware = document["hardware"]
    lines += [
        "",
        f"{document['date']}, commit {document['git_commit']}, {hardware['cpu']}, {hardware['cores']} cores.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
