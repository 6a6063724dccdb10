"""Tables of selection: what each split said, what another seed would have said, and whether a saved policy decides as the swept one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation import Outcomes
from workbench.routing import Queries, load_policy
from workbench.tracking import Tracking, init
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.sweeps import SweepConfig, sweep_matrix


def only_models(outcomes: Outcomes, models: Sequence[str]) -> Outcomes:
    """The Outcomes of some of the models, on the same prompts.

    Raises:
        ConfigError: one of them was not recorded.
    """
    for name in models:
        if name not in outcomes.models:
            raise ConfigError(f"{name!r} was not recorded: {did_you_mean(name, outcomes.models)}")
    kept = outcomes.frame.filter(pl.col("model").is_in(list(models)))
    return Outcomes.from_frames(kept, outcomes.prompts, outcomes.manifest)


def optimism_table(documents: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """What each split said of the chosen setting: the held-out rows of tune, choose, and the untouched report with its interval.

    Args:
        documents: label → document of a sweep, of a space or of a cascade.

    `tune` is null where nothing was scored there; `optimism` is the choose split's score minus the report split's.
    """
    return pl.DataFrame([_optimism(label, document) for label, document in documents.items()], infer_schema_length=None)


def _optimism(label: str, document: Mapping[str, Any]) -> dict[str, Any]:
    chosen = document["chosen"]
    return {
        "swept": label,
        "settings": _settings(document),
        "tune": chosen.get("tune_score"),
        "choose": chosen["score"] + chosen["optimism"],
        "report": chosen["score"],
        "report_ci": chosen["score_ci"],
        "optimism": chosen["optimism"],
    }


def _settings(document: Mapping[str, Any]) -> int:
    """How many different settings were looked at."""
    if "looked_at" in document:
        return int(document["looked_at"]["in_all"])
    return int(sum(line["n_thresholds"] for line in document["policies"].values()))


def verdict_table(documents: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """One line a sweep: paired differences to the best single model with their 95 % intervals, how many prompts would settle it, verdict.

    Args:
        documents: label → document of a sweep, of a space or of a cascade.

    `ci_for_all` holds for all policies of that sweep together (Bonferroni); null where one was judged alone. `prompts_needed` is null
    where more prompts would not help, or were not asked about.
    """
    return pl.DataFrame([_verdict(label, document) for label, document in documents.items()], infer_schema_length=None)


def _verdict(label: str, document: Mapping[str, Any]) -> dict[str, Any]:
    chosen, power = document["chosen"], document.get("power") or {}
    single = document["baselines"][document["best_single"]]
    return {
        "swept": label,
        "score_difference": chosen["score_difference"],
        "ci": chosen["score_difference_ci"],
        "ci_for_all": chosen.get("score_difference_ci_all"),
        "cost_change": chosen["cost_difference_usd_per_1k"] / single["cost_usd_per_1k"],
        "prompts_needed": power.get("total"),
        "n_prompts": document["n_prompts"],
        "pays": "yes" if document["verdict"] in ("route", "cascade") else "no",
    }


def policies_table(document: Mapping[str, Any]) -> pl.DataFrame:
    """Each policy of a sweep at its own picked threshold: one interval for itself, one that holds for all of them together."""
    rows = [
        {
            "policy": name,
            "n_thresholds": line["n_thresholds"],
            "score_difference": line["picked"]["score_difference"],
            "ci": line["picked"]["score_difference_ci"],
            "ci_for_all": line["picked"]["score_difference_ci_all"],
            "cost_usd_per_1k": line["picked"]["cost_usd_per_1k"],
            "optimism": line["picked"]["optimism"],
        }
        for name, line in document["policies"].items()
    ]
    return pl.DataFrame(rows)


def seeds_table(matrix: OutcomeMatrix, seeds: Sequence[int], n_bootstrap: int = 500) -> pl.DataFrame:
    """The same sweep with other splits: one line a seed. Nothing is chosen by it; it shows how much hangs on the draw.

    Args:
        matrix: of recorded Outcomes.
        seeds: of the split and the resampling.
        n_bootstrap: resamples behind each interval.

    Raises:
        ConfigError: no seeds.
    """
    if not seeds:
        raise ConfigError("no seeds were given; name at least one")
    rows = []
    for seed in seeds:
        document = sweep_matrix(matrix, SweepConfig(seed=seed, n_bootstrap=n_bootstrap)).document
        line = _verdict(document["chosen"]["policy"], document)
        threshold, optimism = document["chosen"]["threshold"], document["chosen"]["optimism"]
        shown = {name: line[name] for name in ("score_difference", "ci", "cost_change", "pays")}
        rows.append({"seed": seed, "threshold": threshold, **shown, "optimism": optimism})
    return pl.DataFrame(rows)


def saved_agreement(folder: Path, report: pl.DataFrame) -> float:
    """Share of the report split on which the policy saved in a folder chooses what was swept.

    Args:
        folder: of `Policy.save`.
        report: of a sweep's result, with `prompt`, `task` and `choice`.

    Raises:
        ConfigError: no rows.
    """
    if not report.height:
        raise ConfigError("the report split has no rows, so that nothing can be compared")
    policy = load_policy(folder)
    column = policy.choose(Queries.of(report["prompt"].to_list(), report["task"].to_list()))
    chosen = [policy.models[j] for j in column]
    same: int = sum(a == b for a, b in zip(chosen, report["choice"].to_list(), strict=True))
    return float(same / report.height)


def runs_table(experiment: str, run_ids: Sequence[str], tracking: Tracking | None = None) -> Any:
    """Sweeps of the tracking store side by side, as a pandas frame: what MLflow's own comparison lacks are the intervals.

    Args:
        experiment: name.
        run_ids: of the runs to show, in this order.
        tracking: the store; None opens the project's.
    """
    import mlflow

    mlflow.set_tracking_uri((tracking or init()).uri)
    kept = {
        "tags.mlflow.runName": "run",
        "metrics.score": "score",
        "metrics.score_ci_low": "low",
        "metrics.score_ci_high": "high",
        "metrics.cost_usd_per_1k": "USD per 1k",
        "metrics.optimism": "optimism",
        "tags.workbench.verdict": "verdict",
    }
    found = mlflow.search_runs(experiment_names=[experiment]).set_index("run_id").loc[list(run_ids)]
    shown = found.rename(columns=kept).reindex(columns=list(kept.values()))
    return shown.reset_index(drop=True)
