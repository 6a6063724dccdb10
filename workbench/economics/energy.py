"""How much electricity a span took: counters of the machine that add up watt-hours, and the reason where there are none.

A meter counts everything that its hardware does, other processes included, and only what it covers: a GPU's counter knows nothing of
the processor, RAPL nothing of disks, fans or the power supply's losses. `covers` says what is in a figure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from workbench.core import Clock, SystemClock
from workbench.core.nvml import open_nvml
from workbench.economics.energy_nvml import NvmlMeter
from workbench.economics.energy_rapl import POWERCAP, open_rapl


class EnergyMeter(Protocol):
    """Electricity since the meter was opened."""

    covers: Sequence[str]
    """What is counted: gpu0, package-0, dram-0, …; empty where nothing is."""
    reason: str | None
    """Why `read_wh` is None, or, of a meter that reads, what it does not cover and why; None when nothing is missing."""
    method: str
    """How it is read, for manifests."""

    def read_wh(self) -> float | None:
        """Wh since the meter was opened, never less than at the last call; None where no counter can be read. Below 1 ms."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class NoMeter:
    """The meter of a machine whose counters cannot be read.

    Example:
        >>> NoMeter("a virtual machine").read_wh() is None
        True
    """

    covers: Sequence[str] = ()
    method = "none"

    def __init__(self, reason: str) -> None:
        self.reason: str | None = reason

    def read_wh(self) -> float | None:
        """None."""
        return None

    def close(self) -> None:
        """Nothing is held."""


class CombinedMeter:
    """The sum of meters that count different hardware.

    Args:
        meters: that can be read.
        missing: one sentence for each that cannot.
    """

    def __init__(self, meters: Sequence[EnergyMeter], missing: Sequence[str] = ()) -> None:
        self._meters = list(meters)
        self.covers: Sequence[str] = tuple(name for meter in meters for name in meter.covers)
        self.reason: str | None = "; ".join([*missing, *(m.reason for m in meters if m.reason)]) or None
        self.method = "; ".join(meter.method for meter in meters)

    def read_wh(self) -> float | None:
        """Wh of all together; None when one of them has stopped telling, because a sum without it would look like a saving."""
        known = [wh for wh in (meter.read_wh() for meter in self._meters) if wh is not None]
        return sum(known) if len(known) == len(self._meters) else None

    def close(self) -> None:
        """Close all."""
        for meter in self._meters:
            meter.close()


def open_meter(
    *,
    powercap: Path = POWERCAP,
    nvml: Any = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> EnergyMeter:
    """The best meter that this machine has: its GPUs (NVML) and its processors and memory (RAPL).

    Args:
        powercap: where the kernel shows RAPL.
        nvml: stands in for the module `pynvml`; None imports it.
        clock: for GPUs that tell their power but not their energy.
        environ: CUDA_VISIBLE_DEVICES is read from it: GPUs that this process may not use are not counted; None is the process's own.

    Returns:
        A meter; where nothing can be read, a `NoMeter` whose `reason` says why.
    """
    found = open_nvml(nvml, (os.environ if environ is None else environ).get("CUDA_VISIBLE_DEVICES"))
    gpu = found if isinstance(found, str) else NvmlMeter.opened(found, clock or SystemClock())
    opened: list[EnergyMeter | str] = [gpu, open_rapl(powercap)]
    meters = [meter for meter in opened if not isinstance(meter, str)]
    missing = [meter for meter in opened if isinstance(meter, str)]
    return CombinedMeter(meters, missing) if meters else NoMeter("; ".join(missing))
