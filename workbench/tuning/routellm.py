"""RouteLLM's tables again: routers between GPT-4 and Mixtral on its MMLU, GSM8K and MT-Bench rows, five-fold, beside what it published.

Source: Ong et al., arXiv 2406.18665; rows: https://github.com/lm-sys/RouteLLM (Apache-2.0). They are not part of this package.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core import ConfigError
from workbench.embedding import Embedder
from workbench.evaluation import Outcomes
from workbench.evaluation.importers import import_from
from workbench.evaluation.importers.routellm import BROKEN_SUBJECT
from workbench.tuning.matrix import OutcomeMatrix
from workbench.tuning.recovery import (
    DRAWS,
    NO_LABEL,
    FloatArray,
    Recovery,
    apgr_difference,
    apgr_of,
    folds_by_task,
    out_of_fold_uplift,
    random_spread,
    recoveries,
    recovery,
    weak_and_strong,
)
from workbench.tuning.selection import default_predictors
from workbench.tuning.sweeps import EmbeddedTexts

Progress = Callable[[str], None]
DEFAULT = default_predictors(())[0]
ORACLE = "oracle on these answers"
SETS = ("mmlu", "gsm8k", "mt_bench")
KINDS: Mapping[str, tuple[str, ...]] = {
    "mmlu": ("prompt-length", "task-mean", "knn", "ridge", DEFAULT + NO_LABEL, DEFAULT),
    "gsm8k": ("prompt-length", "knn", "ridge", DEFAULT),
    "mt_bench": ("prompt-length", "knn", "ridge", DEFAULT + NO_LABEL, DEFAULT),
}
"""Routers by set; those without the ending " (no subject)" read the task label if they can."""
UNSEEN = ("prompt-length", "ridge", DEFAULT + NO_LABEL)
GOALS = {"mmlu": {DEFAULT + NO_LABEL: 0.655, DEFAULT: 0.670}, "gsm8k": {DEFAULT: 0.625}}
"""APGR that was set as the goal before any of these runs."""

PUBLISHED_NOTE = (
    "copied by hand from the article (arXiv 2406.18665); its routers were trained on Chatbot Arena and judged on all rows left after "
    "decontamination (high school mathematics in) on ten bins, where ours learn on four fifths of the set itself"
)
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "mmlu": {
        "random": (0.500, 50.1, 79.9),
        "causal LLM, augmented": (0.600, 35.5, 70.3),
        "BERT, augmented": (0.572, 41.3, 72.2),
        "matrix factorisation, augmented": (0.597, 35.5, 71.4),
        "similarity-weighted, augmented": (0.603, 35.4, 71.6),
    },
    "gsm8k": {
        "random": (0.497, 50.0, 80.1),
        "causal LLM, augmented": (0.622, 34.0, 64.0),
        "BERT, augmented": (0.531, 44.8, 79.1),
        "matrix factorisation, augmented": (0.565, 39.0, 73.0),
        "similarity-weighted, augmented": (0.568, 41.0, 72.0),
    },
    "mt_bench": {
        "random": (0.500, 49.0, 78.1),
        "causal LLM, augmented": (0.679, 31.5, 48.8),
        "BERT, augmented": (0.751, 19.6, 34.0),
        "matrix factorisation, augmented": (0.802, 13.4, 31.3),
        "similarity-weighted, augmented": (0.759, 23.2, 36.0),
    },
}
"""Set → router → APGR, then CPT50 and CPT80 in percent of strong calls."""


@dataclass(frozen=True, slots=True, eq=False)
class Reproduction:
    """One set: its table as a JSON-ready document, every router's curve, and its out-of-fold uplift of each row."""

    name: str
    document: dict[str, Any]
    found: dict[str, Recovery]
    signals: dict[str, FloatArray]


def find_rows(named: str | Path = "") -> Path | None:
    """The folder of RouteLLM's rows: the one named, else $WORKBENCH_DATA/routing/routellm; None where that is not there.

    Raises:
        ConfigError: a folder is named and is not there.
    """
    if named:
        if not Path(named).is_dir():
            raise ConfigError(f"no folder at {named}: name a checkout of RouteLLM's repository")
        return Path(named)
    root = os.environ.get("WORKBENCH_DATA")
    rows = Path(root) / "routing/routellm" if root else None
    return rows if rows is not None and rows.is_dir() else None


