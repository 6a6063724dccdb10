"""RouteLLM's MMLU, GSM8K and MT-Bench rows: what predictors recover of the gap from Mixtral to GPT-4, and whether a sweep says "route".

    python benchmarks/routellm.py [--data PATH] [--embedder minilm|static] [--sets mt_bench,gsm8k,mmlu,mmlu_broken,mmlu_effect]

Writes docs/results/routellm.json, .md and .png; what the other embedder or another set found stays as it is. mmlu_broken is the table
with the damaged subject in, mmlu_effect what that subject does to a router. The rows are RouteLLM's published
evaluations; PATH is a checkout of that repository (default $WORKBENCH_DATA/routing/routellm).
MiniLM's vectors are kept in $WORKBENCH_CACHE (default ~/.cache/llm-workbench), so that a run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

from workbench.core import WorkbenchError
from workbench.core.environment import environment
from workbench.core.files import read_json, replacing, write_json, write_text
from workbench.embedding import CachedEmbedder, Embedder, load_embedder
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep_matrix
from workbench.tuning.recovery import DRAWS
from workbench.tuning.recovery_figures import recovery_figure
from workbench.tuning.routellm import (
    DEFAULT,
    GOALS,
    KINDS,
    ORACLE,
    PUBLISHED_NOTE,
    SETS,
    Reproduction,
    broken_subject,
    find_rows,
    reproduce,
    routellm_outcomes,
    verdict_on_length,
)
from workbench.tuning.sweeps import EmbeddedTexts

TARGET = Path(__file__).parent.parent / "docs" / "results"
EMBEDDERS = ("minilm", "static")
BROKEN, EFFECT = "mmlu_broken", "mmlu_effect"
ALL = (*SETS, BROKEN, EFFECT)
READS_LABEL = {"task-mean", DEFAULT}
CHUNK = 500


def main() -> int:
    options = _options()
    try:
        rows = find_rows(options.data or "")
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 2
    if rows is None:
        print(
            "skipped: no RouteLLM rows; clone its repository and name it with --data or WORKBENCH_DATA", file=sys.stderr
        )
        return 0
    embedder = loaded(options.embedder)
    found = {name: analysed(rows, name, embedder) for name in SETS if name in options.sets}
    sets = {name: document for name, (document, _) in found.items()}
    if BROKEN in options.sets:
        sets[BROKEN] = with_broken(rows, embedder)
    if EFFECT in options.sets:
        sets[EFFECT] = effect(rows, embedder)
    made = environment()
    part = {
        "fingerprint": embedder.fingerprint,
        "sets": {name: {**made, **document} for name, document in sets.items()},
    }
    document = merged(options.embedder, part)
    write_json(TARGET / "routellm.json", document)
    write_text(TARGET / "routellm.md", as_markdown(document))
    if options.embedder == EMBEDDERS[0] and len(found) == len(SETS):
        panels = {f"{n.upper()}, five-fold, every threshold": one.found for n, (_, one) in found.items()}
        with replacing(TARGET / "routellm.png") as beside:
            recovery_figure(panels, left_out=(ORACLE,)).savefig(beside, format="png")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--embedder", default="minilm", choices=EMBEDDERS)
    parser.add_argument("--sets", default=",".join(ALL), type=lambda text: text.split(","))
    options = parser.parse_args()
    unknown = set(options.sets) - set(ALL)
    if unknown:
        parser.error(f"unknown sets {', '.join(sorted(unknown))}: {', '.join(ALL)} are known")
    return options


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def loaded(name: str) -> Embedder:
    embedder = load_embedder(name)
    return CachedEmbedder(embedder) if name == "minilm" else embedder


def embedded(embedder: Embedder, texts: tuple[str, ...]) -> EmbeddedTexts:
    """Vectors of all texts; those of MiniLM are stored after each chunk, so that little is lost when this is stopped."""
    unique = list(dict.fromkeys(texts))
    for start in range(0, len(unique), CHUNK):
        embedder.embed(unique[start : start + CHUNK])
    return EmbeddedTexts(embedder, texts)


def analysed(rows: Path, name: str, embedder: Embedder) -> tuple[dict[str, Any], Reproduction]:
    """The set's table, with the verdict of a sweep."""
    outcomes = routellm_outcomes(rows, name)
    matrix = OutcomeMatrix.from_outcomes(outcomes)
    say(f"{name}: {len(matrix)} prompts; embedding with {embedder.fingerprint}")
    known = embedded(embedder, matrix.queries.texts)
    found = reproduce(name, matrix, known, progress=say)
    swept = sweep_matrix(matrix, SweepConfig(embedder=known), say).document
    kept = ("verdict", "because", "chosen", "split", "baselines", "cost_source")
    notes = [*outcomes.manifest.notes, *matrix.notes]
    return {**found.document, "notes": notes, "sweep": {key: swept[key] for key in kept}}, found


