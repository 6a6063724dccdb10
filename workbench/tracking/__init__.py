"""MLflow: where sweeps, releases and their provenance are kept. MLflow itself is imported on first use."""

from workbench.tracking.documents import log_document
from workbench.tracking.logged import log_sweep, sweep_folder
from workbench.tracking.provenance import provenance
from workbench.tracking.registry import champion, register_release
from workbench.tracking.store import Tracking, init
from workbench.tracking.traces import assert_traces_complete

__all__ = [
    "Tracking",
    "assert_traces_complete",
    "champion",
    "init",
    "log_document",
    "log_sweep",
    "provenance",
    "register_release",
    "sweep_folder",
]
