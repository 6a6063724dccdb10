"""What a number was made with: versions, commit, data, seed, machine and date, for notebooks and tracked runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.core.environment import git_commit, hardware, versions

LIBRARIES = (
    "numpy",
    "polars",
    "scipy",
    "scikit-learn",
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "mlflow",
    "aiohttp",
    "anthropic",
)


def provenance(
    *, data_hash: str | None = None, seed: int | None = None, run_id: str | None = None, root: Path | None = None
) -> dict[str, Any]:
    """A JSON-serialisable account of where a result comes from. Unknown is None.

    Args:
        data_hash: hash of the data the result was computed from.
        seed: seed of its random draws.
        run_id: MLflow run that holds it.
        root: folder whose git commit counts; None: this package's checkout.

    Example:
        >>> sorted(provenance(seed=7))[:4]
        ['commit', 'data_hash', 'date', 'dirty']
    """
    commit = git_commit(root)
    return {
        "version": __version__,
        "commit": commit.partition("+")[0] if commit else None,
        "dirty": commit.endswith("+changes") if commit else None,
        "data_hash": data_hash,
        "seed": seed,
        "run_id": run_id,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(LIBRARIES),
    }
