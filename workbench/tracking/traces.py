"""Whether all traces that were made also arrived: MLflow drops some without an error when its store is busy."""

from __future__ import annotations

from workbench.core import StoreError
from workbench.tracking.store import Tracking


def assert_traces_complete(run_id: str, n: int, tracking: Tracking) -> None:
    """Check that a run holds exactly the traces that were written for it.

    Args:
        run_id: the run.
        n: number of traces that were started under it.
        tracking: the store.

    Raises:
        StoreError: some are missing or there are too many; says how many.
    """
    import mlflow

    mlflow.flush_trace_async_logging()
    found = count_traces(run_id, tracking)
    if found != n:
        raise StoreError(
            f"run {run_id} holds {found} of {n} traces; the store was too busy for the rest. Repeat with fewer workers, "
            "or log through a tracking server (workbench lab) and MLFLOW_TRACKING_URI"
        )


def count_traces(run_id: str, tracking: Tracking) -> int:
    """Number of traces stored under a run."""
    client, total, token = tracking.client(), 0, None
    experiment = client.get_run(run_id).info.experiment_id
    while True:
        page = client.search_traces(
            locations=[experiment], run_id=run_id, include_spans=False, max_results=500, page_token=token
        )
        total += len(page)
        token = page.token
        if not token:
            return total
