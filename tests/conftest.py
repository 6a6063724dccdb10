"""Settings of every test: no hub, no telemetry, one numeric thread; in CI a skipped test is a failed one.

Small models are slower and less repeatable with more threads.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "MPLBACKEND": "agg",
}.items():
    os.environ.setdefault(name, value)

settings.register_profile("workbench", deadline=None)  # a busy machine must not fail a property
settings.load_profile("workbench")

PUBLIC_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if PUBLIC_DATA.is_dir():
    os.environ.setdefault("WORKBENCH_DATA", str(PUBLIC_DATA))

MAY_SKIP = {"gpu", "paid"}


def pytest_collection_modifyitems(config, items):
    """Tests against public data belong to the suite where the data is; elsewhere they are not part of it."""
    if os.environ.get("WORKBENCH_DATA"):
        return
    absent = [item for item in items if item.get_closest_marker("data")]
    if absent:
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A part that CI should have installed and has not must not hide behind a skip."""
    report = yield
    allowed = MAY_SKIP & {mark.name for mark in item.iter_markers()}
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail") and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
