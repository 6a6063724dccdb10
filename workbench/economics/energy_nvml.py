"""GPU energy by NVIDIA's management library: the energy counter where the GPU has one, else power added up over time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from workbench.core import Clock
from workbench.core.nvml import Nvml

MJ_PER_WH = 3.6e6
SAMPLE_EVERY_S = 0.1


class _Gauge(Protocol):
    def read_wh(self) -> float: ...


class NvmlMeter:
    """Adds up the GPUs of an opened NVML. Make it with `opened`.

    Args:
        library: the module `pynvml` or its like.
        gauges: GPU → what reads it.
        method: how.
        reason: what could not be read, and why.
    """

    def __init__(self, library: Any, gauges: dict[str, _Gauge], method: str, reason: str | None) -> None:
        self.covers: Sequence[str] = tuple(gauges)
        self.method, self.reason = method, reason
        self._library, self._gauges = library, gauges
        self._closed = threading.Event()

    @classmethod
    def opened(cls, found: Nvml, clock: Clock, sample_every_s: float | None = SAMPLE_EVERY_S) -> NvmlMeter | str:
        """A meter of every GPU that tells its energy or its power, or the reason why none does.

        Args:
            found: NVML with its GPUs.
            clock: times the power samples.
            sample_every_s: seconds between power samples; None takes one at each reading only.
        """
        counters: dict[str, _Gauge] = {}
        powers: dict[str, _Gauge] = {}
        refused = []
        for name, gpu in found.gpus.items():
            try:
                counters[name] = EnergyCounter(found.library, gpu)
                continue
            except found.library.NVMLError as exc:
                why = f"{name}: {exc}"
            try:
                powers[name] = PowerIntegral(_power_of(found.library, gpu), clock)
            except found.library.NVMLError:
                refused.append(why)
        if not counters and not powers:
            return "NVML: neither energy nor power can be read (" + "; ".join(refused) + ")"
        meter = cls(found.library, counters | powers, _method(counters, powers, sample_every_s), _joined(refused))
        if powers and sample_every_s is not None:
            meter._keep_sampling(powers, sample_every_s)
        return meter

    def read_wh(self) -> float | None:
        """Wh since it was opened; None when a GPU no longer tells (lost, driver reloaded)."""
        try:
            return sum(gauge.read_wh() for gauge in self._gauges.values())
        except self._library.NVMLError:
            return None

    def close(self) -> None:
        """End the sampling. NVML itself stays open: others in this process may use it."""
        self._closed.set()

    def _keep_sampling(self, powers: dict[str, _Gauge], every_s: float) -> None:
        def sample() -> None:
            while not self._closed.wait(every_s):
                try:
                    for gauge in powers.values():
                        gauge.read_wh()
                except self._library.NVMLError:
                    return  # the next reading says None

        threading.Thread(target=sample, name="gpu-power", daemon=True).start()


class EnergyCounter:
    """A GPU's total energy counter, mJ since its driver was loaded (Volta and newer).

    Source: NVML, nvmlDeviceGetTotalEnergyConsumption.
    """

    def __init__(self, library: Any, gpu: Any) -> None:
        self._read_mj: Callable[[], int] = lambda: int(library.nvmlDeviceGetTotalEnergyConsumption(gpu))
        self._last_mj = self._read_mj()
        self._sum_mj = 0

    def read_wh(self) -> float:
        """Wh since it was opened. A counter that went back was started anew: what it shows then is added."""
        now_mj = self._read_mj()
        self._sum_mj += now_mj - self._last_mj if now_mj >= self._last_mj else now_mj
        self._last_mj = now_mj
        return self._sum_mj / MJ_PER_WH


class PowerIntegral:
    """Power added up over time by the trapezoid rule; as good as the samples are dense.

    Args:
        read_w: the power now, W.
        clock: times the samples.

    Example:
        >>> from workbench.testing import FakeClock
        >>> clock = FakeClock()
        >>> integral = PowerIntegral(lambda: 360.0, clock)
        >>> clock.advance(10)
        >>> integral.read_wh()
        1.0
    """

    def __init__(self, read_w: Callable[[], float], clock: Clock) -> None:
        self._read_w, self._clock = read_w, clock
        self._lock = threading.Lock()
        self._last_w, self._last_s = read_w(), clock.monotonic_s()
        self._sum_ws = 0.0

    def read_wh(self) -> float:
        """Wh since it was opened; takes a sample."""
        with self._lock:
            now_w, now_s = self._read_w(), self._clock.monotonic_s()
            self._sum_ws += (now_w + self._last_w) / 2 * max(0.0, now_s - self._last_s)
            self._last_w, self._last_s = now_w, now_s
            return self._sum_ws / 3600


def _power_of(library: Any, gpu: Any) -> Callable[[], float]:
    return lambda: library.nvmlDeviceGetPowerUsage(gpu) / 1000


def _method(counters: dict[str, _Gauge], powers: dict[str, _Gauge], every_s: float | None) -> str:
    how = "each reading" if every_s is None else f"every {every_s:g} s"
    said = ["NVML energy counter"] if counters else []
    return "; ".join([*said, f"NVML power sampled {how} ({', '.join(powers)})"] if powers else said)


def _joined(refused: list[str]) -> str | None:
    return "NVML: " + "; ".join(refused) if refused else None
