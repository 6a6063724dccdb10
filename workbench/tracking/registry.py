"""The registry: each release a version of a registered model, the one to use under the alias `champion`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.core import ConfigError, StoreError
from workbench.core.hashing import sha256_file, sha256_json
from workbench.core.naming import did_you_mean
from workbench.tracking.secrets import refuse_secrets_in_folder
from workbench.tracking.store import Tracking, init

CHAMPION = "champion"


def register_release(folder: Path, name: str, run_id: str, tracking: Tracking | None = None) -> int:
    """Store a release folder with its run and make it the champion of that name.

    `mlflow.artifacts.download_artifacts("models:/NAME@champion")` then gives the folder. A version is made from the logged
    files directly: logging a pyfunc model takes seconds longer and would add nothing that the gateway reads.

    Args:
        folder: a release.
        name: the registered model's name.
        run_id: the sweep's run.
        tracking: the store; None opens the project's.

    Returns:
        The version's number, counted from 1.

    Raises:
        StoreError: the folder holds a secret's value, or the store cannot be written.
    """
    from mlflow.exceptions import MlflowException

    refuse_secrets_in_folder(folder)
    client = (tracking or init()).client()
    artifact_path = (
        f"releases/{name}-{_digest(folder)[:12]}"  # a path per content: a later release never alters this one
    )
    try:
        client.log_artifacts(run_id, str(folder), artifact_path)
        _ensure_registered(client, name)
        source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
        version = client.create_model_version(name, source=source, run_id=run_id)
        client.set_registered_model_alias(name, CHAMPION, version.version)
    except (MlflowException, OSError) as exc:
        raise StoreError(f"cannot register release {name!r} from {folder}: {exc}") from exc
    return int(version.version)


def champion(name: str, tracking: Tracking | None = None) -> Path:
    """The folder of the release that carries the alias `champion`; for a local store it is not copied.

    Raises:
        ConfigError: no such registered model, or none of its versions is the champion; names the nearest.
        StoreError: its files are gone.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    tracking = tracking or init()
    client = tracking.client()
    try:
        version = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as exc:
        known = [model.name for model in client.search_registered_models()]
        raise ConfigError(f"no release {name!r} with the alias {CHAMPION!r}: {did_you_mean(name, known)}") from exc
    try:
        return Path(mlflow.artifacts.download_artifacts(version.source, tracking_uri=tracking.uri))
    except (MlflowException, OSError) as exc:
        raise StoreError(f"the files of release {name!r}, version {version.version}, are gone: {exc}") from exc


def _ensure_registered(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_json({path.relative_to(folder).as_posix(): sha256_file(path) for path in files})