def with_broken(rows: Path, embedder: Embedder) -> dict[str, Any]:
    """MMLU's table with the damaged subject in, as the article's rows have it."""
    matrix = OutcomeMatrix.from_outcomes(routellm_outcomes(rows, "mmlu", keep_broken=True))
    say("mmlu, damaged subject kept")
    kinds = tuple(kind for kind in KINDS["mmlu"] if kind != "knn")
    return reproduce(
        "mmlu", matrix, embedded(embedder, matrix.queries.texts), kinds=kinds, unseen=(), progress=say
    ).document


def effect(rows: Path, embedder: Embedder) -> dict[str, Any]:
    """What learning from the damaged subject does to the default predictor, judged on the others."""
    matrix = OutcomeMatrix.from_outcomes(routellm_outcomes(rows, "mmlu", keep_broken=True))
    say("mmlu, learned with and without the damaged subject")
    return dataclasses.asdict(broken_subject(matrix, embedded(embedder, matrix.queries.texts)))


def merged(embedder: str, part: dict[str, Any]) -> dict[str, Any]:
    """The document with this embedder's part new and the other's as it was."""
    path = TARGET / "routellm.json"
    old = read_json(path, "results").get("embedders", {}) if path.exists() else {}
    if embedder in old:
        part = {**old[embedder], **part, "sets": {**old[embedder]["sets"], **part["sets"]}}
    parts = {**old, embedder: part}
    return {**environment(), "draws": DRAWS, "embedders": {name: parts[name] for name in EMBEDDERS if name in parts}}


def as_markdown(document: dict[str, Any]) -> str:
    lines = [
        "# RouteLLM's rows: what simple predictors recover",
        "",
        "Written by `python benchmarks/routellm.py`; do not edit. APGR = area under the recovered gap over the share of strong calls,",
        "at every threshold. CPT(p) = least share of strong calls that recovers the part p. Random routing has APGR 0.5.",
        f"95 % by {document['draws']} resamples of question groups, predictions held fixed. Beside each set stand published",
        f"numbers, {PUBLISHED_NOTE}.",
        "",
    ]
    parts = document["embedders"]
    shown = {name: {e: part["sets"][name] for e, part in parts.items() if name in part["sets"]} for name in ALL}
    for name in SETS:
        lines += _set_lines(name, shown[name]) if shown[name] else []
    lines += _broken_lines(shown[BROKEN]) + _effect_lines(shown[EFFECT])
    for embedder, part in parts.items():
        made = {(found["date"], found["git_commit"]) for found in part["sets"].values()}
        commits = "; ".join(f"{date}, commit {commit}" for date, commit in sorted(made))
        lines.append(f"{embedder}: `{part['fingerprint']}`, {commits}.")
    hardware = document["hardware"]
    return "\n".join([*lines, f"{hardware['cpu']}, {hardware['cores']} cores.", ""])


