"""RouteLLM's MMLU and GSM8K rows: what simple predictors recover of the gap between Mixtral and GPT-4, and whether a sweep says "route".

    python benchmarks/routellm.py [--data PATH] [--embedder minilm|static] [--sets mmlu,gsm8k]

Writes docs/results/routellm.json, .md and .png. The rows are RouteLLM's published evaluations; PATH is a checkout of that repository
(default $WORKBENCH_DATA/routing/routellm, then ../shared/data/routing/routellm). Without them it says so and writes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.environment import environment
from workbench.core.files import replacing, write_json, write_text
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.evaluation.importers import import_from
from workbench.evaluation.statistics import percentile_interval, resampled_weights
from workbench.routing import Queries, make_predictor
from workbench.routing.predictors.folds import folds_of
from workbench.tuning import OutcomeMatrix, SweepConfig, apgr, call_curve, cpt, sweep_matrix
from workbench.tuning.figures import COLOURS, GREY, new_figure
from workbench.tuning.metrics import CallCurve
from workbench.tuning.sweeps import EmbeddedTexts

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "results"
KINDS = {
    "mmlu": ("prompt-length", "task-mean", "knn", "ridge", "stack (no subject)", "stack"),
    "gsm8k": ("prompt-length", "knn", "ridge", "stack"),
    "mt_bench": ("prompt-length", "knn", "ridge", "stack"),
}
"""Router → as it stands in the table; "(no subject)" hides the task label from a predictor that would read it."""
READS_LABEL = {"task-mean", "stack"}
UNSEEN = ("prompt-length", "ridge", "stack (no subject)")
TARGETS = {"mmlu": {"stack (no subject)": 0.655, "stack": 0.670}, "gsm8k": {"stack": 0.625}}
"""APGR that was set as the goal before these runs."""
DRAWS = 400
RANDOM_RUNS = 200

# Published by RouteLLM (arXiv 2406.18665, tables 1 and 2): APGR, then CPT50 and CPT80 in percent of strong calls. Its routers were
# trained on Chatbot Arena data and judged on all decontaminated rows, ten bins a curve; ours learn on four fifths of the set itself.
PUBLISHED = {
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


def main() -> int:
    options = _options()
    data = _data(options.data)
    if data is None:
        print(
            "skipped: no RouteLLM rows; clone its repository and name it with --data or WORKBENCH_DATA", file=sys.stderr
        )
        return 0
    embedder: Embedder = load_embedder(options.embedder)
    if options.embedder != "static":
        embedder = CachedEmbedder(embedder)
    results: dict[str, Any] = {}
    curves: dict[str, dict[str, CallCurve]] = {}
    for name in options.sets.split(","):
        outcomes = import_from("routellm", data, subset=name)
        matrix = OutcomeMatrix.from_outcomes(outcomes)
        say(f"{name}: {len(matrix)} prompts; embedding with {options.embedder}")
        known = EmbeddedTexts(embedder, matrix.queries.texts)
        results[name], curves[name] = analysed(name, matrix, known)
        results[name]["notes"] = [*outcomes.manifest.notes, *matrix.notes]
    document = {**environment(), "embedder": embedder.fingerprint, "draws": DRAWS, "sets": results}
    write_json(TARGET / "routellm.json", document)
    write_text(TARGET / "routellm.md", as_markdown(document))
    draw(curves, TARGET / "routellm.png")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--embedder", default="minilm", choices=["minilm", "static"])
    parser.add_argument("--sets", default="mmlu,gsm8k,mt_bench")
    return parser.parse_args()


def _data(named: Path | None) -> Path | None:
    root = os.environ.get("WORKBENCH_DATA")
    places = [
        named,
        Path(root) / "routing" / "routellm" if root else None,
        ROOT.parent / "shared/data/routing/routellm",
    ]
    return next((place for place in places if place is not None and place.is_dir()), None)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def analysed(name: str, matrix: OutcomeMatrix, embedder: Embedder) -> tuple[dict[str, Any], dict[str, CallCurve]]:
    """Cross-validated recovery by predictor, on unseen subjects too where there are subjects, and the sweep's verdict."""
    strong = int(matrix.score.mean(axis=0).argmax())
    weak_score, strong_score = matrix.score[:, 1 - strong], matrix.score[:, strong]
    rng = np.random.default_rng(0)
    folds = folds_of(matrix.queries)
    rows, curves = {}, {}
    for kind in KINDS[name]:
        signal = out_of_fold(kind, matrix, strong, folds, embedder)
        curves[kind] = call_curve(signal, weak_score, strong_score)
        rows[kind] = described(curves[kind], signal, matrix, strong)
    best = strong_score - weak_score
    rows["oracle on these answers"] = described(call_curve(best, weak_score, strong_score), best, matrix, strong)
    unseen: dict[str, Any] = {}
    if name == "mmlu":
        signals = {kind: out_of_fold(kind, matrix, strong, subject_folds(matrix), embedder) for kind in UNSEEN}
        for kind, signal in signals.items():
            unseen[kind] = described(call_curve(signal, weak_score, strong_score), signal, matrix, strong)
            unseen[kind]["over_length"] = over_length(signal, signals["prompt-length"], matrix, strong)
    say(f"{name}: sweep")
    swept = sweep_matrix(matrix, SweepConfig(embedder=embedder), say).document
    random = [apgr(call_curve(rng.random(len(matrix)), weak_score, strong_score)) for _ in range(RANDOM_RUNS)]
    return {
        "n": len(matrix),
        "weak": {"model": matrix.models[1 - strong], "score": float(weak_score.mean())},
        "strong": {"model": matrix.models[strong], "score": float(strong_score.mean())},
        "random": {"apgr": 0.5, "sd_between_draws": float(np.std(random))},
        "five_fold": rows,
        "unseen_subjects": unseen,
        "published": {k: {"apgr": a, "cpt50": b / 100, "cpt80": c / 100} for k, (a, b, c) in PUBLISHED[name].items()},
        "sweep": {key: swept[key] for key in ("verdict", "because", "chosen", "split", "baselines", "cost_source")},
    }, curves


