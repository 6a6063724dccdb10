"""Where experiments are kept: one SQLite store and one artifact folder in the project's `mlruns/`, the same from every folder.

MLflow's own default follows the current directory, so a notebook in `notebooks/` and a command at the root would each get a
store. Two processes that create a store at the same moment race through its migrations and one crashes. `init` settles both.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import ConfigError, MissingExtra, StoreError

ROOT_MARKERS = ("lab.yaml", "pyproject.toml", ".git")

# The pool is enlarged because tracing writes from ten threads: with MLflow's 5 + 10 connections 15 of 50 traces went
# missing without an error on a loaded machine.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "50",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "50",
}

LOCK_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Tracking:
    """An open store.

    Args:
        uri: MLflow tracking URI, absolute.
        folder: where the store and its artifacts lie; None for a tracking server.
    """

    uri: str
    folder: Path | None

    def client(self) -> Any:
        """An `MlflowClient` on this store."""
        return _mlflow().MlflowClient(tracking_uri=self.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment of that name, created if there is none; its artifacts lie beside the store."""
        client = self.client()
        if found := client.get_experiment_by_name(name):
            return str(found.experiment_id)
        if self.folder is None:
            return str(client.create_experiment(name))
        with _locked(self.folder):
            if found := client.get_experiment_by_name(name):
                return str(found.experiment_id)
            artifacts = self.folder / "artifacts" / name
            return str(client.create_experiment(name, artifact_location=artifacts.resolve().as_uri()))


def init(root: Path | None = None) -> Tracking:
    """Open the tracking store, creating it on first use, and point MLflow at it.

    Args:
        root: the project's folder; its `mlruns/` holds the store. None: the nearest folder upwards from the current one
            that holds a lab.yaml, pyproject.toml or .git, else the current one. The environment variable
            MLFLOW_TRACKING_URI, where set, wins over the search.

    Raises:
        MissingExtra: MLflow is not installed.
        ConfigError: MLFLOW_TRACKING_URI names a kind of store that does not work.
        StoreError: the store is of another version, damaged, or cannot be written.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    tracking = _named_by_environment() if root is None else None
    if tracking is None:
        folder = (root or project_root()).resolve() / "mlruns"
        tracking = Tracking(_sqlite_uri(folder / "mlflow.db"), folder)
    mlflow = _mlflow()
    if tracking.uri.startswith("sqlite:///"):
        _open_sqlite(Path(tracking.uri.removeprefix("sqlite:///")), tracking.uri)
    mlflow.set_tracking_uri(tracking.uri)
    return tracking


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that is a project's root, else `start` itself (default: the current folder)."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in ROOT_MARKERS):
            return folder
    return start


def _named_by_environment() -> Tracking | None:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not uri:
        return None
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).resolve()
        return Tracking(_sqlite_uri(path), path.parent)
    if "://" not in uri or uri.startswith("file:"):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI is {uri!r}, a folder; MLflow no longer keeps runs in folders. "
            "Set it to sqlite:///PATH/mlflow.db or a server's http(s) URL, or unset it for ./mlruns"
        )
    return Tracking(uri, None)


def _sqlite_uri(path: Path) -> str:
    return f"sqlite:///{path.as_posix()}"


def _mlflow() -> Any:
    try:
        import mlflow
    except ModuleNotFoundError as exc:
        if exc.name != "mlflow":
            raise
        raise MissingExtra("experiment tracking", "tracking") from exc
    for chatty in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return mlflow


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the store's file lock, so that one process at a time creates and migrates."""
    import portalocker

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = portalocker.Lock(folder / ".mlflow.lock", timeout=LOCK_TIMEOUT_S)
        lock.acquire()
    except OSError as exc:
        raise StoreError(
            f"cannot write the tracking store in {folder}: {exc.strerror}; free space or choose another folder"
        ) from exc
    except portalocker.exceptions.LockException as exc:
        raise StoreError(
            f"another process has held {folder / '.mlflow.lock'} for {LOCK_TIMEOUT_S:.0f} s; end it and try again"
        ) from exc
    try:
        yield
    finally:
        lock.release()


def _open_sqlite(path: Path, uri: str) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    with _locked(path.parent):
        _refuse_newer(path)
        try:
            mlflow.MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
        except MlflowException as exc:
            raise StoreError(_older(path, uri) if "out-of-date" in str(exc) else f"cannot open {path}: {exc}") from exc
        _use_write_ahead_log(path)


def _older(path: Path, uri: str) -> str:
    return f"{path} was made by an older MLflow; copy it to be safe, then run: mlflow db upgrade {uri}"


def _refuse_newer(path: Path) -> None:
    """Raise StoreError for a file that is no database or whose schema this MLflow does not know; MLflow would retry for minutes."""
    import mlflow

    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        revision = _schema_revision(path)
    except sqlite3.DatabaseError as exc:
        raise StoreError(f"{path} is not a readable SQLite database ({exc}); restore a copy or move it away") from exc
    known = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    if revision is not None and not any(known.glob(f"{revision}_*.py")):
        raise StoreError(
            f"{path} was made by a newer MLflow (schema {revision}) than the installed {mlflow.__version__}; "
            "install that version, or set MLFLOW_TRACKING_URI to another store"
        )


def _schema_revision(path: Path) -> str | None:
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return None
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _use_write_ahead_log(path: Path) -> None:
    """Let readers and one writer work at the same time; the mode stays with the file."""
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
        database.execute("PRAGMA journal_mode=wal")
