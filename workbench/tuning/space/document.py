"""The result of a sweep of a space as the JSON contract, with the keys of a plain sweep where they mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from workbench.evaluation.statistics import clustered_mean
from workbench.tuning.baselines import Baseline, cheapest_single
from workbench.tuning.document import (
    baseline_json,
    baselines_of,
    comparison_json,
    heat_of,
    measured_frame,
    policy_json,
    power_json,
    reliability_json,
    trivial_baselines,
)
from workbench.tuning.frontier import Frontier
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.metrics import FORMULAS
from workbench.tuning.selection import rule_text
from workbench.tuning.space.finalists import Finalist
from workbench.tuning.space.result import SpaceResult
from workbench.tuning.space.sampling import trials_by
from workbench.tuning.space.sweep import SpaceState

SPACE, PLAIN = "space", "plain sweep"
SPACE_FORMULAS = {
    "utility": "cost-aware and hybrid: argmax_j predicted quality_j − λ · predicted cost_j − μ · predicted seconds_j among the models "
    "within every limit; ties to the cheaper model",
    "capability": "the least predicted cost among models with predicted quality ≥ the task's floor; the best predicted where none is",
    "optimism": "score on the choose split − score on the report split",
    "optimism_tune": "score on the tune split's held-out predictions − score on the choose split",
    "latency_p95_s": "the smallest seconds that 95 % of requests do not exceed; of the mean over samples where there are several",
}


def result_of(state: SpaceState) -> SpaceResult:
    """The finished result of a space's state."""
    report = state.report
    means = zip(report.models, report.cost_usd.mean(axis=0).tolist(), report.score.mean(axis=0).tolist(), strict=True)
    is_routing = state.verdict.answer == "route"
    served = state.choice if is_routing else np.full(len(report), state.single, np.intp)
    point = Frontier(np.zeros(1), np.array([state.realised.score]), np.array([state.realised.cost_usd]))
    plain = state.plain
    return SpaceResult(
        document=_document(state),
        policy=state.policy,
        report=measured_frame(report, served, state.single),
        pilot=_pilot_frame(state),
        curves={SPACE: point, PLAIN: plain.report[plain.chosen.name].frontier},
        best_single=state.matrix.models[state.single],
        singles={name: (cost, score) for name, cost, score in means},
        heat=heat_of(report, state.choice),
    )


def _document(state: SpaceState) -> dict[str, Any]:
    matrix, space, looked = state.matrix, state.plan.space, state.looked
    return {
        "run_id": None,
        "n_prompts": len(matrix),
        "n_models": len(matrix.models),
        "split": state.split.sizes(),
        "baselines": {b.name: baseline_json(b, state.report.groups) for b in _baselines(state)},
        "policies": {
            SPACE: {"aiq": None, "apgr": None, "points": [_point(state)], "picked": _picked(state)},
            PLAIN: policy_json(state.plain, state.plain.chosen.name),
        },
        "chosen": {"policy": str(state.chosen.configuration), **_picked(state), "shares": _shares(state)},
        "configuration": state.chosen.configuration.to_json(),
        "verdict": state.verdict.answer,
        "because": state.verdict.because,
        "best_single": matrix.models[state.single],
        "objective": state.chosen.configuration.objective.kind,
        "space": {"name": space.name, "goals": list(space.goals), "file": space.model_dump(mode="json")},
        "looked_at": {
            "in_all": looked.in_all,
            "trials": looked.trials,
            "resumed": looked.resumed,
            "searched": looked.searched,
            "listed": looked.listed,
            "swept": looked.swept,
            "finalists": looked.finalists,
        },
        "search": None
        if state.sampler is None
        else {"sampler": state.sampler, "trials_by": trials_by(state.sampler, looked.trials)},
        "front": [_front_line(finalist, state) for finalist in state.finalists],
        "over_plain": _over_plain(state),
        "margin": state.config.loss,
        "rule": state.config.rule,
        "spend_usd_per_1k": state.config.spend_usd_per_1k,
        "selection_rule": (
            "the front of all configurations on the tune split's held-out predictions; of these "
            + rule_text(state.config.rule, state.config.spend_usd).replace("; threshold in the middle of its gap", "")
        ),
        "power": power_json(state.verdict),
        "reliability": reliability_json(state.predictions, state.report, state.config.seed),
        "n_compared": 1,
        "cost_source": matrix.cost_source,
        "prices": dict(matrix.prices) if matrix.cost_source == "measured" else {},
        "notes": list(matrix.notes),
        "data_hash": matrix.data_hash,
        "embedder": state.chosen.configuration.basis.embedder,
        "calibration": state.chosen.configuration.basis.calibration,
        "seeds": {"split": state.config.seed, "search": state.config.seed, "bootstrap": [state.config.seed, 1]},
        "n_bootstrap": state.config.n_bootstrap,
        "formulas": {**FORMULAS, **SPACE_FORMULAS},
    }


