"""Settings of every test: no hub, no telemetry, one numeric thread; in CI a skipped test is a failed one.

Small models are slower and less repeatable with more threads.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
HANGS_AFTER_S = 300.0
"""Only what hangs takes so long: on a busy machine any step may take a hundred times its usual time."""


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


DIES_AT = """
import json, os
from workbench.core.journal import Journal

append, left = Journal.append, {line}

def dying(self, records):
    global left
    records = list(records)
    left -= len(records)
    if left > 0:
        return append(self, records)
    left = 10**9
    if {how!r} == "within":
        os.write(self._file.fileno(), json.dumps(records[0]).encode()[:-1])
    if {how!r} == "after":
        append(self, records)
    os.kill(os.getpid(), {number})

Journal.append = dying
"""


class Processes:
    """Starts processes that never outlive the test, whatever becomes of it, and leave nothing for the garbage collector to warn of."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(self, command: Sequence[object], **options: Any) -> subprocess.Popen[str]:
        """A process with its output in pipes, as text, unless the options say otherwise."""
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([str(word) for word in command], **{**piped, **options})
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs and reap all of it. Pipes are closed and not read: a grandchild may hold their other end."""
        for process in self._started:
            process.kill()
        while self._started:
            process = self._started.pop()
            process.wait(HANGS_AFTER_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # words that it did not live to read
                        pipe.close()


@pytest.fixture
def processes() -> Iterator[Processes]:
    """`start(command)` is a process that ends with the test at the latest."""
    started = Processes()
    try:
        yield started
    finally:
        started.end()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """A function that returns once a fact holds which another process or thread brings about."""

    def wait(fact: Callable[[], object]) -> None:
        give_up_s = time.monotonic() + HANGS_AFTER_S
        while not fact():
            assert time.monotonic() < give_up_s, f"still not so after {HANGS_AFTER_S:g} s"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def soon() -> Callable[[Callable[[], object]], Any]:
    """The same for a fact that tasks of the running event loop bring about."""

    async def wait(fact: Callable[[], object]) -> None:
        give_up_s = time.monotonic() + HANGS_AFTER_S
        while not fact():
            assert time.monotonic() < give_up_s, f"still not so after {HANGS_AFTER_S:g} s"
            await asyncio.sleep(0.001)

    return wait


@pytest.fixture(scope="session")
def dies_at() -> Callable[..., str]:
    """Code that kills its process at a line of its journal: before the line is written, within it or after it.

    Who looks on from outside and kills comes too late when the machine is busy.
    """

    def code(line: int, how: str = "after", number: int = signal.SIGKILL) -> str:
        return DIES_AT.format(line=line, how=how, number=int(number))

    return code
