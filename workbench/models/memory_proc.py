"""What the operating system says about a process's memory. Linux tells it all; elsewhere only this process's own peak is known."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PROC = Path("/proc")
KIB_PER_GIB = 2**20


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """The memory of one process, as the kernel shows it.

    Args:
        pid: which.
        proc: where the kernel shows processes.
    """

    pid: int
    proc: Path = field(default=PROC)

    def resident_kib(self) -> int | None:
        """What is in memory now, pages shared with others included; None where the process or the figure is not there."""
        return self._status("VmRSS")

    def peak_kib(self) -> int | None:
        """The most that was resident since the peak was last set back; None as above."""
        found = self._status("VmHWM")
        return _own_peak_kib() if found is None and self.pid == os.getpid() and self.proc == PROC else found

    def proportional_kib(self) -> int | None:
        """What is in memory now, each shared page divided by its sharers; None where this process may not look.

        The kernel walks the page tables for it: 13 ms at 0.4 GiB.
        """
        return self._figure("smaps_rollup", "Pss")

    def reset_peak(self) -> bool:
        """Set the kernel's peak back to what is resident now; whether that was allowed."""
        try:
            (self.proc / str(self.pid) / "clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return False
        return True

    def _status(self, key: str) -> int | None:
        return self._figure("status", key)

    def _figure(self, file: str, key: str) -> int | None:
        try:
            text = (self.proc / str(self.pid) / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        line = next((line for line in text.splitlines() if line.startswith(f"{key}:")), None)
        return None if line is None else int(line.split()[1])


class PeakSource(Protocol):
    """Something that keeps one peak and can set it back: a process's resident set, a GPU's allocator."""

    def peak_kib(self) -> int | None:
        """The most since it was last set back; None where it is not told."""
        ...

    def reset_peak(self) -> bool:
        """Set it back to what is used now; whether that was allowed."""
        ...


class CallPeaks:
    """The most that was used during each of several calls, which may overlap.

    There is one peak for all. Whoever begins a call sets it back; those whose calls are under way take note of it first, so nobody's peak
    is lost. Calls that overlap see each other's memory. A call costs a few readings, 0.15 ms.

    Args:
        source: of the peak; one CallPeaks a source.
    """

    def __init__(self, source: PeakSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._under_way: dict[object, int] = {}

    def begin(self) -> object:
        """A token for the call that begins now."""
        call = object()
        with self._lock:
            self._note()
            self._source.reset_peak()
            self._under_way[call] = 0
        return call

    def end(self, call: object) -> float | None:
        """GiB; None where the system does not tell."""
        with self._lock:
            self._note()
            peak_kib = self._under_way.pop(call)
        return peak_kib / KIB_PER_GIB if peak_kib else None

    def _note(self) -> None:
        peak_kib = self._source.peak_kib() or 0
        for call, before_kib in self._under_way.items():
            self._under_way[call] = max(before_kib, peak_kib)


def process_tree(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all its descendants that run now, itself first.

    A server's engine and workers are processes of their own; the memory of a server is that of the tree.
    """
    children: dict[int, list[int]] = {}
    for folder in proc.glob("[0-9]*"):
        parent = _parent(folder)
        if parent is not None:
            children.setdefault(parent, []).append(int(folder.name))
    tree = [pid]
    for member in tree:
        tree.extend(sorted(children.get(member, [])))
    return tree


def _parent(folder: Path) -> int | None:
    """The fourth field of `stat`; the second, the command's name in parentheses, may hold anything."""
    try:
        return int((folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _own_peak_kib() -> int | None:
    """This process's peak since it began; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak  # bytes there, KiB elsewhere
