"""`workbench sweep`: every threshold of every predictor, or a space of several parameters, over recorded Outcomes; and whether it pays."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.interrupted import leaving
from workbench.cli.output import logged, print_json, stderr
from workbench.cli.space_table import print_space
from workbench.cli.sweep_table import print_sweep
from workbench.core import ConfigError
from workbench.core.files import check_folder

if TYPE_CHECKING:
    from workbench.tuning import SweepResult
    from workbench.tuning.space import SpaceResult

EXIT_DO_NOT_ROUTE = 3


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sweep")(sweep)


def sweep(
    outcomes: Annotated[
        Path, typer.Argument(help="Folder written by `workbench record` or `workbench outcomes import`.")
    ],
    objective: Annotated[
        str, typer.Option(help="cost-aware (sweeps λ) or capability (sweeps the quality floor).")
    ] = "cost-aware",
    predictor: Annotated[
        str,
        typer.Option(
            help="Comma-separated: stack (default), local, local-task, ridge, ridge-task, knn, kmeans, logistic, factors, boosting, "
            "blend, blend-task, task-mean, prompt-length, constant."
        ),
    ] = "",
    embedder: Annotated[str, typer.Option(help="static (quick, sees wording) or minilm (sees meaning).")] = "static",
    cost: Annotated[list[str] | None, typer.Option(help="Nominal USD an answer, model=usd; once a model.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="Score that may be given up at most; 0.01, or no limit with --rule trade-off.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            help="no-worse (better at no higher cost, or cheaper and no worse) or trade-off (above every mix of single models at its cost)."
        ),
    ] = "no-worse",
    spend: Annotated[float | None, typer.Option(help="Most USD for 1,000 requests.")] = None,
    calibrate: Annotated[
        str, typer.Option(help="auto (isotonic where a floor is swept), none, isotonic or platt.")
    ] = "auto",
    space: Annotated[
        Path | None,
        typer.Option(
            help="YAML of a space with several parameters; it names objectives, predictors and embedders itself."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Configurations that a search of the space may try; 1000.")] = None,
    study: Annotated[
        Path | None, typer.Option(help="Journal file, or folder for one: a search that was stopped goes on from there.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Of the search: auto (default: tpe for 200 trials, then nsga2), tpe, nsga2 or random."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray for the workers of a Ray cluster; with --space.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; without it, --engine ray starts one on this machine.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, the search and the resampling.")] = 0,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log the sweep to MLflow.")] = True,
    save_policy: Annotated[Path | None, typer.Option(help="Folder for the recommended policy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Whether routing pays, at every threshold, with intervals from a split that nothing touched.

    With --space FILE several parameters are swept together (docs/spaces.md). Exit code 3 when the answer is "do not route".

    Example: workbench sweep outcomes/quickstart --predictor task-mean,ridge --save-policy policy
    """
    if save_policy is not None:
        check_folder(save_policy, "--save-policy")
    judged = _Judged(seed, margin, rule, spend, nominal_costs(cost or []))
    result: SweepResult | SpaceResult
    if space is None:
        searching = {
            "--trials": trials,
            "--study": study,
            "--sampler": sampler,
            "--address": address,
            "--engine": engine,
        }
        _refuse(searching, "needs --space FILE")
        with leaving(lambda: "nothing was written"):
            result = _plain(outcomes, judged, objective, predictor, embedder, calibrate)
    else:
        plain = {"--objective": objective, "--predictor": predictor, "--embedder": embedder, "--calibrate": calibrate}
        _refuse(plain, f"is said by the space {space} itself; leave it out")
        with leaving(lambda: _kept(study)):
            result = _space(outcomes, judged, space, _Searched(trials, study, sampler), (engine, address))
    if save_policy is not None:
        result.policy.save(save_policy)
    document = result.with_run_id(_log(result, outcomes) if track else None)
    if as_json:
        print_json(document)
    elif space is None:
        print_sweep(document)
    else:
        print_space(document)
    if not result.is_routing:
        raise typer.Exit(EXIT_DO_NOT_ROUTE)


