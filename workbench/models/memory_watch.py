"""How much memory processes needed while something ran: resident on the host, allocated on the GPU.

No single host figure is right for several processes. The kernel's own peak of each (`VmHWM`) is exact, but pages that processes share
count once in each; the proportional set size (`Pss`) splits shared pages, but is only known as often as it is sampled. Both are given.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.core.nvml import Nvml, open_nvml
from workbench.models.memory_proc import KIB_PER_GIB, PROC, ProcessMemory

NOT_SHOWN = "the system shows no memory of these processes (not Linux, ended, or another user's)"


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What was needed while a watch was open, GiB. None is unknown; `reasons` says why.

    Args:
        before_gib: resident when the watch began, summed over the processes.
        rss_peak_gib: sum of each process's own peak; above the truth where processes share pages or peak at different times.
        pss_peak_gib: largest sampled sum of proportional set sizes; below the truth where a peak fell between samples.
        gpu_peak_gib: largest sampled GPU memory of these processes on the visible GPUs, CUDA contexts included (NVML).
        torch_before_gib: allocated by this process's torch when the watch began: weights, and whatever else was on its GPU.
        torch_peak_gib: the most that torch had allocated: before, key-value cache and activations.
        torch_reserved_gib: the most that torch's allocator had taken from the GPU.
        n_samples: how often `pss_peak_gib` and `gpu_peak_gib` were looked at.
        reasons: field → why it is null, or weaker than its name says.
    """

    before_gib: float | None = None
    rss_peak_gib: float | None = None
    pss_peak_gib: float | None = None
    gpu_peak_gib: float | None = None
    torch_before_gib: float | None = None
    torch_peak_gib: float | None = None
    torch_reserved_gib: float | None = None
    n_samples: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def memory_gib(self) -> float | None:
        """The one figure for a table: the GPU's where there is one, else the proportional peak, else the resident one."""
        known = (self.gpu_peak_gib, self.torch_peak_gib, self.pss_peak_gib, self.rss_peak_gib)
        return next((figure for figure in known if figure is not None), None)


class MemoryWatch:
    """Watches processes while a block runs; `result()` has their peaks, during the block too.

    The kernel's peaks are set back when the block begins, so two watches of the same process must not overlap: the second would
    take the first one's peak away (`memory_proc.CallPeaks` is for calls that do overlap in this process).

    Args:
        pids: processes, e.g. `process_tree(server_pid)`; None is this one. One that ends keeps its last reading.
        every_s: seconds between samples; None samples at both ends only.
        proc: where the kernel shows processes.
        nvml: an opened NVML, or the reason why there is none; None opens it.
        torch: stands in for the library; None takes it where this process has loaded it.

    Example:
        >>> with MemoryWatch(every_s=None) as watch:
        ...     block = bytearray(50_000_000)
        >>> use = watch.result()
        >>> "rss_peak_gib" in use.reasons or use.rss_peak_gib > 0.04
        True
    """

    def __init__(
        self,
        pids: Sequence[int] | None = None,
        every_s: float | None = 0.25,
        *,
        proc: Path = PROC,
        nvml: Nvml | str | None = None,
        torch: Any = None,
    ) -> None:
        self.pids = [os.getpid()] if pids is None else list(pids)
        self._processes = [ProcessMemory(pid, proc) for pid in self.pids]
        self._every_s = every_s
        self._nvml = open_nvml(visible=os.environ.get("CUDA_VISIBLE_DEVICES")) if nvml is None else nvml
        self._torch = _cuda_of(sys.modules.get("torch") if torch is None else torch) if self._is_this_process else None
        self._use = MemoryUse()
        self._peaks_kib: dict[int, int] = {}
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None

    @property
    def _is_this_process(self) -> bool:
        return self.pids == [os.getpid()]

    def __enter__(self) -> MemoryWatch:
        before = self._summed(ProcessMemory.resident_kib)
        was_reset = all(list(map(ProcessMemory.reset_peak, self._processes)))
        reasons = (
            {} if was_reset else {"rss_peak_gib": "the kernel's peaks could not be set back: since each process began"}
        )
        self._use = MemoryUse(before_gib=before, torch_before_gib=self._open_torch(), reasons=reasons)
        self._sample()
        if self._every_s is not None:
            self._sampler = threading.Thread(target=self._keep_sampling, name="memory-watch", daemon=True)
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._sampler is not None:
            self._sampler.join()
        self._sample()

    def result(self) -> MemoryUse:
        """What was needed so far, or, after the block, while it ran."""
        if not self._done.is_set():
            self._read_peaks()
        use = replace(
            self._use,
            rss_peak_gib=sum(self._peaks_kib.values()) / KIB_PER_GIB if self._peaks_kib else None,
            torch_peak_gib=None if self._torch is None else self._torch.max_memory_allocated() / 2**30,
            torch_reserved_gib=None if self._torch is None else self._torch.max_memory_reserved() / 2**30,
        )
        return replace(use, reasons={**self._why_null(use), **use.reasons})

    def _keep_sampling(self) -> None:
        while not self._done.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        self._read_peaks()
        self._use = replace(
            self._use,
            pss_peak_gib=_larger(self._use.pss_peak_gib, self._summed(ProcessMemory.proportional_kib)),
            gpu_peak_gib=_larger(self._use.gpu_peak_gib, self._gpu_gib()),
            n_samples=self._use.n_samples + 1,
        )

    def _read_peaks(self) -> None:
        for process in self._processes:
            peak_kib = process.peak_kib()
            if peak_kib is not None:
                self._peaks_kib[process.pid] = peak_kib

    def _summed(self, figure: Callable[[ProcessMemory], int | None]) -> float | None:
        """GiB over the processes that run; None where none tells."""
        known = [kib for kib in map(figure, self._processes) if kib is not None]
        return sum(known) / KIB_PER_GIB if known else None

    def _gpu_gib(self) -> float | None:
        if isinstance(self._nvml, str):
            return None
        used = [
            shown.usedGpuMemory
            for gpu in self._nvml.gpus.values()
            for shown in _shown_processes(self._nvml.library, gpu)
            if shown.pid in self.pids and shown.usedGpuMemory is not None
        ]
        return sum(used) / 2**30 if used else None

    def _open_torch(self) -> float | None:
        if self._torch is None:
            return None
        self._torch.reset_peak_memory_stats()
        return float(self._torch.memory_allocated() / 2**30)

    def _why_null(self, use: MemoryUse) -> dict[str, str]:
        no_torch = "torch is not on a GPU in this process" if self._is_this_process else "another process's torch"
        why = {
            "before_gib": NOT_SHOWN,
            "rss_peak_gib": NOT_SHOWN,
            "pss_peak_gib": "smaps_rollup is not readable here (not Linux, or another user's process)",
            "gpu_peak_gib": self._nvml
            if isinstance(self._nvml, str)
            else "NVML lists none of these processes (none uses a GPU, or a container hides their numbers)",
            "torch_before_gib": no_torch,
            "torch_peak_gib": no_torch,
            "torch_reserved_gib": no_torch,
        }
        return {name: reason for name, reason in why.items() if getattr(use, name) is None}


def _larger(old: float | None, new: float | None) -> float | None:
    return old if new is None else new if old is None else max(old, new)


def _shown_processes(library: Any, gpu: Any) -> Sequence[Any]:
    try:
        shown: Sequence[Any] = library.nvmlDeviceGetComputeRunningProcesses(gpu)
    except library.NVMLError:
        return []
    return shown


def _cuda_of(torch: Any) -> Any:
    """torch.cuda where it is in use; asking must not start it."""
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