def routellm_outcomes(rows: Path, name: str, *, keep_broken: bool = False, most: int = 0, seed: int = 0) -> Outcomes:
    """Outcomes of one set, `most` prompts of it drawn by lot (0: all); the manifest's notes say what was left out.

    Raises:
        ConfigError: unknown set or missing files.
    """
    outcomes = import_from("routellm", rows, subset=name, keep_broken=keep_broken)
    return sampled(outcomes, most, seed)


def sampled(outcomes: Outcomes, most: int, seed: int = 0) -> Outcomes:
    """`most` prompts drawn by lot, with a note that says so; everything where there are no more, or `most` is 0."""
    import dataclasses

    n = len(outcomes.prompts)
    if not most or most >= n:
        return outcomes
    prompts = outcomes.prompts.sample(most, seed=seed)
    frame = outcomes.frame.join(prompts.select("prompt_id"), on="prompt_id", how="semi")
    notes = (*outcomes.manifest.notes, f"a sample: {most} of {n} prompts, drawn by lot (seed {seed})")
    return Outcomes.from_frames(frame, prompts, dataclasses.replace(outcomes.manifest, notes=notes))


def reproduce(
    name: str,
    matrix: OutcomeMatrix,
    embedder: Embedder,
    *,
    draws: int = DRAWS,
    kinds: tuple[str, ...] = (),
    unseen: tuple[str, ...] = UNSEEN,
    progress: Progress = lambda line: None,
) -> Reproduction:
    """The table of one set: each router five-fold by prompt, on MMLU on unseen subjects too, the oracle, and the published numbers.

    Args:
        name: "mmlu", "gsm8k" or "mt_bench".
        matrix: its rows.
        embedder: for the predictors that read text.
        draws: resamples behind each interval.
        kinds: routers instead of the set's own list.
        unseen: routers judged on whole subjects that they never saw (MMLU only).
        progress: called with a line at the beginning of each stage.
    """
    weak, strong = weak_and_strong(matrix)
    known = EmbeddedTexts(embedder, matrix.queries.texts)
    found, signals = recoveries(kinds or KINDS[name], matrix, known, draws=draws, progress=progress)
    found[ORACLE] = recovery(matrix.score[:, strong] - matrix.score[:, weak], matrix, draws)
    document = {
        "n": len(matrix),
        "weak": {"model": matrix.models[weak], "score": float(matrix.score[:, weak].mean())},
        "strong": {"model": matrix.models[strong], "score": float(matrix.score[:, strong].mean())},
        "random": {"apgr": 0.5, "sd_between_draws": random_spread(matrix)},
        "five_fold": {kind: one.to_dict() for kind, one in found.items()},
        "unseen_subjects": _unseen(matrix, known, unseen, draws, progress) if unseen and name == "mmlu" else {},
        "published": published_rows(name),
    }
    return Reproduction(name, document, found, signals)


def published_rows(name: str) -> dict[str, dict[str, float]]:
    """What the article gives for a set, CPT in shares of strong calls."""
    return {
        router: {"apgr": area, "cpt50": half / 100, "cpt80": most / 100}
        for router, (area, half, most) in PUBLISHED[name].items()
    }


def _unseen(
    matrix: OutcomeMatrix, known: Embedder, kinds: tuple[str, ...], draws: int, progress: Progress
) -> dict[str, Any]:
    """Whole subjects held out, and each router's paired difference to routing by length."""
    kinds = ("prompt-length", *(kind for kind in kinds if kind != "prompt-length"))
    found, signals = recoveries(kinds, matrix, known, folds=folds_by_task(matrix), draws=draws, progress=progress)
    rows = {kind: one.to_dict() for kind, one in found.items()}
    for kind, signal in signals.items():
        difference, interval = apgr_difference(signal, signals["prompt-length"], matrix, draws)
        rows[kind]["over_length"] = {"difference": difference, "ci": None if interval is None else list(interval)}
    return rows


