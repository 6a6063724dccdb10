"""`workbench cascade`: every threshold of a cascade over recorded Outcomes, and whether it pays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from workbench.cli.output import logged, print_json, print_table
from workbench.cli.sweep import nominal_costs
from workbench.core import ConfigError
from workbench.core.naming import did_you_mean

if TYPE_CHECKING:
    import polars as pl

EXIT_DO_NOT_CASCADE = 3
ACCEPTS = ("logprob", "agreement", "judge")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("cascade")(cascade)


def cascade(
    outcomes: Annotated[
        Path, typer.Argument(help="Folder written by `workbench record` or `workbench outcomes import`.")
    ],
    order: Annotated[str, typer.Option(help="Models, cheap first, comma-separated.")],
    accept: Annotated[
        str, typer.Option(help="How an answer is accepted: logprob, agreement (of two models) or judge.")
    ] = "logprob",
    judgements: Annotated[
        Path | None,
        typer.Option(help="Parquet of prompt_id, model, judge_score, judge_usd, judge_s; for --accept judge."),
    ] = None,
    cost: Annotated[list[str] | None, typer.Option(help="Nominal USD an answer, model=usd; once a model.")] = None,
    margin: Annotated[float, typer.Option(help="Score that a saving may cost at most.")] = 0.01,
    seed: Annotated[int, typer.Option(help="Seed of the split and the resampling.")] = 0,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log the result to MLflow.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Whether asking a cheap model first pays, at every threshold, with the latencies and judges it adds.

    Exit code 3 when the answer is "do not cascade".

    Example: workbench cascade outcomes/quickstart --order tiny,small,base --accept agreement
    """
    from workbench.evaluation import Outcomes
    from workbench.tuning.cascade import Accept, cascade_sweep

    if accept not in ACCEPTS:
        raise ConfigError(f"--accept {accept!r} is unknown: {did_you_mean(accept, ACCEPTS)}")
    names = [name.strip() for name in order.split(",") if name.strip()]
    marks = None if judgements is None else _read(judgements)
    found = cascade_sweep(
        Outcomes.read(outcomes),
        names,
        cast(Accept, accept),
        judgements=marks,
        costs=nominal_costs(cost or []),
        seed=seed,
        margin=margin,
    )
    document = {**found.document, "run_id": _log(found.document, outcomes) if track else None}
    if as_json:
        print_json(document)
    else:
        _print(document)
    if document["verdict"] != "cascade":
        raise typer.Exit(EXIT_DO_NOT_CASCADE)


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    if not path.is_file():
        raise ConfigError(f"no judgements at {path}; make them with workbench.tuning.cascade_judging.judgements_of")
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise ConfigError(f"{path} cannot be read as parquet: {exc}") from exc


def _log(document: dict[str, Any], outcomes: Path) -> str | None:
    from workbench.tracking import log_document

    params = {"outcomes": outcomes, "order": ",".join(document["order"]), "accept": document["accept"]}
    tags = {"verdict": document["verdict"], "data_hash": document["data_hash"]}
    name = document["chosen"]["policy"].replace(" → ", "-")
    return logged(lambda: log_document("cascade", name, document, params=params, tags=tags))


def _print(document: dict[str, Any]) -> None:
    chosen, split = document["chosen"], document["split"]
    columns = ["", "score", "USD per 1k", "seconds"]
    rows = [
        [name, line["score"], line["cost_usd_per_1k"], line["latency_s"]]
        for name, line in document["baselines"].items()
    ]
    rows.append([f"→ {chosen['policy']}", chosen["score"], chosen["cost_usd_per_1k"], chosen["latency_s"]])
    print_table(f"Report split, {split['report']} of {document['n_prompts']} requests", columns, rows)
    stops = ", ".join(f"{name} {100 * share:.0f} %" for name, share in chosen["stops_at"].items())
    at = "" if chosen["threshold"] is None else f" at threshold {chosen['threshold']:.6g}"
    print(f"Accepted by {document['accept']}{at}; requests stop at {stops}.")
    print(f"Optimism: {chosen['optimism']:+.4f} score. Costs: {document['cost_source']}.")
    for note in document["notes"]:
        print(f"Note: {note}.")
    for name, formula in document["formulas"].items():
        print(f"{name} = {formula}")
    print(f"Rule: {document['selection_rule']}.")
    print(f"\n{'CASCADE' if document['verdict'] == 'cascade' else 'DO NOT CASCADE'}: {document['because']}")
    if document["run_id"]:
        print(f"MLflow run {document['run_id']}")
