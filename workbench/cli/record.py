"""`workbench record`: measure what models answer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.interrupted import leaving
from workbench.cli.outcomes import summary_rows
from workbench.cli.output import print_json, print_table, say_deprecated, stderr
from workbench.cli.suite import parse_columns

if TYPE_CHECKING:
    from workbench.evaluation import Outcomes, Suite
    from workbench.models import Lab, Model


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("record")(record)


def record(
    suite: Annotated[str, typer.Option(help="A JSON lines, CSV or parquet file, reference[:held_out], or a Hub id.")],
    out: Annotated[Path, typer.Option(help="Folder of the journal and the Outcomes; a killed run goes on there.")],
    models: Annotated[
        str | None, typer.Option(help="Names in the lab, separated by commas; all of them by default.")
    ] = None,
    lab: Annotated[
        Path | None, typer.Option(help="lab.yaml; the one in this folder, or the reference family, by default.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most prompts, taking the tasks in turn.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each prompt; more than one needs a temperature.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    logprobs: Annotated[bool, typer.Option(help="Record the answers' log-probabilities, which cascades use.")] = False,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests in flight or in a batch; 8, or the card's batch size.")
    ] = None,
    grader: Annotated[
        str | None, typer.Option(help="Default grader, e.g. numeric:tolerance=0.01 or judge:model=base.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="Read a column under another name: prompt=question.")] = None,
    seed: Annotated[int, typer.Option(help="Seeds drawn answers.")] = 0,
    parallel_models: Annotated[
        bool, typer.Option(help="Measure models at the same time; they disturb each other.")
    ] = False,
    retry_failures: Annotated[bool, typer.Option(help="Ask again where a model failed before.")] = False,
    fresh: Annotated[bool, typer.Option(help="Throw an earlier recording in the folder away.")] = False,
    engine: Annotated[str, typer.Option(help="local, or ray: models answer on a cluster's workers.")] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT; by default one is started here."),
    ] = None,
    shard: Annotated[
        int | None, typer.Option(min=1, help="With ray: answers a worker is given at a time, in whole batches.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With ray: most workers at a time.")] = None,
    worker_cpus: Annotated[float, typer.Option(help="With ray: cores of a worker, and its threads.")] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure every model's answers to a suite. A run that was killed goes on when the same command is given again.

    Example: workbench record --suite reference --models tiny,base --out runs/first
    """
    from workbench.core import ConfigError, Sampling
    from workbench.core.files import check_folder
    from workbench.evaluation import Suite
    from workbench.evaluation.engine import ENGINES
    from workbench.models import load_lab

    check_folder(out, "--out")
    ENGINES.target(engine)
    if engine == "local" and (address is not None or shard is not None or workers is not None):
        raise ConfigError("--address, --shard and --workers are for --engine ray; add it, or leave them out")

    asked = Suite.load(suite, grader=grader, columns=parse_columns(column))
    asked = asked.only(task) if task else asked
    known = load_lab(lab)
    settings = {
        "samples": samples,
        "sampling": Sampling(max_tokens=max_tokens, temperature=temperature, logprobs=logprobs),
        "limit": limit,
        "concurrency": concurrency,
        "seed": seed,
        "parallel_models": parallel_models,
        "retry_failures": retry_failures,
        "fresh": fresh,
    }
    names = (
        list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
        if models
        else list(known.models)
    )
    with leaving(lambda: _kept(out, fresh)):
        if engine == "local":
            outcomes = asyncio.run(_record(asked, known, names, out, settings))
        else:
            cluster = {"name": engine, "address": address, "cpus": worker_cpus, "workers": workers, "shard": shard}
            outcomes = _record_on(asked, known, names, out, settings, cluster)
    _report(outcomes, out, as_json=json)


def _kept(out: Path, fresh: bool) -> str:
    """What an interrupted recording leaves."""
    from workbench.evaluation.recording import JOURNAL_FILE

    journal = out / JOURNAL_FILE
    if not journal.exists() or not journal.stat().st_size:
        return "nothing was recorded yet"
    again = "the same command without --fresh" if fresh else "the same command"
    return f"what was recorded is kept in {out}: {again} goes on from there"


async def _record(suite: Suite, lab: Lab, names: list[str], out: Path, settings: dict[str, Any]) -> Outcomes:
    """Load models, record, close: in one event loop, because connections belong to theirs."""
    from workbench.evaluation import record_async
    from workbench.evaluation.grading import judge_names
    from workbench.evaluation.progress import progress_for
    from workbench.models import load_model

    opened: dict[str, Model] = {}
    cards = {name: lab.card(name) for name in [*names, *judge_names(suite)]}
    say_deprecated(cards)
    try:
        for name, card in cards.items():
            opened[name] = load_model(name, card)
        return await record_async(
            suite,
            {name: opened[name] for name in names},
            out,
            judges=opened,
            progress=progress_for(sys.stderr, stderr),
            **settings,
        )
    finally:
        for model in opened.values():
            await model.close()


def _record_on(
    suite: Suite, lab: Lab, names: list[str], out: Path, settings: dict[str, Any], cluster: dict[str, Any]
) -> Outcomes:
    """On the workers of a cluster; judges answer here."""
    from workbench.evaluation import make_engine, record_on
    from workbench.evaluation.engine import WorkerNeeds
    from workbench.evaluation.grading import judge_names
    from workbench.evaluation.plan import RecordConfig
    from workbench.evaluation.progress import progress_for
    from workbench.models import load_model

    cards = {name: lab.card(name) for name in names}
    judging = {name: lab.card(name) for name in judge_names(suite)}
    say_deprecated({**cards, **judging})
    config = RecordConfig(**settings)
    gpus = float(any(card.base_url is None and card.device.startswith("cuda") for card in cards.values()))
    judges: dict[str, Model] = {}
    engine = make_engine(cluster["name"], cluster["address"], WorkerNeeds(cluster["cpus"], gpus, cluster["workers"]))
    try:
        for name, card in judging.items():
            judges[name] = load_model(name, card)
        shown = progress_for(sys.stderr, stderr)
        return record_on(engine, suite, cards, out, config, shard_size=cluster["shard"], judges=judges, progress=shown)
    finally:
        engine.close()
        for model in judges.values():
            asyncio.run(model.close())


def _report(outcomes: Outcomes, out: Path, *, as_json: bool) -> None:
    from workbench.evaluation import summarise

    summaries = summarise(outcomes)
    if as_json:
        document = {"out": str(out), "data_hash": outcomes.data_hash, "n_prompts": len(outcomes.prompts)}
        print_json({**document, "models": [summary.to_dict() for summary in summaries]})
    else:
        print_table(f"{out}: {len(outcomes.prompts)} prompts", *summary_rows(summaries))
