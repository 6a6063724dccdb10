"""Tables of routing strategies: what each picked setting is worth beside trivial baselines, cascades, and which strategy when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.core import Request
from workbench.evaluation.statistics import paired_difference
from workbench.routing import Circumstances, Policy, Queries
from workbench.tuning.cascade import CascadeResult
from workbench.tuning.evidence import Measured, compare
from workbench.tuning.selection import pick
from workbench.tuning.strategy_trials import StrategyTrial
from workbench.tuning.sweeps import SweepState

TRIVIAL = {"prompt-length": "prompt length alone", "task-mean": "task label alone"}


def because(policy: Policy, prompt: str, task: str | None = None, in_flight: Mapping[str, int] | None = None) -> str:
    """Why the policy would choose as it does for this prompt, in its own words.

    Args:
        policy: decides.
        prompt: of one request.
        task: where known.
        in_flight: model → calls on their way; others have none. None: load is not known.
    """
    queries = Queries.from_requests([Request.from_prompt(prompt, task=task)])
    given = Circumstances.of(queries)
    if in_flight is not None:
        row = [[float(in_flight.get(name, 0)) for name in policy.models]]
        given = Circumstances(queries.tasks, in_flight=np.array(row), draws=given.draws)
    return policy.decide(queries, given=given)[0].because


def strategies_table(trials: Sequence[StrategyTrial]) -> pl.DataFrame:
    """One line a strategy and trivial baseline on the report split: means, differences to the best single model, and the verdict.

    Differences are paired by prompt; intervals are 95 %, paraphrase groups resampled. `change` is of what the strategy saves, money or
    seconds, against the best single model. `against_task_label` is null where no prompt has a label.
    """
    lines = [{**_strategy(trial), "against_task_label": _against_label(trial)} for trial in trials]
    return pl.DataFrame([*lines, *_trivial(trials[0].state)], infer_schema_length=None)


def _strategy(trial: StrategyTrial) -> dict[str, Any]:
    found, saved = trial.comparison, trial.comparison if trial.axis == "cost_usd" else trial.seconds
    share = saved.cost_difference.mean / saved.single_cost_usd if saved.single_cost_usd > 0 else None
    return {
        "strategy": trial.name,
        "saves": "money" if trial.axis == "cost_usd" else "seconds",
        **_scores(found.score, found.score_difference),
        "usd_per_1k": 1000 * found.cost_usd.mean,
        "ms": None if found.latency_s is None else 1000 * found.latency_s.mean,
        "change": share,
        "unserved": float(trial.points.unserved[trial.picked]),
        "optimism": trial.optimism,
        "pays": "yes" if trial.verdict.answer == "route" else "no",
    }


def _against_label(trial: StrategyTrial) -> list[float] | None:
    """Interval of the score difference to what the task label alone would choose."""
    state, replay = trial.state, trial.replay
    if "task-mean" not in state.report:
        return None
    picked = pick({"task-mean": state.choose["task-mean"]}, state.single)
    label = state.report["task-mean"].choices_at(picked.threshold)
    rows, score = np.arange(len(replay.matrix)), replay.matrix.score
    rng = np.random.default_rng([state.config.seed, 7])
    found = paired_difference(score[rows, trial.choice], score[rows, label], groups=replay.matrix.groups, rng=rng)
    return list(found.ci)


def _trivial(state: SweepState) -> list[dict[str, Any]]:
    """Best single, random at its cheapest, and what prompt length or the task label alone would choose."""
    replay = state.report[state.chosen.name]
    matrix, rng = replay.matrix, np.random.default_rng([state.config.seed, 1])
    single = compare(matrix, np.full(len(matrix), state.single, np.intp), state.single, rng, 500)
    lines = [_baseline(f"always {matrix.models[state.single]} (best single)", single)]
    for kind, name in TRIVIAL.items():
        if kind in state.report:
            picked = pick({kind: state.choose[kind]}, state.single)
            choice = state.report[kind].choices_at(picked.threshold)
            lines.append(_baseline(name, compare(matrix, choice, state.single, rng, 500)))
    return lines


def _baseline(name: str, found: Any) -> dict[str, Any]:
    return {
        "strategy": name,
        "saves": None,
        **_scores(found.score, found.score_difference),
        "usd_per_1k": 1000 * found.cost_usd.mean,
        "ms": None if found.latency_s is None else 1000 * found.latency_s.mean,
        "change": found.cost_difference.mean / found.single_cost_usd if found.single_cost_usd > 0 else None,
        "unserved": 0.0,
        "optimism": None,
        "pays": None,
    }


def _scores(score: Measured, difference: Measured) -> dict[str, Any]:
    return {"score": score.mean, "score_ci": list(score.ci), "against_best_single": list(difference.ci)}


def cascades_table(results: Mapping[str, CascadeResult]) -> pl.DataFrame:
    """One line a cascade: score, cost and serial seconds beside the best single model, and the verdict.

    `spared_last` is the share of requests for which the last model was not asked.

    Args:
        results: label → swept cascade.
    """
    return pl.DataFrame([_cascade(label, result.document) for label, result in results.items()])


def _cascade(label: str, document: Mapping[str, Any]) -> dict[str, Any]:
    chosen, single = document["chosen"], document["baselines"][document["best_single"]]
    return {
        "cascade": label,
        "score": chosen["score"],
        "against_best_single": chosen["score_difference_ci"],
        "usd_per_1k": chosen["cost_usd_per_1k"],
        "ms": None if chosen["latency_s"] is None else 1000 * chosen["latency_s"],
        "best_single_ms": None if single["latency_s"] is None else 1000 * single["latency_s"],
        "spared_last": 1.0 - list(chosen["stops_at"].values())[-1],
        "optimism": chosen["optimism"],
        "pays": "yes" if document["verdict"] == "cascade" else "no",
    }


def which_when(trials: Mapping[str, StrategyTrial], cascades: Mapping[str, CascadeResult]) -> pl.DataFrame:
    """Which strategy for which wish, what it did in this run, and whether that was shown to pay.

    Args:
        trials: kind of objective → its trial.
        cascades: label → swept cascade.
    """
    lines = [
        {"you want": WISHES[kind], "take": kind, "here": _here(trial), "pays here": _yes(trial.verdict.answer)}
        for kind, trial in trials.items()
    ]
    paying = [label for label, result in cascades.items() if result.verdict.answer == "route"]
    best = max(cascades, key=lambda label: cascades[label].document["chosen"]["score"])
    chosen = cascades[best].document["chosen"]
    low, high = chosen["score_difference_ci"]
    share = chosen["cost_difference_usd_per_1k"] / (chosen["cost_usd_per_1k"] - chosen["cost_difference_usd_per_1k"])
    lines.append(
        {
            "you want": "to see an answer before paying for a better one",
            "take": f"cascade ({best})",
            "here": f"score {chosen['score_difference']:+.3f} [{low:+.3f}, {high:+.3f}] at {100 * share:+.0f} % cost",
            "pays here": "yes" if paying else "no",
        }
    )
    return pl.DataFrame(lines)


WISHES = {
    "capability": "a stated chance of a right answer, as cheaply as possible",
    "cost-aware": "the most score for the money",
    "latency-aware": "the soonest good answer, also under load",
    "hybrid": "score, money and seconds weighed, within limits that must hold",
}


def _here(trial: StrategyTrial) -> str:
    found = trial.comparison if trial.axis == "cost_usd" else trial.seconds
    low, high = found.score_difference.ci
    share = 100 * found.cost_difference.mean / found.single_cost_usd
    what = "cost" if trial.axis == "cost_usd" else "seconds"
    return f"score {found.score_difference.mean:+.3f} [{low:+.3f}, {high:+.3f}] at {share:+.0f} % {what}"


def _yes(answer: str) -> str:
    return "yes" if answer == "route" else "no"