def out_of_fold(kind: str, matrix: OutcomeMatrix, strong: int, folds: np.ndarray, embedder: Embedder) -> np.ndarray:
    """Predicted uplift of the strong model for every prompt, by a predictor that saw only the other folds, shape (n,)."""
    say(f"  {kind}, {len(np.unique(folds))} folds")
    signal = np.empty(len(matrix))
    if kind.endswith(" (no subject)"):
        kind = kind.removesuffix(" (no subject)")
        queries = Queries.of(matrix.queries.texts, groups=matrix.queries.groups)
        matrix = dataclasses.replace(matrix, queries=queries)
    for fold in np.unique(folds):
        seen, held = matrix.take(folds != fold), np.flatnonzero(folds == fold)
        predictor = make_predictor(kind, embedder).fit(seen.queries, seen.score, seen.cost_usd, seen.latency_s)
        quality = predictor.predict(matrix.queries[held]).quality
        signal[held] = quality[:, strong] - quality[:, 1 - strong]
    return signal


def subject_folds(matrix: OutcomeMatrix) -> np.ndarray:
    """Five folds of whole subjects, so that a subject is judged by predictors that never saw it."""
    names = sorted(set(matrix.queries.tasks), key=str)
    order = np.random.default_rng(0).permutation(len(names))
    fold = {names[index]: position % 5 for position, index in enumerate(order)}
    return np.array([fold[task] for task in matrix.queries.tasks])


def described(curve: CallCurve, signal: np.ndarray, matrix: OutcomeMatrix, strong: int) -> dict[str, Any]:
    """APGR with an interval from resampled groups, and CPT in shares of strong calls."""
    return {
        "apgr": apgr(curve),
        "apgr_ci": list(percentile_interval(resampled(signal, matrix, strong))),
        **{f"cpt{percent}": cpt(curve, percent / 100) for percent in (20, 50, 80)},
    }


def resampled(signal: np.ndarray, matrix: OutcomeMatrix, strong: int) -> np.ndarray:
    """APGR of each resample of groups, shape (DRAWS,); the same groups are drawn for every signal, so that draws are paired."""
    _, group = np.unique(np.array(matrix.groups), return_inverse=True)
    weak_score, strong_score = matrix.score[:, 1 - strong], matrix.score[:, strong]
    return np.array(
        [
            weighted_apgr(signal, weak_score, strong_score, weights[group])
            for chunk in resampled_weights(int(group.max()) + 1, DRAWS, np.random.default_rng(1))
            for weights in chunk
        ]
    )


def over_length(signal: np.ndarray, length: np.ndarray, matrix: OutcomeMatrix, strong: int) -> dict[str, Any]:
    """Paired difference of APGR to routing by prompt length."""
    difference = resampled(signal, matrix, strong) - resampled(length, matrix, strong)
    weak_score, strong_score = matrix.score[:, 1 - strong], matrix.score[:, strong]
    found, other = (apgr(call_curve(s, weak_score, strong_score)) for s in (signal, length))
    return {"difference": found - other, "ci": list(percentile_interval(difference))}


