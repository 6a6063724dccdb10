"""`workbench outcomes`: bring measurements in from elsewhere, look at any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import print_json, print_table, stderr
from workbench.core import ConfigError
from workbench.core.files import check_folder, read_json

if TYPE_CHECKING:
    from workbench.evaluation import ModelSummary, Outcomes

outcomes_app = typer.Typer(help="Import or inspect measured answers.", no_args_is_help=True)
HEADINGS = ["model", "n", "score", "95 %", "USD/1k", "p50 s", "p95 s", "failed", "ungraded"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(outcomes_app, name="outcomes")


@outcomes_app.command("import")
def import_outcomes(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="long, routellm or routerarena.")],
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The table (long) or the checked-out folder (the others).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the Outcomes.")],
    subset: Annotated[str | None, typer.Option("--set", help="routellm: mmlu (default), gsm8k or mt_bench.")] = None,
    keep_broken: Annotated[bool, typer.Option(help="routellm: keep rows that are known to be damaged.")] = False,
    keep_contaminated: Annotated[
        bool, typer.Option(help="routellm: keep prompts that were in its routers' training data.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make Outcomes of a table or a published data set.

    Example: workbench outcomes import long mine.csv --out runs/mine
    """
    from workbench.evaluation.importers import import_from

    check_folder(out, "--out")
    _refuse_recording(out)
    options = {"subset": subset, "keep_broken": keep_broken or None, "keep_contaminated": keep_contaminated or None}
    outcomes = import_from(format_, path, **{name: value for name, value in options.items() if value is not None})
    outcomes.write(out)
    for note in outcomes.manifest.notes:
        stderr.print(f"note: {note}")
    _show(outcomes, str(out), as_json=json)


def _refuse_recording(out: Path) -> None:
    """An import may replace an import, never what was measured."""
    from workbench.evaluation import Manifest

    path = out / "manifest.json"
    measured = path.exists() and not Manifest.from_dict(read_json(path, "manifest"), str(path)).source.startswith(
        "import:"
    )
    if measured or (out / "journal.jsonl").exists():
        raise ConfigError(f"{out} holds a recording, which an import would replace; give another --out")


@outcomes_app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of Outcomes.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Score, cost, seconds and failures of each model.

    Example: workbench outcomes show runs/first
    """
    from workbench.evaluation import Outcomes

    _show(Outcomes.read(folder), str(folder), as_json=json)


def summary_rows(summaries: list[ModelSummary]) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows of the table of models; columns that nobody knows anything about are left out."""
    rows = [_row(summary) for summary in summaries]
    known = [index for index in range(len(HEADINGS)) if any(row[index] is not None for row in rows)]
    return [HEADINGS[index] for index in known], [[row[index] for index in known] for row in rows]


def _row(summary: ModelSummary) -> list[Any]:
    score, latency = summary.score, summary.latency_s or {}
    interval = None if score is None else f"{score.ci[0]:.3f}–{score.ci[1]:.3f}"
    seconds = [latency.get("p50"), latency.get("p95")]
    shares = [None if score is None else f"{score.value:.3f}", interval, summary.cost_usd_per_1k]
    return [summary.model, summary.n, *shares, *seconds, summary.failed, summary.ungraded or None]


def _show(outcomes: Outcomes, name: str, *, as_json: bool) -> None:
    from workbench.evaluation import summarise

    summaries, manifest = summarise(outcomes), outcomes.manifest
    if as_json:
        facts = {
            "folder": name,
            "source": manifest.source,
            "data_hash": outcomes.data_hash,
            "notes": list(manifest.notes),
        }
        counts = {"n_prompts": len(outcomes.prompts), "n_rows": len(outcomes.frame), "tasks": outcomes.tasks}
        print_json({**facts, **counts, "models": [summary.to_dict() for summary in summaries]})
        return
    title = f"{name}: {len(outcomes.prompts)} prompts, {len(outcomes.tasks)} tasks, {manifest.source}, data {outcomes.data_hash[:12]}"
    print_table(title, *summary_rows(summaries))