def _set_lines(name: str, shown: dict[str, dict[str, Any]]) -> list[str]:
    one = next(iter(shown.values()))
    lines = [f"## {name.upper()}", "", _head(one), *(f"{note}." for note in one.get("notes", [])), ""]
    lines += _table(name, shown)
    for embedder, found in shown.items():
        for kind, row in found["unseen_subjects"].items():
            if kind != "prompt-length":
                lines.append(f"On subjects never seen, {kind} ({embedder}) {verdict_on_length(row)}.")
    for embedder, found in shown.items():
        sweep = found["sweep"]
        verdict = sweep["verdict"].replace("_", " ").upper()
        lines += ["", f"Sweep, {embedder} ({sweep['cost_source']}): **{verdict}**: {sweep['because']}."]
    return [*lines, ""]


def _head(found: dict[str, Any]) -> str:
    pair = [f"{found[which]['model']} {found[which]['score']:.4f}" for which in ("strong", "weak")]
    return f"{found['n']} prompts; {', '.join(pair)}."


def _table(name: str, shown: dict[str, dict[str, Any]]) -> list[str]:
    """Rows that read no text once, the others once an embedder."""
    one = next(iter(shown.values()))
    lines = ["| router | embedder | APGR | 95 % | CPT20 | CPT50 | CPT80 |", "|---|---|---|---|---|---|---|"]
    spread = one["random"]["sd_between_draws"]
    lines.append(f"| random (sd between draws {spread:.3f}) | – | .500 | | .200 | .500 | .800 |")
    for where, ending in (("five_fold", "five-fold"), ("unseen_subjects", "**unseen subjects**")):
        for kind in one[where]:
            reads_text = kind not in ("prompt-length", "task-mean", ORACLE)
            for embedder, found in shown.items() if reads_text else [("–", one)]:
                row = found[where][kind]
                lines.append(_row(_label(name, kind, row, where), ending, embedder, row))
    for router, row in one["published"].items():
        cpts = f"| {_short(row['cpt50'])} | {_short(row['cpt80'])} |"
        lines.append(f"| *published:* {router} | | {_short(row['apgr'])} | | {cpts}")
    return [*lines, ""]


def _label(name: str, kind: str, row: dict[str, Any], where: str) -> str:
    label = f"{kind} (reads the label)" if name != "gsm8k" and kind in READS_LABEL else kind
    goal = GOALS.get(name, {}).get(kind) if where == "five_fold" else None
    if goal is None:
        return label
    return f"{label} — goal {_short(goal)}: {'reached' if row['apgr'] >= goal else '**not reached**'}"


def _row(label: str, judged: str, embedder: str, row: dict[str, Any]) -> str:
    interval = row["apgr_ci"]
    areas = f"{_short(row['apgr'])} | " + (
        f"{_short(interval[0])} to {_short(interval[1])}" if interval else "not known"
    )
    cpts = " | ".join(_short(row[f"cpt{percent}"]) for percent in (20, 50, 80))
    return f"| {label if label == ORACLE else f'{label}, {judged}'} | {embedder} | {areas} | {cpts} |"


def _broken_lines(tables: dict[str, dict[str, Any]]) -> list[str]:
    if not tables:
        return []
    head = _head(next(iter(tables.values())))
    because = "The article's rows contain the damaged subject, so this table, not the one above, is like for like."
    return ["## MMLU with the damaged subject in", "", f"{head} {because}", "", *_table(BROKEN, tables)]


def _effect_lines(effects: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for embedder, found in effects.items():
        low, high = found["ci"] or (float("nan"), float("nan"))
        areas = f"{_short(found['apgr_with'])} learned with it, {_short(found['apgr_without'])} without"
        lines.append(
            f"high_school_mathematics, {embedder}: {found['n']} prompts, GPT-4 right on {found['strong_right']:.0f}, Mixtral on "
            f"{found['weak_right']:.0f}. {DEFAULT} without labels, judged on the other subjects: APGR {areas}; difference "
            f"{found['difference']:+.4f} [{low:+.4f}, {high:+.4f}]. Of the other mathematics questions {found['near_with']:.0%} go to "
            f"GPT-4 when half of all calls do, {found['near_without']:.0%} without it."
        )
    return [*lines, ""]


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
