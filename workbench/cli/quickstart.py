"""`workbench quickstart`: the whole loop on the reference family, live on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import counter, print_json, stderr
from workbench.core.files import check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.evaluation import Outcomes
    from workbench.release import Release, Verification
    from workbench.tuning import SweepResult

NOTEBOOK = "notebooks/01_quickstart.ipynb"
EXIT_FAILS = 3


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("quickstart")(quickstart)


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier run there is replaced.")] = Path(
        "runs/quickstart"
    ),
    n_per_task: Annotated[int, typer.Option(min=8, help="Prompts of each of the kinds of task.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the prompts, the split and the resampling.")] = 0,
    results: Annotated[
        Path | None, typer.Option(help="Also write the table and the figure to this folder.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Record the reference family, tune a router, release it, serve it and verify it live.

    Exit code 3 when production is not as predicted.

    Example: workbench quickstart --n-per-task 40
    """
    from workbench.cli.quickstart_table import print_table_of, write_results

    check_folder(out, "--out")
    if results is not None:
        check_folder(results, "--results")
    stages = Stages()
    with stages("record", "five models, measured on prompts that none was trained on"):
        outcomes = _record(out, n_per_task, seed)
    with stages("tune", "every threshold of every policy, chosen on one split, reported on another"):
        result, run_id = _tune(outcomes, out, seed)
    with stages("release", "latency measured, claims written down"):
        release = _release(run_id, out)
    with stages("serve and verify", "the untouched prompts through the live server"):
        verification = _verify(release)
    document = _document(outcomes, result, run_id, release, verification, stages.seconds)
    if results is not None:
        write_results(document, result, results)
    if as_json:
        print_json(document)
    else:
        print_table_of(document)
    if verification.verdict != "holds":
        raise typer.Exit(EXIT_FAILS)


@dataclass
class Stages:
    """Says on standard error which stage runs, and keeps how long each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, about: str) -> Iterator[None]:
        """One stage."""
        stderr.print(f"[bold]{len(self.seconds) + 1}/4 {name}[/bold]: {about}", highlight=False)
        start_s = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start_s, 2)
        stderr.print(f"    {self.seconds[name]:.1f} s", style="dim", highlight=False)


def _record(out: Path, n_per_task: int, seed: int) -> Outcomes:
    import sys

    from workbench.core import Sampling
    from workbench.evaluation import Suite, record
    from workbench.evaluation.progress import progress_for
    from workbench.models import load_model
    from workbench.models.family import family_cards

    return record(
        Suite.reference("both", n_per_task=n_per_task, seed=seed),
        {name: load_model(name, card) for name, card in family_cards().items()},
        out / "outcomes",
        sampling=Sampling(max_tokens=48),
        seed=seed,
        fresh=True,
        progress=progress_for(sys.stderr, stderr),
    )


def _tune(outcomes: Outcomes, out: Path, seed: int) -> tuple[SweepResult, str]:
    from workbench.tracking import log_sweep
    from workbench.tuning import sweep

    say: Callable[[str], None] = lambda line: stderr.print(f"    {line}", style="dim", highlight=False)  # noqa: E731
    result = sweep(outcomes, seed=seed, progress=say)
    say("logging to MLflow")
    return result, log_sweep(result, outcomes_path=out / "outcomes", experiment="quickstart")


def _release(run_id: str, out: Path) -> Release:
    from workbench.release import Candidate, create_release
    from workbench.tracking import init, register_release, sweep_folder

    tracking = init()
    candidate = Candidate.load(sweep_folder(run_id, tracking))
    with counter("latency pilot") as progress:
        release = create_release(
            candidate, out / "release", name="quickstart", run_id=run_id, replace=True, progress=progress
        )
    register_release(release.folder, "quickstart", run_id, tracking)
    return release


def _verify(release: Release) -> Verification:
    from workbench.release import verify

    with counter("live requests") as progress:
        return verify(release, progress=progress)


def _document(
    outcomes: Outcomes,
    result: SweepResult,
    run_id: str,
    release: Release,
    verification: Verification,
    seconds: dict[str, float],
) -> dict[str, Any]:
    from workbench.core.environment import environment

    return {
        **environment(),
        "data_hash": outcomes.data_hash,
        "seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "sweep": result.with_run_id(run_id),
        "verify": verification.to_json(),
        "where": {"run_id": run_id, "experiment": "quickstart", "notebook": NOTEBOOK, "release": str(release.folder)},
    }
