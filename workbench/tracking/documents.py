"""Logging a result that is a JSON document with a folder of files: a load test, a break-even study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.core import StoreError
from workbench.core.environment import git_commit
from workbench.core.hashing import canonical_json
from workbench.tracking.secrets import refuse_secrets, refuse_secrets_in_folder
from workbench.tracking.store import Tracking, init
from workbench.tracking.values import log_values, metrics_of

MOST_PARAM_CHARS = 500
NOT_IN_A_NAME = re.compile(r"[^\w\-./ :]")


def log_document(
    kind: str,
    name: str,
    document: Mapping[str, Any],
    *,
    folder: Path | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    tracking: Tracking | None = None,
) -> str:
    """Log a result as one MLflow run: its numbers as metrics, the document and its folder as artifacts.

    Args:
        kind: what it is, e.g. "bench"; also the experiment's name and the tag `workbench.kind`.
        name: name of the run.
        document: what the verb prints with `--json`; nested numbers become metrics under dotted names. It is stored with the
            run's id as its `run_id`.
        folder: further files, stored under `kind`.
        params: what was asked for.
        tags: further tags, e.g. verdict and data hash; None values are left out.
        tracking: the store; None opens the project's.

    Returns:
        The run's id.

    Raises:
        StoreError: what would be logged holds a secret's value, or the store cannot be written.
    """
    from mlflow.exceptions import MlflowException

    asked = {key: str(value) for key, value in (params or {}).items() if value is not None}
    refuse_secrets(canonical_json([document, asked, dict(tags or {})]), f"the {kind} document")
    if folder is not None:
        refuse_secrets_in_folder(folder)
    tracking = tracking or init()
    client = tracking.client()
    circumstances = {"kind": kind, "version": __version__, "git_commit": git_commit(), **(tags or {})}
    try:
        run = client.create_run(tracking.experiment(kind), run_name=name)
        run_id = str(run.info.run_id)
        try:
            log_values(
                client,
                run_id,
                {NOT_IN_A_NAME.sub("_", key): value for key, value in metrics_of(document).items()},
                {key: value[:MOST_PARAM_CHARS] for key, value in asked.items()},
                {f"workbench.{key}": value for key, value in circumstances.items()},
            )
            client.log_dict(run_id, {**document, "run_id": run_id}, f"{kind}.json")
            if folder is not None:
                client.log_artifacts(run_id, str(folder), kind)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
    except MlflowException as exc:
        raise StoreError(f"cannot log the {kind} in {tracking.uri}: {exc}") from exc
    return run_id