@dataclass(frozen=True, slots=True)
class _Judged:
    """How any sweep is chosen and judged."""

    seed: int
    margin: float | None
    rule: str
    spend: float | None
    costs: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class _Searched:
    """How a space is searched; None takes the default."""

    trials: int | None
    study: Path | None
    sampler: str | None


def _kept(study: Path | None) -> str:
    """What an interrupted search leaves."""
    from workbench.tuning.space.sweep import study_file

    if study is None:
        return "nothing is kept without --study"
    journal = study_file(study)
    if not journal.exists() or not journal.stat().st_size:
        return "no trial was done yet"
    return f"the trials that were done are kept in {journal}: the same command goes on from there"


DEFAULTS = {"--objective": "cost-aware", "--embedder": "static", "--calibrate": "auto", "--engine": "local"}


def _refuse(options: dict[str, Any], because: str) -> None:
    """Options that would be ignored are errors."""
    for name, value in options.items():
        if value not in (None, "", DEFAULTS.get(name)):
            raise ConfigError(f"{name} {value} {because}")


def _progress(line: str) -> None:
    stderr.print(line, style="dim", highlight=False, markup=False)


def _plain(
    outcomes: Path, judged: _Judged, objective: str, predictor: str, embedder: str, calibrate: str
) -> SweepResult:
    from workbench.evaluation import Outcomes
    from workbench.tuning import sweep as run_sweep

    return run_sweep(
        Outcomes.read(outcomes),
        objective=objective,
        predictors=tuple(name.strip() for name in predictor.split(",") if name.strip()),
        embedder=embedder,
        seed=judged.seed,
        margin=judged.margin,
        rule=judged.rule,
        spend_usd_per_1k=judged.spend,
        calibration=calibrate,
        costs=judged.costs,
        progress=_progress,
    )


def _space(
    outcomes: Path,
    judged: _Judged,
    space: Path,
    searched: _Searched,
    where: tuple[str, str | None],
) -> SpaceResult:
    from workbench.evaluation import Outcomes
    from workbench.evaluation.engine import make_engine
    from workbench.tuning.space import load_space, space_sweep
    from workbench.tuning.space.sampling import SAMPLER
    from workbench.tuning.space.sweep import DEFAULT_TRIALS

    found, recorded = load_space(space), Outcomes.read(outcomes)
    with contextlib.closing(make_engine(*where)) as engine:
        return space_sweep(
            recorded,
            found,
            n_trials=DEFAULT_TRIALS if searched.trials is None else searched.trials,
            study=searched.study,
            sampler=searched.sampler or SAMPLER,
            engine=engine,
            seed=judged.seed,
            margin=judged.margin,
            rule=judged.rule,
            spend_usd_per_1k=judged.spend,
            costs=judged.costs,
            progress=_progress,
        )


def nominal_costs(options: list[str]) -> dict[str, float] | None:
    """USD an answer by model of `--cost model=usd` options; None without any."""
    costs: dict[str, float] = {}
    for option in options:
        name, equals, amount = option.rpartition("=")
        try:
            costs[name] = float(amount)
        except ValueError as exc:
            raise ConfigError(f"--cost {option!r}: {amount!r} is not a number; write --cost MODEL=USD") from exc
        if not equals or not name:
            raise ConfigError(f"--cost {option!r} names no model; write --cost MODEL=USD")
    return costs or None


def _log(result: SweepResult | SpaceResult, outcomes: Path) -> str | None:
    from workbench.tracking import log_sweep
    from workbench.tuning.space.result import SpaceResult

    if isinstance(result, SpaceResult):
        from workbench.tuning.space.tracked import log_space_sweep

        space: SpaceResult = result
        return logged(lambda: log_space_sweep(space, outcomes_path=outcomes))
    return logged(lambda: log_sweep(result, outcomes_path=outcomes))
