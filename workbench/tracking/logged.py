"""Logging a sweep: one run with everything inside, a child run for each finalist, nothing a grid cell."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench import __version__
from workbench.core import ConfigError, StoreError
from workbench.core.environment import environment, git_commit
from workbench.core.files import read_json, write_json
from workbench.core.hashing import canonical_json
from workbench.tracking.secrets import refuse_secrets, refuse_secrets_in_folder
from workbench.tracking.store import Tracking, init
from workbench.tracking.values import log_values, metrics_of

if TYPE_CHECKING:
    import polars as pl

EXPERIMENT = "sweeps"
SWEEP_FOLDER = "sweep"
MOST_FINALISTS = 10


class LoggableSweep(Protocol):
    """What a sweep result must have; `workbench.tuning.SweepResult` does."""

    @property
    def document(self) -> dict[str, Any]:
        """What `workbench sweep --json` prints."""
        ...

    @property
    def policy(self) -> Any:
        """What is recommended; has `save(folder)`."""
        ...

    @property
    def report(self) -> pl.DataFrame:
        """The report split, one row a prompt."""
        ...

    @property
    def pilot(self) -> pl.DataFrame:
        """The choose split, one row a prompt."""
        ...

    @property
    def curves(self) -> Mapping[str, Any]:
        """Predictor → frontier with `cost_usd`, `score` and `thresholds`."""
        ...

    @property
    def heat(self) -> pl.DataFrame:
        """Mean score by task."""
        ...

    def figures(self, only: str | None = None) -> Mapping[str, Any]:
        """Figures by name; of one policy alone where `only` names it."""
        ...


def log_sweep(
    result: LoggableSweep,
    *,
    outcomes_path: Path | None = None,
    outcomes_manifest: Mapping[str, Any] | None = None,
    experiment: str = EXPERIMENT,
    tracking: Tracking | None = None,
) -> str:
    """Log a sweep as one MLflow run, with a child run for each finalist (the policies at their chosen thresholds).

    Args:
        result: a finished sweep.
        outcomes_path: folder of the Outcomes, for the dataset's source and the manifest.
        outcomes_manifest: their manifest; None reads it from `outcomes_path`. It holds the models' cards, which
            `workbench release create` builds a stack from.
        experiment: name of the experiment.
        tracking: the store; None opens the project's.

    Returns:
        The run's id.

    Raises:
        StoreError: what would be logged holds a secret's value, or the store cannot be written.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    manifest = dict(outcomes_manifest or _manifest_of(outcomes_path))
    refuse_secrets(canonical_json([result.document, manifest]), "the sweep or the manifest of its Outcomes")
    tracking = tracking or init()
    mlflow.set_tracking_uri(tracking.uri)
    experiment_id = tracking.experiment(experiment)
    name = f"{result.document['chosen']['policy']}, {result.document['verdict']}"
    try:
        with mlflow.start_run(experiment_id=experiment_id, run_name=name, nested=True) as run:
            _log_parent(result, manifest, outcomes_path, tracking, run.info.run_id)
        for policy in list(result.document["policies"])[:MOST_FINALISTS]:
            _log_finalist(result, policy, tracking, experiment_id, run.info.run_id)
    except MlflowException as exc:
        raise StoreError(f"cannot log the sweep in {tracking.uri}: {exc}") from exc
    return str(run.info.run_id)


def _manifest_of(outcomes: Path | None) -> dict[str, Any]:
    return dict(read_json(outcomes / "manifest.json", "manifest")) if outcomes else {}


def _log_parent(
    result: LoggableSweep, manifest: dict[str, Any], outcomes: Path | None, tracking: Tracking, run_id: str
) -> None:
    import mlflow

    client, document = tracking.client(), {**result.document, "run_id": run_id}
    log_values(
        client,
        run_id,
        metrics_of(document["chosen"]) | _best_single(document),
        _params(document),
        _tags(document, manifest),
    )
    _log_dataset(result, document, outcomes)
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside)
        _write_sweep(result, document, manifest, folder)
        client.log_artifacts(run_id, beside, SWEEP_FOLDER)
    mlflow.log_table(_policy_table(document), "tables/policies.json")
    mlflow.log_table(_baseline_table(document), "tables/baselines.json")
    _log_figures(client, run_id, result)


def _write_sweep(result: LoggableSweep, document: dict[str, Any], manifest: dict[str, Any], folder: Path) -> None:
    """Everything that a release is made of."""
    write_json(folder / "sweep.json", document)
    write_json(folder / "environment.json", environment())
    result.policy.save(folder / "policy")
    result.report.write_parquet(folder / "report.parquet", compression="zstd")
    result.pilot.write_parquet(folder / "pilot.parquet", compression="zstd")
    result.heat.write_parquet(folder / "tasks.parquet", compression="zstd")
    _curve_table(result).write_parquet(folder / "frontiers.parquet", compression="zstd")
    if manifest:
        write_json(folder / "manifest.json", manifest)
    refuse_secrets_in_folder(folder)


