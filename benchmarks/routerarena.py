"""RouterArena's table: accuracy, USD per 1,000 and arena score of each model on the public 809 questions, the oracle, and our policy.

    python benchmarks/routerarena.py [--data PATH] [--embedder minilm|static]

Writes docs/results/routerarena.json and .md. The rows are the answers that RouterArena published; PATH is a checkout of that
repository (default $WORKBENCH_DATA/routing/routerarena). Policies are judged on folds that
neither their predictor nor their threshold saw.
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

from workbench.core import WorkbenchError
from workbench.core.environment import environment
from workbench.core.files import write_json, write_text
from workbench.embedding import CachedEmbedder, load_embedder
from workbench.evaluation.importers import import_from
from workbench.tuning import OutcomeMatrix, SweepConfig, sweep_matrix
from workbench.tuning.routellm import DEFAULT
from workbench.tuning.routerarena import (
    CONTAMINATION_NOTE,
    DRAWS,
    PUBLISHED,
    PUBLISHED_NOTE,
    arena_row,
    oracle_choice,
    policy_choice,
    score_difference,
)

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "results"
KINDS = ("task-mean", "knn", "ridge", DEFAULT)
MISSING = "answers of a third model (gpt-4o-mini) belong to the published set; where its file is not among the rows it is not in the table"


def main() -> int:
    options = _options()
    data = _data(options.data)
    if data is None:
        named = f"no folder at {options.data}" if options.data else "skipped: no RouterArena rows"
        print(f"{named}; clone its repository and name it with --data or WORKBENCH_DATA", file=sys.stderr)
        return 2 if options.data else 0
    try:
        document = analysed(data, options.embedder)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 2
    write_json(TARGET / "routerarena.json", document)
    write_text(TARGET / "routerarena.md", as_markdown(document))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--embedder", default="minilm", choices=["minilm", "static"])
    return parser.parse_args()


def _data(named: Path | None) -> Path | None:
    root = os.environ.get("WORKBENCH_DATA")
    place = named or (Path(root) / "routing/routerarena" if root else None)
    return place if place is not None and place.is_dir() else None


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def analysed(data: Path, embedder_name: str) -> dict[str, Any]:
    """Every line of the table, each policy beside the best single model, and the verdict of a sweep."""
    outcomes = import_from("routerarena", data)
    matrix = OutcomeMatrix.from_outcomes(outcomes)
    embedder = load_embedder(embedder_name)
    if embedder_name == "minilm":
        embedder = CachedEmbedder(embedder)
    choices = {name: np.full(len(matrix), column) for column, name in enumerate(matrix.models)}
    choices["oracle on these answers"] = oracle_choice(matrix)
    choices |= {kind: policy_choice(kind, matrix, embedder, say) for kind in KINDS}
    rows = {name: arena_row(name, matrix, choice) for name, choice in choices.items()}
    single = max(matrix.models, key=lambda name: rows[name].score)
    over = {kind: score_difference(matrix, choices[kind], choices[single]) for kind in KINDS}
    swept = sweep_matrix(matrix, SweepConfig(embedder=embedder), say).document
    return {
        **environment(),
        "embedder": embedder.fingerprint,
        "draws": DRAWS,
        "n": len(matrix),
        "notes": [*outcomes.manifest.notes, *matrix.notes, MISSING],
        "data_hash": matrix.data_hash,
        "rows": {name: dataclasses.asdict(row) for name, row in rows.items()},
        "best_single": single,
        "over_best_single": over,
        "sweep": {key: swept[key] for key in ("verdict", "because", "chosen", "split")},
        "published": {"note": PUBLISHED_NOTE, "arena_score": {name: score / 100 for name, score in PUBLISHED.items()}},
        "contamination": CONTAMINATION_NOTE,
    }


def as_markdown(document: dict[str, Any]) -> str:
    hardware, single = document["hardware"], document["best_single"]
    lines = [
        "# RouterArena's public questions",
        "",
        "Written by `python benchmarks/routerarena.py`; do not edit. Arena score = 1.1 · A · C / (0.1 · A + C), A = accuracy,",
        "C = (log₂ 200 − log₂ c) / (log₂ 200 − log₂ 0.0044), c = USD per 1,000 questions (`workbench.tuning.routerarena.arena_score`).",
        f"{document['n']} questions; 95 % by {document['draws']} resamples of groups of them. Policies: five folds; of the other",
        "four, three are learned from and one chooses λ by arena score; in brackets the share of each model.",
        f"Embedder: `{document['embedder']}`.",
        "",
        *(f"- {note}" for note in document["notes"]),
        "",
        "| model or policy | accuracy | 95 % | USD per 1,000 | arena score | 95 % | − best single, 95 % |",
        "|---|---|---|---|---|---|---|",
        *(_row(row, document["over_best_single"].get(name)) for name, row in document["rows"].items()),
        "",
        _verdict(document),
        "",
        f"Sweep: **{document['sweep']['verdict'].replace('_', ' ').upper()}**: {document['sweep']['because']}.",
        "",
        "## Published",
        "",
        f"Not the same rows; {document['published']['note']}. That {single} alone stands at",
        f"{document['rows'][single]['score']:.4f} here is therefore no rank on that board.",
        "",
        "| router | arena score |",
        "|---|---|",
        *(f"| *published:* {name} | {score:.4f} |" for name, score in document["published"]["arena_score"].items()),
        "",
        f"Caveat: {document['contamination']}.",
        "",
        f"{document['date']}, commit {document['git_commit']}, {hardware['cpu']}, {hardware['cores']} cores.",
        "",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any], over: dict[str, Any] | None) -> str:
    shares = ", ".join(f"{share:.0%}" for share in row["shares"].values())
    name = row["name"] if 1.0 in row["shares"].values() else f"{row['name']} ({shares})"
    beside = "" if over is None else f"{over['difference']:+.4f} [{over['ci'][0]:+.4f}, {over['ci'][1]:+.4f}]"
    accuracy = f"{row['accuracy']:.4f} | {row['accuracy_ci'][0]:.3f} to {row['accuracy_ci'][1]:.3f}"
    score = f"{row['score']:.4f} | {row['score_ci'][0]:.3f} to {row['score_ci'][1]:.3f}"
    return f"| {name} | {accuracy} | {row['usd_per_1k']:.4f} | {score} | {beside} |"


def _verdict(document: dict[str, Any]) -> str:
    """Whether any policy is above the best single model beyond its interval."""
    above = [name for name, over in document["over_best_single"].items() if over["ci"][0] > 0]
    if above:
        return f"Above {document['best_single']} beyond the interval: {', '.join(above)}."
    oracle = document["rows"]["oracle on these answers"]["score"] - document["rows"][document["best_single"]]["score"]
    return (
        f"No policy is above {document['best_single']} beyond its interval: it is right more often and cheaper, and all that choosing "
        f"perfectly could add is {oracle:.4f}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
