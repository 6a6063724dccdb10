"""The result of a sweep as the JSON contract, the report table, and what figures need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.evaluation.statistics import mean_score, resampled_weights
from workbench.routing import Predictions
from workbench.routing.calibration import reliability
from workbench.tuning.baselines import (
    Baseline,
    cheapest_single,
    corrected_oracle,
    oracle,
    random_mix,
    single,
)
from workbench.tuning.evidence import Comparison, Measured, SweepVerdict
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.metrics import FORMULAS, aiq, apgr, call_curve
from workbench.tuning.result import Band, SweepResult
from workbench.tuning.selection import Replay, rule_text
from workbench.tuning.sweeps import SweepState

IntArray = npt.NDArray[np.intp]
TRIVIAL = {"prompt-length": "prompt length", "task-mean": "task label"}
"""Predictors that stand among the baselines: kind → name of the line."""
BAND_DRAWS = 400
RELIABILITY_DRAWS = 200
BAND_POINTS = 120


def result_of(state: SweepState) -> SweepResult:
    """The finished result of a sweep's state."""
    report = state.report[state.chosen.name].matrix
    means = zip(report.models, report.cost_usd.mean(axis=0).tolist(), report.score.mean(axis=0).tolist(), strict=True)
    return SweepResult(
        document=_document(state),
        policy=state.policy,
        report=_report_frame(state),
        pilot=_pilot_frame(state),
        curves={name: replay.frontier for name, replay in state.report.items()},
        best_single=state.matrix.models[state.single],
        singles={name: (cost, score) for name, cost, score in means},
        band=frontier_band(state.report[state.chosen.name], np.random.default_rng([state.config.seed, 2])),
        heat=heat_of(state.report[state.chosen.name].matrix, state.choice),
    )


def _document(state: SweepState) -> dict[str, Any]:
    matrix = state.matrix
    return {
        "run_id": None,
        "n_prompts": len(matrix),
        "n_models": len(matrix.models),
        "split": state.split.sizes(),
        "baselines": {
            b.name: baseline_json(b, state.matrix.take(state.split.report).groups) for b in _baselines(state)
        },
        "policies": {name: policy_json(state, name) for name in state.report},
        "chosen": _chosen_json(state),
        "verdict": state.verdict.answer,
        "because": state.verdict.because,
        "best_single": matrix.models[state.single],
        "objective": state.config.objective,
        "threshold_unit": state.report[state.chosen.name].objective.threshold_unit,
        "margin": state.config.loss,
        "rule": state.config.rule,
        "spend_usd_per_1k": state.config.spend_usd_per_1k,
        "selection_rule": rule_text(state.config.rule, state.config.spend_usd),
        "power": power_json(state.verdict),
        "calibration": state.config.calibration_method,
        "reliability": reliability_json(
            state.report[state.chosen.name].predictions, state.report[state.chosen.name].matrix, state.config.seed
        ),
        "n_compared": len(state.picks),
        "cost_source": matrix.cost_source,
        "prices": dict(matrix.prices) if matrix.cost_source == "measured" else {},
        "notes": list(matrix.notes),
        "data_hash": matrix.data_hash,
        "embedder": _embedder_name(state),
        "seeds": {"split": state.config.seed, "bootstrap": [state.config.seed, 1]},
        "n_bootstrap": state.config.n_bootstrap,
        "formulas": FORMULAS,
    }


def reliability_json(predictions: Predictions, matrix: OutcomeMatrix, seed: int) -> dict[str, Any]:
    """How far predicted scores come true on a split, model by model."""
    found = {}
    for column, name in enumerate(matrix.models):
        rng = np.random.default_rng([seed, 3, column])
        predicted, realised = predictions.quality[:, column], matrix.score[:, column]
        curve = reliability(predicted, realised, matrix.groups, rng, draws=RELIABILITY_DRAWS)
        bins = zip(curve.predicted.tolist(), curve.realised.tolist(), curve.count.tolist(), strict=True)
        found[name] = {
            "ece": curve.ece,
            "ece_ci": list(curve.ece_ci),
            "ece_by_chance": curve.ece_by_chance,
            "bins": [list(part) for part in bins],
        }
    return found


