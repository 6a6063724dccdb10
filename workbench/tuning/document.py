"""The result of a sweep as the JSON contract, the report table, and what figures need."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench.evaluation.statistics import mean_score, resampled_weights
from workbench.routing.calibration import reliability
from workbench.tuning.baselines import (
    Baseline,
    cheapest_single,
    corrected_oracle,
    oracle,
    random_mix,
    single,
)
from workbench.tuning.evidence import Comparison, Measured
from workbench.tuning.metrics import FORMULAS, aiq, apgr, call_curve
from workbench.tuning.result import Band, SweepResult
from workbench.tuning.selection import Replay, rule_text
from workbench.tuning.sweeps import SweepState

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
        heat=_heat(state),
    )


def _document(state: SweepState) -> dict[str, Any]:
    matrix = state.matrix
    return {
        "run_id": None,
        "n_prompts": len(matrix),
        "n_models": len(matrix.models),
        "split": state.split.sizes(),
        "baselines": {b.name: _baseline_json(b, state) for b in _baselines(state)},
        "policies": {name: _policy_json(state, name) for name in state.report},
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
        "power": _power_json(state),
        "calibration": state.config.calibration_method,
        "reliability": _reliability_json(state),
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


def _reliability_json(state: SweepState) -> dict[str, Any]:
    """How far the chosen predictor's scores come true on the report split, model by model."""
    replay, found = state.report[state.chosen.name], {}
    for column, name in enumerate(replay.matrix.models):
        rng = np.random.default_rng([state.config.seed, 3, column])
        predicted, realised = replay.predictions.quality[:, column], replay.matrix.score[:, column]
        curve = reliability(predicted, realised, replay.matrix.groups, rng, draws=RELIABILITY_DRAWS)
        bins = zip(curve.predicted.tolist(), curve.realised.tolist(), curve.count.tolist(), strict=True)
        found[name] = {
            "ece": curve.ece,
            "ece_ci": list(curve.ece_ci),
            "ece_by_chance": curve.ece_by_chance,
            "bins": [list(part) for part in bins],
        }
    return found


def _power_json(state: SweepState) -> dict[str, Any] | None:
    power = state.verdict.power
    return None if power is None else {"report": power.report, "total": power.total, "because": power.because}


def _embedder_name(state: SweepState) -> str:
    embedder = state.config.embedder
    return embedder if isinstance(embedder, str) else embedder.fingerprint


def _baselines(state: SweepState) -> list[Baseline]:
    """Singles, cheapest, best single, random, the trivial predictors as picked, and the oracles; on the report split."""
    report = state.report[state.chosen.name].matrix
    names = report.models
    counts = np.bincount(state.choice, minlength=len(names))
    lines = [single(report, column, name) for column, name in enumerate(names)]
    cheapest = cheapest_single(state.choose[state.chosen.name].matrix)
    lines.append(single(report, cheapest, f"cheapest ({names[cheapest]})"))
    lines.append(single(report, state.single, f"best single ({names[state.single]})"))
    lines.append(random_mix(report, counts / len(report)))
    lines += [_as_baseline(state, kind, name) for kind, name in TRIVIAL.items() if kind in state.report]
    corrected = corrected_oracle(report)
    return [*lines, *([corrected] if corrected is not None else []), oracle(report)]


def _as_baseline(state: SweepState, kind: str, name: str) -> Baseline:
    """A trivial predictor at its own chosen threshold."""
    replay = state.report[kind]
    choice, rows = replay.choices_at(state.picks[kind].threshold), np.arange(len(replay.matrix))
    return Baseline(name, replay.matrix.score[rows, choice], replay.matrix.cost_usd[rows, choice])


def _baseline_json(baseline: Baseline, state: SweepState) -> dict[str, Any]:
    groups = state.report[state.chosen.name].matrix.groups
    line: dict[str, Any] = {
        "score": float(baseline.score.mean()),
        "score_ci": list(mean_score(np.clip(baseline.score, 0.0, 1.0), groups).ci),
        "cost_usd_per_1k": 1000 * float(baseline.cost_usd.mean()),
    }
    return line if baseline.note is None else {**line, "note": baseline.note}


def _policy_json(state: SweepState, name: str) -> dict[str, Any]:
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
            **_comparison_json(found),
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


def _comparison_json(found: Comparison) -> dict[str, Any]:
    return {
        **found.to_json(),
        "score_difference_ci_all": list(found.score_difference_ci_all or found.score_difference.ci),
        "over_singles": None if found.over_singles is None else found.over_singles.mean,
        "over_singles_ci": None if found.over_singles is None else list(found.over_singles.ci),
        "cost_saving": _saving(found.cost_difference, found.single_cost_usd),
    }


def _saving(difference: Measured, single_cost: float) -> dict[str, float | list[float]] | None:
    """Saved share of the best single model's cost; None when that is free."""
    if single_cost <= 0:
        return None
    low, high = (-end / single_cost + 0.0 for end in reversed(difference.ci))
    return {"share": -difference.mean / single_cost + 0.0, "ci": [low, high]}


def _chosen_json(state: SweepState) -> dict[str, Any]:
    found, chosen = state.found[state.chosen.name], state.chosen
    counts = np.bincount(state.choice, minlength=len(state.matrix.models)) / found.n
    return {
        "policy": chosen.name,
        "threshold": chosen.threshold,
        **_comparison_json(found),
        "optimism": chosen.score - found.score.mean,
        "choose_score": chosen.score,
        "choose_cost_usd_per_1k": 1000 * chosen.cost_usd,
        "shares": dict(zip(state.matrix.models, counts.tolist(), strict=True)),
    }


def _report_frame(state: SweepState) -> pl.DataFrame:
    """The report split under the recommended policy."""
    matrix = state.report[state.chosen.name].matrix
    column = state.choice if state.verdict.answer == "route" else np.full(len(matrix), state.single, np.intp)
    rows = np.arange(len(matrix))
    latency = matrix.latency_s[rows, column]
    measured = pl.DataFrame(
        {
            "choice": [matrix.models[j] for j in column],
            "score": matrix.score[rows, column],
            "cost_usd": matrix.cost_usd[rows, column],
            "latency_s": pl.Series(latency).fill_nan(None),
            "best_single_score": matrix.score[:, state.single],
            "best_single_cost_usd": matrix.cost_usd[:, state.single],
        }
    )
    return matrix.prompts.hstack(measured)


def _pilot_frame(state: SweepState) -> pl.DataFrame:
    """The choose split with the recommended policy's choices."""
    matrix = state.choose[state.chosen.name].matrix
    column = state.policy.choose(matrix.queries)
    return matrix.prompts.with_columns(pl.Series("choice", [matrix.models[j] for j in column]))


def _heat(state: SweepState) -> pl.DataFrame:
    """Mean score by task: each model, and the chosen policy."""
    matrix = state.report[state.chosen.name].matrix
    chosen = matrix.score[np.arange(len(matrix)), state.choice]
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
