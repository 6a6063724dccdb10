"""What a number was measured on: hardware, versions, commit. Stands in manifests, tracked runs and published results."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "polars", "torch", "transformers", "mlflow", "aiohttp", "anthropic")


@functools.cache
def hardware() -> dict[str, Any]:
    """Processor name, cores usable by this process, memory in GiB and the GPUs' names (empty where there are none)."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": _gpu_names(),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu_names() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def versions(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Python's and the installed libraries' versions; what is not installed is left out. Imports nothing."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git_commit(folder: Path | None = None) -> str | None:
    """The commit checked out around `folder` (this package by default), with "+changes" when files differ; None outside git."""
    where = folder or Path(__file__).parent
    commit, status = _git(where, "rev-parse", "HEAD"), _git(where, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else commit + ("+changes" if status else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment() -> dict[str, Any]:
    """Hardware, versions, commit and date in one JSON-ready mapping, the head of every published result."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "git_commit": git_commit(),
        "hardware": hardware(),
        "versions": versions(),
    }
