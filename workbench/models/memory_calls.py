"""What answering needed, call by call, of the models that compute in this process."""

from __future__ import annotations

import functools
import os

import torch

from workbench.models.memory_proc import KIB_PER_GIB, CallPeaks, ProcessMemory


class TorchMemory:
    """What torch has allocated on a GPU.

    Args:
        device: cuda, cuda:1, …
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def resident_kib(self) -> int | None:
        """Allocated now."""
        return int(torch.cuda.memory_allocated(self._device)) // 1024

    def peak_kib(self) -> int | None:
        """The most since it was last set back."""
        return int(torch.cuda.max_memory_allocated(self._device)) // 1024

    def reset_peak(self) -> bool:
        """Set it back to what is allocated now."""
        torch.cuda.reset_peak_memory_stats(self._device)
        return True


def memory_of(device: str) -> ProcessMemory | TorchMemory:
    """What is measured for a model on that device: the process's resident set, or the GPU's allocator."""
    return TorchMemory(device) if device.startswith("cuda") else ProcessMemory(os.getpid())


@functools.cache
def peaks_of(device: str) -> CallPeaks:
    """The peaks of calls on that device, the same for all models of this process."""
    return CallPeaks(memory_of(device))


def used_gib(device: str) -> float | None:
    """What is used now, GiB: resident on a processor, allocated by torch on a GPU; None where the system does not tell."""
    kib = memory_of(device).resident_kib()
    return None if kib is None else kib / KIB_PER_GIB
