"""Logging the sweep of a space: the run of a plain sweep, with the configuration as parameters and the front as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.tracking import log_sweep
from workbench.tracking.documents import NOT_IN_A_NAME
from workbench.tracking.store import Tracking, init
from workbench.tracking.values import log_values
from workbench.tuning.space.result import SpaceResult


def log_space_sweep(result: SpaceResult, *, outcomes_path: Path | None = None, tracking: Tracking | None = None) -> str:
    """Log the sweep of a space as one MLflow run; its configurations are a table, not runs.

    Args:
        result: a finished sweep.
        outcomes_path: folder of the Outcomes.
        tracking: the store; None opens the project's.

    Returns:
        The run's id; `workbench release create` takes it.

    Raises:
        StoreError: what would be logged holds a secret's value, or the store cannot be written.
    """
    tracking = tracking or init()
    run_id = log_sweep(result, outcomes_path=outcomes_path, tracking=tracking)
    client, document = tracking.client(), result.document
    looked = {f"looked_at.{name}": float(n) for name, n in document["looked_at"].items()}
    log_values(client, run_id, looked, _params(document), {"workbench.space": document["space"]["name"]})
    client.log_table(run_id, result.front.to_pandas(use_pyarrow_extension_array=False), "tables/front.json")
    client.log_dict(run_id, document["space"]["file"], "space.yaml")
    return run_id


def _params(document: dict[str, Any]) -> dict[str, Any]:
    """The chosen configuration's parts."""
    configuration = document["configuration"]
    objective = dict(configuration["objective"])
    floors = objective.pop("floors", {})
    parts = {"predictor": configuration["predictor"], **objective, **{f"floors.{t}": f for t, f in floors.items()}}
    return {NOT_IN_A_NAME.sub("_", f"space.{name}"): value for name, value in parts.items() if value not in (None, [])}