def _point(state: SpaceState) -> list[float | None]:
    return [1000 * state.realised.cost_usd, state.realised.score, None]


def _picked(state: SpaceState) -> dict[str, Any]:
    """The chosen configuration on the report split, with what both earlier splits had promised."""
    finalist, found = state.chosen, state.found
    tune, choose = finalist.proposal.tune, finalist.choose
    return {
        "threshold": None,
        **comparison_json(found),
        "latency_p95_s": state.realised.latency_p95_s,
        "unserved": state.realised.unserved,
        "optimism": choose.score - found.score.mean,
        "optimism_tune": tune.score - choose.score,
        "choose_score": choose.score,
        "choose_cost_usd_per_1k": 1000 * choose.cost_usd,
        "tune_score": tune.score,
        "tune_cost_usd_per_1k": 1000 * tune.cost_usd,
    }


def _shares(state: SpaceState) -> dict[str, float]:
    shares = state.matrix.shares(state.choice)
    return {**shares, "nobody": state.realised.unserved} if state.realised.unserved else shares


def _front_line(finalist: Finalist, state: SpaceState) -> dict[str, Any]:
    return {
        **finalist.configuration.to_json(),
        "found_by": finalist.proposal.found_by,
        "is_chosen": finalist is state.chosen,
        "tune": finalist.proposal.tune.to_json(),
        "choose": finalist.choose.to_json(),
    }


def _baselines(state: SpaceState) -> list[Baseline]:
    plain = state.plain
    replay, rows = plain.report[plain.chosen.name], np.arange(len(state.report))
    choice = plain.choice
    line = Baseline(
        PLAIN,
        replay.matrix.score[rows, choice],
        replay.matrix.cost_usd[rows, choice],
        f"{plain.chosen.name}, λ={plain.chosen.threshold:.4g}: λ alone, with the space's predictors",
    )
    cheapest = cheapest_single(state.matrix.take(state.split.choose))
    return baselines_of(state.report, state.choice, state.single, cheapest, [line, *trivial_baselines(plain)])


def _over_plain(state: SpaceState) -> dict[str, Any]:
    """Whether the further parameters brought anything: the chosen configuration minus the plain sweep's, paired, report split."""
    report, rows = state.report, np.arange(len(state.report))
    score = clustered_mean(
        _taken(report, report.score, state.choice) - report.score[rows, state.plain.choice], report.groups
    )
    cost = clustered_mean(
        1000 * (_taken(report, report.cost_usd, state.choice) - report.cost_usd[rows, state.plain.choice]),
        report.groups,
    )
    return {
        "score_difference": score.value,
        "score_difference_ci": list(score.ci),
        "cost_difference_usd_per_1k": cost.value,
        "cost_difference_ci": list(cost.ci),
    }


def _taken(matrix: OutcomeMatrix, values: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """What the choices measured; 0 for nobody."""
    taken: np.ndarray = np.where(choice >= 0, values[np.arange(len(matrix)), choice], 0.0)
    return taken


def _pilot_frame(state: SpaceState) -> pl.DataFrame:
    """The choose split with the recommended policy's choices."""
    matrix = state.matrix.take(state.split.choose)
    column = state.policy.choose(matrix.queries)
    return matrix.prompts.with_columns(pl.Series("choice", [matrix.models[j] for j in column]))