def weighted_apgr(signal: np.ndarray, weak: np.ndarray, strong: np.ndarray, weights: np.ndarray) -> float:
    """APGR of a resample: row i counts `weights[i]` times."""
    rows = np.repeat(np.arange(len(signal)), weights.astype(np.intp))
    return apgr(call_curve(signal[rows], weak[rows], strong[rows]))


def as_markdown(document: dict[str, Any]) -> str:
    lines = [
        "# RouteLLM's rows: what simple predictors recover",
        "",
        "Written by `python benchmarks/routellm.py`; do not edit. APGR = area under the recovered gap over the share of strong calls,",
        "at every threshold. CPT(p) = least share of strong calls that recovers the part p. Random routing has APGR 0.5.",
        f"Embedder: `{document['embedder']}`. 95 % by {document['draws']} resamples of question groups, predictions held fixed.",
        "",
    ]
    for name, found in document["sets"].items():
        lines += _set_lines(name, found)
    hardware = document["hardware"]
    lines += [f"{document['date']}, commit {document['git_commit']}, {hardware['cpu']}, {hardware['cores']} cores.", ""]
    return "\n".join(lines)


def _set_lines(name: str, found: dict[str, Any]) -> list[str]:
    head = f"{found['n']} prompts; {found['strong']['model']} {found['strong']['score']:.4f}, "
    head += f"{found['weak']['model']} {found['weak']['score']:.4f}."
    lines = [f"## {name.upper()}", "", head, *(f"{note}." for note in found["notes"]), ""]
    lines += ["| router | APGR | 95 % | CPT20 | CPT50 | CPT80 |", "|---|---|---|---|---|---|"]
    lines += [f"| random (sd between draws {found['random']['sd_between_draws']:.3f}) | .500 | | .200 | .500 | .800 |"]
    for kind, row in found["five_fold"].items():
        label = f"{kind} (reads the subject)" if name == "mmlu" and kind in READS_LABEL else kind
        goal = TARGETS.get(name, {}).get(kind)
        label += f" — goal {_short(goal)}: {'reached' if row['apgr'] >= goal else '**not reached**'}" if goal else ""
        lines.append(_row(label if kind.startswith("oracle") else f"{label}, five-fold", row))
    for kind, row in found["unseen_subjects"].items():
        lines.append(_row(f"{kind}, **unseen subjects**", row))
    for kind, row in found["published"].items():
        lines.append(
            f"| *published:* {kind} | {_short(row['apgr'])} | | | {_short(row['cpt50'])} | {_short(row['cpt80'])} |"
        )
    lines += _unseen_lines(found["unseen_subjects"])
    sweep = found["sweep"]
    verdict = sweep["verdict"].replace("_", " ").upper()
    return [*lines, "", f"Sweep ({sweep['cost_source']}): **{verdict}**: {sweep['because']}.", ""]


def _unseen_lines(unseen: dict[str, Any]) -> list[str]:
    """Whether any predictor beats prompt length on subjects that it never saw."""
    lines = [""] if unseen else []
    for kind, row in unseen.items():
        if kind == "prompt-length":
            continue
        difference, (low, high) = row["over_length"]["difference"], row["over_length"]["ci"]
        answer = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
        lines.append(
            f"On subjects never seen, {kind} {answer} prompt length: APGR {difference:+.3f} [{low:+.3f}, {high:+.3f}], paired."
        )
    return lines


def _row(label: str, row: dict[str, Any]) -> str:
    low, high = row["apgr_ci"]
    areas = f"{_short(row['apgr'])} | {_short(low)} to {_short(high)}"
    return f"| {label} | {areas} | {_short(row['cpt20'])} | {_short(row['cpt50'])} | {_short(row['cpt80'])} |"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def draw(sets: dict[str, dict[str, CallCurve]], path: Path) -> None:
    """Recovered gap over the share of strong calls, one panel a set."""
    figure, first = new_figure(5.2 * len(sets), 4.4)
    first.remove()
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, (name, curves) in zip(panels, sets.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.plot([0, 1], [0, 1], ls=":", color=GREY, label="random, expected value")
        for index, (kind, curve) in enumerate(curves.items()):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(curve.share, curve.recovered, lw=1.3, color=colour, label=f"{kind}, APGR {apgr(curve):.3f}")
        axes.set(xlabel="share of calls to GPT-4", ylabel="recovered part of the gap Mixtral to GPT-4")
        axes.set_title(f"{name.upper()}, five-fold, every threshold", loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=7, loc="lower right")
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


if __name__ == "__main__":
    raise SystemExit(main())