def power_json(verdict: SweepVerdict) -> dict[str, Any] | None:
    """How many prompts would settle the verdict; None where that was not asked."""
    power = verdict.power
    return None if power is None else {"report": power.report, "total": power.total, "because": power.because}


def _embedder_name(state: SweepState) -> str:
    embedder = state.config.embedder
    return embedder if isinstance(embedder, str) else embedder.fingerprint


def _baselines(state: SweepState) -> list[Baseline]:
    """Those of the report split, with the trivial predictors as picked."""
    cheapest = cheapest_single(state.choose[state.chosen.name].matrix)
    return baselines_of(
        state.report[state.chosen.name].matrix, state.choice, state.single, cheapest, trivial_baselines(state)
    )


def baselines_of(
    report: OutcomeMatrix, choice: IntArray, best: int, cheapest: int, more: Sequence[Baseline]
) -> list[Baseline]:
    """Singles, cheapest, best single, random at the mix of `choice`, those given, and the oracles; on the report split.

    Args:
        report: the report split.
        choice: column that the judged policy chose for each row; -1 for nobody.
        best, cheapest: columns of the single models that were best and cheapest before the report.
        more: further lines, e.g. trivial predictors.
    """
    names = report.models
    counts = np.bincount(choice[choice >= 0], minlength=len(names))
    lines = [single(report, column, name) for column, name in enumerate(names)]
    lines.append(single(report, cheapest, f"cheapest ({names[cheapest]})"))
    lines.append(single(report, best, f"best single ({names[best]})"))
    lines.append(random_mix(report, counts / len(report)))
    corrected = corrected_oracle(report)
    return [*lines, *more, *([corrected] if corrected is not None else []), oracle(report)]


def trivial_baselines(state: SweepState) -> list[Baseline]:
    """The trivial predictors at their own chosen thresholds, on the report split."""
    return [_as_baseline(state, kind, name) for kind, name in TRIVIAL.items() if kind in state.report]


def _as_baseline(state: SweepState, kind: str, name: str) -> Baseline:
    """A trivial predictor at its own chosen threshold."""
    replay = state.report[kind]
    choice, rows = replay.choices_at(state.picks[kind].threshold), np.arange(len(replay.matrix))
    return Baseline(name, replay.matrix.score[rows, choice], replay.matrix.cost_usd[rows, choice])


def baseline_json(baseline: Baseline, groups: Sequence[str]) -> dict[str, Any]:
    """A line of the table of baselines."""
    line: dict[str, Any] = {
        "score": float(baseline.score.mean()),
        "score_ci": list(mean_score(np.clip(baseline.score, 0.0, 1.0), groups).ci),
        "cost_usd_per_1k": 1000 * float(baseline.cost_usd.mean()),
    }
    return line if baseline.note is None else {**line, "note": baseline.note}


def policy_json(state: SweepState, name: str) -> dict[str, Any]:
    """A predictor's frontier and its picked threshold on the report split."""
    replay, found, picked = state.report[name], state.found[name], state.picks[name]
    frontier, matrix = replay.frontier, replay.matrix
    costs = matrix.cost_usd.mean(axis=0)
    area = aiq(frontier.cost_usd, frontier.score, least_cost=float(costs.min()), most_cost=float(costs.max()))
    points = [
        [1000 * float(frontier.cost_usd[k]), float(frontier.score[k]), float(frontier.thresholds[k])]
        for k in frontier.thinned()
    ]
    return {
        "aiq": _known(area),
        "apgr": recovered_area(replay),
        "n_thresholds": len(frontier),
        "points": points,
        "picked": {
            "threshold": picked.threshold,
            "optimism": picked.score - found.score.mean,
            **comparison_json(found),
        },
    }


def recovered_area(replay: Replay) -> float | None:
    """APGR of a two-model replay by predicted uplift; None for more models, or when the dearer one is not the better one."""
    matrix = replay.matrix
    if len(matrix.models) != 2:
        return None
    cost, score = matrix.cost_usd.mean(axis=0), matrix.score.mean(axis=0)
    strong = int(cost.argmax())
    if score[strong] <= score[1 - strong]:
        return None
    quality = replay.predictions.quality
    signal = quality[:, strong] - quality[:, 1 - strong]
    return apgr(call_curve(signal, matrix.score[:, 1 - strong], matrix.score[:, strong]))


