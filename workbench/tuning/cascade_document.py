"""A swept cascade as a JSON document, with the keys of a routing sweep where they mean the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.tuning.evidence import Comparison, SweepVerdict
from workbench.tuning.metrics import FORMULAS, aiq

if TYPE_CHECKING:
    from workbench.tuning.cascade import Cascade, CascadeChoice

FORMULA = {
    "logprob": "stops at the first model whose answer's log-probability / answer tokens ≥ threshold, at the last one at the latest",
    "agreement": "the first two are asked at once; stops as soon as an answer repeats an earlier one, at the last one at the latest",
    "judge": "stops at the first model whose answer the judge marks ≥ threshold, at the last one at the latest; judging is paid",
}
RULE = (
    "best score on the tune and choose splits at no more than the best single model's cost, then the cheapest threshold within one "
    "standard error; reported on the report split"
)


def cascade_document(
    report: Cascade, found: Comparison, verdict: SweepVerdict, chosen: CascadeChoice
) -> dict[str, Any]:
    """What `workbench cascade --json` prints.

    Args:
        report: the cascade on the report split.
        found: the chosen threshold there, beside the best single model.
        verdict: of both.
        chosen: the settings.
    """
    matrix, frontier, sizes = report.matrix, report.frontier, chosen.split.sizes()
    threshold = None if chosen.accept == "agreement" else chosen.threshold
    name = " → ".join(report.order)
    points = [
        [1000 * float(frontier.cost_usd[k]), float(frontier.score[k]), float(frontier.thresholds[k])]
        for k in frontier.thinned()
    ]
    return {
        "run_id": None,
        "n_prompts": sum(sizes.values()),
        "n_models": len(matrix.models),
        "split": sizes,
        "order": list(report.order),
        "accept": chosen.accept,
        "baselines": {model: _single(report, column) for column, model in enumerate(matrix.models)},
        "policies": {name: {"aiq": _area(report), "apgr": None, "n_thresholds": len(frontier), "points": points}},
        "chosen": {
            "policy": name,
            "threshold": threshold,
            **found.to_json(),
            "optimism": chosen.choose_score - found.score.mean,
            "stops_at": dict(zip(report.order, chosen.stops.tolist(), strict=True)),
        },
        "best_single": matrix.models[chosen.single],
        "pattern": _pattern(report, chosen),
        "verdict": "cascade" if verdict.answer == "route" else "do_not_cascade",
        "because": verdict.because,
        "selection_rule": RULE,
        "cost_source": matrix.cost_source,
        "notes": list(matrix.notes),
        "data_hash": matrix.data_hash,
        "seeds": {"split": chosen.seed, "bootstrap": [chosen.seed, 1]},
        "formulas": {
            "aiq": FORMULAS["aiq"],
            "accept": FORMULA[chosen.accept],
            "latency": "sum over the calls of a request",
        },
    }


def _pattern(report: Cascade, chosen: CascadeChoice) -> dict[str, Any]:
    """The `answer.pattern` of a stack that does the same; a judge's model and wording are the user's to fill in."""
    accept: dict[str, Any] = {"kind": chosen.accept}
    if chosen.accept != "agreement":
        accept["threshold"] = min(chosen.threshold, 0.0) if chosen.accept == "logprob" else chosen.threshold
    return {"kind": "cascade", "models": list(report.order), "accept": accept}


def _single(report: Cascade, column: int) -> dict[str, float | None]:
    matrix = report.matrix
    return {
        "score": float(matrix.score[:, column].mean()),
        "cost_usd_per_1k": 1000 * float(matrix.cost_usd[:, column].mean()),
        "latency_s": _known(float(matrix.latency_s[:, column].mean())),
    }


def _area(report: Cascade) -> float | None:
    """AIQ between the costs of the cheapest and the dearest single model, as for routing."""
    costs = report.matrix.cost_usd.mean(axis=0)
    least, most = float(costs.min()), float(costs.max())
    return _known(aiq(report.frontier.cost_usd, report.frontier.score, least_cost=least, most_cost=most))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