def verdict_on_length(row: Mapping[str, Any]) -> str:
    """Whether a router beats prompt length on subjects it never saw, with the interval, in a sentence's half."""
    difference, interval = row["over_length"]["difference"], row["over_length"]["ci"]
    if interval is None:
        return f"cannot be told from prompt length: APGR {difference:+.3f}, too few rows for an interval"
    low, high = interval
    answer = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
    return f"{answer} prompt length: APGR {difference:+.3f} [{low:+.3f}, {high:+.3f}], paired"


@dataclass(frozen=True, slots=True)
class BrokenSubject:
    """What the damaged subject does to a router that learns from it, judged on the other subjects' rows.

    Args:
        n: its prompts.
        strong_right, weak_right: how many of them each model has right, as recorded.
        apgr_with, apgr_without: of the router that learned with and without them.
        difference, ci: with − without, paired.
        near_with, near_without: share of the other mathematics questions among the half that goes to the strong model.
    """

    n: int
    strong_right: float
    weak_right: float
    apgr_with: float
    apgr_without: float
    difference: float
    ci: tuple[float, float] | None
    near_with: float
    near_without: float


def broken_subject(
    matrix: OutcomeMatrix, embedder: Embedder, *, kind: str = DEFAULT + NO_LABEL, draws: int = DRAWS
) -> BrokenSubject:
    """The effect of MMLU's damaged subject.

    Args:
        matrix: MMLU's rows with the subject kept.
        embedder: for predictors that read text.
        kind: the predictor; the default one without labels.
        draws: resamples behind the interval.

    Raises:
        ConfigError: the subject is not among the rows.
    """
    tasks = np.array([str(task) for task in matrix.queries.tasks])
    damaged = tasks == BROKEN_SUBJECT
    if not damaged.any():
        raise ConfigError(f"no row of {BROKEN_SUBJECT}: import MMLU with --keep-broken")
    weak, strong = weak_and_strong(matrix)
    known = EmbeddedTexts(embedder, matrix.queries.texts)
    clean = matrix.take(~damaged)
    signal = {
        "with": out_of_fold_uplift(kind, matrix, known)[~damaged],
        "without": out_of_fold_uplift(kind, matrix, known, learn_from=~damaged)[~damaged],
    }
    near = np.char.endswith(tasks[~damaged], "mathematics") | (tasks[~damaged] == "abstract_algebra")
    difference, interval = apgr_difference(signal["with"], signal["without"], clean, draws)
    areas = {name: apgr_of(values, clean) for name, values in signal.items()}
    return BrokenSubject(
        n=int(damaged.sum()),
        strong_right=float(matrix.score[damaged, strong].sum()),
        weak_right=float(matrix.score[damaged, weak].sum()),
        apgr_with=areas["with"],
        apgr_without=areas["without"],
        difference=difference,
        ci=interval,
        near_with=_share_in_upper_half(signal["with"], near),
        near_without=_share_in_upper_half(signal["without"], near),
    )


def _share_in_upper_half(signal: FloatArray, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """How many of these rows are among the half with the larger signal; NaN without such rows."""
    return float(np.mean(signal[rows] >= np.median(signal))) if rows.any() else float("nan")


def ten_bin_apgr(signal: FloatArray, weak: FloatArray, strong: FloatArray, bins: int = 10) -> float:
    """APGR as RouteLLM's `evaluate.py` computes it: the exact curve only at the quantiles of the signal, trapezoids between.

    Args:
        signal: shape (n,); strong where it is at or above a quantile (above the last one).
        weak, strong: scores, shape (n,).
        bins: `--num-results`.

    Source: `routellm/evals/evaluate.py::apgr_metric` and `benchmarks.py::evaluate` of RouteLLM 0.2.0.
    """
    thresholds = np.quantile(signal, np.linspace(0, 1, bins + 1))
    chosen = signal[None, :] >= thresholds[:, None]
    chosen[-1] = signal > thresholds[-1]
    share, score = chosen.mean(axis=1), np.where(chosen, strong, weak).mean(axis=1)
    order = np.argsort(share, kind="stable")
    share, score = share[order], score[order]
    width = share[-1] - share[0]
    area = float(np.trapezoid(score, share))
    return float((area - weak.mean() * width) / (width * (strong.mean() - weak.mean())))