def _log_finalist(result: LoggableSweep, policy: str, tracking: Tracking, experiment_id: str, parent: str) -> None:
    document = result.document["policies"][policy]
    client = tracking.client()
    tags = {"mlflow.runName": policy, "mlflow.parentRunId": parent, "workbench.kind": "finalist"}
    run_id = client.create_run(experiment_id, tags=tags).info.run_id
    areas = {name: document[name] for name in ("aiq", "apgr") if document.get(name) is not None}
    params = {"policy": policy, "threshold": document["picked"]["threshold"]}
    log_values(client, run_id, metrics_of(document["picked"]) | areas, params, {})
    _log_figures(client, run_id, result, only=policy)
    client.set_terminated(run_id)


def _log_figures(client: Any, run_id: str, result: LoggableSweep, only: str | None = None) -> None:
    for name, figure in result.figures(only).items():
        client.log_figure(run_id, figure, f"figures/{name}.png")


def _best_single(document: Mapping[str, Any]) -> dict[str, float]:
    line = document["baselines"].get(document.get("best_single"), {})
    return {f"best_single.{name}": float(line[name]) for name in ("score", "cost_usd_per_1k") if name in line}


def _params(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("objective", "embedder", "margin", "n_bootstrap", "cost_source", "n_prompts", "n_models")
    chosen = document["chosen"]
    known = {name: document[name] for name in kept if name in document}
    return {**known, "policy": chosen["policy"], "threshold": chosen["threshold"]}


def _tags(document: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "workbench.kind": "sweep",
        "workbench.version": __version__,
        "workbench.git_commit": git_commit(),
        "workbench.data_hash": document.get("data_hash"),
        "workbench.suite_hash": manifest.get("suite_hash"),
        "workbench.seed": document.get("seeds", {}).get("split"),
        "workbench.verdict": document["verdict"],
        "workbench.because": document["because"],
        "workbench.models": ", ".join(sorted(manifest.get("models", {}))) or None,
    }


def _log_dataset(result: LoggableSweep, document: Mapping[str, Any], outcomes: Path | None) -> None:
    import mlflow
    import mlflow.data

    source = (outcomes / "outcomes.parquet").resolve().as_uri() if outcomes else None
    digest = str(document.get("data_hash") or "unknown")[:16]
    name = outcomes.resolve().name if outcomes else "outcomes"
    with warnings.catch_warnings():  # about two names of the same kind of source
        warnings.simplefilter("ignore", UserWarning)
        dataset = mlflow.data.from_polars(result.report, source=source, name=name, digest=digest)
    mlflow.log_input(dataset, context="report split")


def _policy_table(document: Mapping[str, Any]) -> Any:
    rows = [
        {"policy": name, "aiq": p.get("aiq"), **metrics_of(p["picked"])} for name, p in document["policies"].items()
    ]
    return _pandas(rows)


def _baseline_table(document: Mapping[str, Any]) -> Any:
    return _pandas([{"baseline": name, **metrics_of(line)} for name, line in document["baselines"].items()])


def _pandas(rows: list[dict[str, Any]]) -> Any:
    """MLflow's tables are pandas frames."""
    import pandas as pd

    return pd.DataFrame(rows)


def _curve_table(result: LoggableSweep) -> pl.DataFrame:
    import polars as pl

    parts = [
        pl.DataFrame({"threshold": c.thresholds, "score": c.score, "cost_usd": c.cost_usd}).with_columns(
            pl.lit(name).alias("policy")
        )
        for name, c in result.curves.items()
    ]
    return pl.concat(parts)


def sweep_folder(run_id: str, tracking: Tracking | None = None) -> Path:
    """The folder that `log_sweep` stored with a run; for a local store it is not copied.

    Raises:
        ConfigError: no such run, or it is no sweep; says which sweeps there are.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    tracking = tracking or init()
    try:
        run = tracking.client().get_run(run_id)
        folder = mlflow.artifacts.download_artifacts(
            f"{run.info.artifact_uri}/{SWEEP_FOLDER}", tracking_uri=tracking.uri
        )
    except (MlflowException, OSError) as exc:
        recent = _recent_sweeps(tracking)
        raise ConfigError(
            f"no sweep in run {run_id!r} of {tracking.uri}; {f'the latest are {recent}' if recent else 'there is none yet'}. "
            "`workbench sweep` prints its run"
        ) from exc
    return Path(folder)


def _recent_sweeps(tracking: Tracking) -> str:
    client = tracking.client()
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return ""
    runs = client.search_runs([found.experiment_id], "tags.`workbench.kind` = 'sweep'", max_results=3)
    return ", ".join(run.info.run_id for run in runs)
