"""The one table a quickstart ends with, for the terminal and for `docs/results/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from workbench.tuning import SweepResult

COLUMNS = ("", "score", "95 %", "USD / 1M", "× best", "ms")
NARROWEST = 96
"""Characters a line that the table needs; a pipe has no width of its own and gets these."""


def rows_of(document: dict[str, Any]) -> list[list[list[str]]]:
    """The table's sections: models and baselines, then what was predicted for the chosen configuration and what was seen live."""
    sweep = document["sweep"]
    single_cost = sweep["baselines"][sweep["best_single"]]["cost_usd_per_1k"]
    measured = [_row(name, line, single_cost) for name, line in sweep["baselines"].items()]
    return [measured, _chosen_rows(document, single_cost)]


def _row(name: str, line: dict[str, Any], single_cost: float) -> list[str]:
    low, high = line["score_ci"]
    return [name, f"{line['score']:.3f}", f"{low:.3f}–{high:.3f}", *_money(line["cost_usd_per_1k"], single_cost), ""]


def _money(usd_per_1k: float | None, single_cost: float) -> list[str]:
    if usd_per_1k is None:
        return ["–", "–"]
    return [f"{1000 * usd_per_1k:.4g}", f"{usd_per_1k / single_cost:.2f}" if single_cost else "–"]


def _chosen_rows(document: dict[str, Any], single_cost: float) -> list[list[str]]:
    checks = {check["name"]: check for check in document["verify"]["checks"]}
    score, cost, latency = (checks.get(name) for name in ("score", "cost_usd_per_1k", "latency_s"))
    name = document["sweep"]["chosen"]["policy"] if document["sweep"]["verdict"] == "route" else "best single"
    predicted, live = [f"chosen ({name}), predicted"], [f"live, {document['verify']['n']} requests"]
    predicted += [f"{score['predicted']:.3f}", "{:.3f}–{:.3f}".format(*score["ci"])] if score else ["–", "–"]
    live += [f"{score['live']:.3f}", _inside(score)] if score else ["–", "–"]
    predicted += _money(cost["predicted"], single_cost) if cost else ["–", "–"]
    live += _money(cost["live"], single_cost) if cost else ["–", "–"]
    predicted.append(f"≤ {1000 * latency['ci'][1]:.0f}" if latency else "–")
    live.append(f"{1000 * latency['live']:.0f}" if latency and latency["live"] is not None else "–")
    return [predicted, live]


def _inside(check: dict[str, Any]) -> str:
    return "inside" if check["inside"] else "OUTSIDE"


def closing_lines(document: dict[str, Any]) -> list[str]:
    """What the table means and where everything is."""
    sweep, verify, where = document["sweep"], document["verify"], document["where"]
    parity = f"{round(verify['parity'] * verify['n'])} of {verify['n']} live decisions are the sweep's"
    answer = "route" if sweep["verdict"] == "route" else "do not route"
    kept = "production holds what was predicted" if verify["verdict"] == "holds" else "production does NOT hold"
    failed = [f"{check['name']}: {check['because']}" for check in verify["checks"] if check["because"]]
    return [
        f"Verdict: {answer}: {sweep['because']}",
        f"Verified: {kept}; {parity}.",
        *failed,
        f"MLflow run {where['run_id']} (experiment {where['experiment']}; see it with: make lab)",
        f"Release {where['release']} (serve it with: workbench serve {where['release']})",
        f"Notebook {where['notebook']}",
        f"Took {document['seconds']['total']:.0f} s.",
    ]


def print_table_of(document: dict[str, Any]) -> None:
    """Print the table and the closing lines to standard output."""
    split = document["sweep"]["split"]
    title = f"Quickstart: {split['report']} untouched prompts of {document['sweep']['n_prompts']}, 5 models"
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if index in (0, 2) else "right", no_wrap=True)
    for section in rows_of(document):
        for row in section:
            table.add_row(*row)
        table.add_section()
    console = Console()
    if not console.is_terminal:
        console = Console(width=NARROWEST)
    console.print(table)
    for line in closing_lines(document):
        console.print(line, highlight=False, soft_wrap=True)


def markdown_of(document: dict[str, Any]) -> str:
    """The same as a Markdown page."""
    head = [f"| {' | '.join(COLUMNS)} |", "|---|---:|---|---:|---:|---:|"]
    body = [f"| {' | '.join(row)} |" for section in rows_of(document) for row in section]
    hardware, versions = document["hardware"], document["versions"]
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    about = f"{document['date']}, {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB; {made}."
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in document["seconds"].items())
    lines = [f"- {line}" for line in closing_lines(document)[:-4]]
    title = ["# Quickstart", "", "Written by `workbench quickstart --results docs/results`.", ""]
    notes = [*lines, f"- Stages: {stages}.", f"- Measured {about}"]
    return "\n".join([*title, *head, *body, "", *notes, "", "![Frontier](quickstart.png)", ""])


def write_results(document: dict[str, Any], result: SweepResult, folder: Path) -> None:
    """Write `quickstart.json`, `quickstart.md` and `quickstart.png`."""
    from workbench.core.files import replacing, write_json, write_text
    from workbench.tuning.figures import frontier_figure

    write_json(folder / "quickstart.json", document)
    write_text(folder / "quickstart.md", markdown_of(document))
    with replacing(folder / "quickstart.png") as beside:
        frontier_figure(result).savefig(beside, format="png")