def comparison_json(found: Comparison) -> dict[str, Any]:
    """A policy beside the best single model, with every interval."""
    return {
        **found.to_json(),
        "score_difference_ci_all": list(found.score_difference_ci_all or found.score_difference.ci),
        "over_singles": None if found.over_singles is None else found.over_singles.mean,
        "over_singles_ci": None if found.over_singles is None else list(found.over_singles.ci),
        "cost_saving": _saving(found.cost_share),
    }


def _saving(share: Measured | None) -> dict[str, float | list[float]] | None:
    """Saved share of the best single model's cost; None when that is free."""
    if share is None:
        return None
    low, high = (-end + 0.0 for end in reversed(share.ci))
    return {"share": -share.mean + 0.0, "ci": [low, high]}


def _chosen_json(state: SweepState) -> dict[str, Any]:
    found, chosen = state.found[state.chosen.name], state.chosen
    return {
        "policy": chosen.name,
        "threshold": chosen.threshold,
        **comparison_json(found),
        "optimism": chosen.score - found.score.mean,
        "choose_score": chosen.score,
        "choose_cost_usd_per_1k": 1000 * chosen.cost_usd,
        "shares": state.matrix.shares(state.choice),
    }


def _report_frame(state: SweepState) -> pl.DataFrame:
    """The report split under the recommended policy."""
    matrix = state.report[state.chosen.name].matrix
    column = state.choice if state.verdict.answer == "route" else np.full(len(matrix), state.single, np.intp)
    return measured_frame(matrix, column, state.single)


def measured_frame(matrix: OutcomeMatrix, column: IntArray, best: int) -> pl.DataFrame:
    """A split's prompts, the model chosen for each, what that measured, and the best single model's score and cost."""
    rows = np.arange(len(matrix))
    latency = matrix.latency_s[rows, column]
    measured = pl.DataFrame(
        {
            "choice": [matrix.models[j] for j in column],
            "score": matrix.score[rows, column],
            "cost_usd": matrix.cost_usd[rows, column],
            "latency_s": pl.Series(latency).fill_nan(None),
            "best_single_score": matrix.score[:, best],
            "best_single_cost_usd": matrix.cost_usd[:, best],
        }
    )
    return matrix.prompts.hstack(measured)


def _pilot_frame(state: SweepState) -> pl.DataFrame:
    """The choose split with the recommended policy's choices."""
    matrix = state.choose[state.chosen.name].matrix
    column = state.policy.choose(matrix.queries)
    return matrix.prompts.with_columns(pl.Series("choice", [matrix.models[j] for j in column]))


def heat_of(matrix: OutcomeMatrix, choice: IntArray) -> pl.DataFrame:
    """Mean score by task: each model, and the policy with these choices (nobody, -1, scores 0)."""
    chosen = np.where(choice >= 0, matrix.score[np.arange(len(matrix)), choice], 0.0)
    columns = {f"model:{name}": matrix.score[:, j] for j, name in enumerate(matrix.models)}
    frame = pl.DataFrame({"task": pl.Series(matrix.queries.tasks, dtype=pl.String), **columns, "policy": chosen})
    means = frame.group_by("task").agg(pl.len().alias("n"), pl.exclude("task").mean())
    return means.sort("task").rename({f"model:{name}": name for name in matrix.models})


def frontier_band(replay: Replay, rng: np.random.Generator) -> Band:
    """Pointwise 95 % band of the mean score at thinned thresholds, resampling groups."""
    kept = replay.frontier.thinned(BAND_POINTS)
    _, index = np.unique(np.array(replay.matrix.groups), return_inverse=True)
    draws = [
        replay.switches.realised(replay.matrix.score, weights[index])[kept]
        for chunk in resampled_weights(int(index.max()) + 1, BAND_DRAWS, rng)
        for weights in chunk
    ]
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    return Band(replay.frontier.cost_usd[kept], low, high)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
