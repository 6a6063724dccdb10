"""Processor and memory energy by Intel's and AMD's running average power limit counters, as Linux shows them in powercap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
UJ_PER_WH = 3.6e9
PACKAGE = re.compile(r"intel-rapl:\d+")
INSIDE = re.compile(r"intel-rapl:\d+:\d+")


class RaplMeter:
    """Adds up counters that wrap around.

    A counter runs from 0 to its range and starts again; a usual range, 262 kJ, lasts 40 minutes at 100 W. A wrap between
    two readings is seen, two are not: read at least every 10 minutes.

    Args:
        zones: name → folder with `energy_uj` and `max_energy_range_uj`.
        missing: what could not be read, and why.
    """

    method = "RAPL energy counters (powercap)"

    def __init__(self, zones: dict[str, Path], missing: str | None = None) -> None:
        self.covers: Sequence[str] = tuple(zones)
        self.reason = missing
        self._zones = [_Counter(folder) for folder in zones.values()]

    def read_wh(self) -> float | None:
        """Wh since it was opened; None when a counter has become unreadable."""
        read = [zone.advance() for zone in self._zones]
        return sum(uj for uj in read if uj is not None) / UJ_PER_WH if None not in read else None

    def close(self) -> None:
        """Nothing is held."""


class _Counter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._range_uj = _number(folder / "max_energy_range_uj")
        self._last_uj = _number(folder / "energy_uj")
        self._sum_uj = 0

    def advance(self) -> int | None:
        try:
            now_uj = _number(self._folder / "energy_uj")
        except (OSError, ValueError):
            return None
        self._sum_uj += now_uj - self._last_uj + (self._range_uj if now_uj < self._last_uj else 0)
        self._last_uj = now_uj
        return self._sum_uj


def open_rapl(powercap: Path = POWERCAP) -> RaplMeter | str:
    """A meter of all packages and their memory, or the reason why there is none.

    Cores and uncore are parts of their package and are left out; `psys`, where there is one, contains the packages and is left out too.
    Memory (`dram`) is not in the package on servers, and is counted.
    """
    if not powercap.is_dir():
        return f"RAPL: no {powercap} (a virtual machine, or not Linux)"
    zones, refused = {}, []
    for name, folder in _zones(powercap):
        try:
            _Counter(folder)
            zones[name] = folder
        except PermissionError:
            refused.append(f"{name} needs the right to read {folder / 'energy_uj'} (root, or chmod a+r)")
        except (OSError, ValueError) as exc:
            refused.append(f"{name} cannot be read: {exc}")
    missing = "RAPL: " + "; ".join(refused) if refused else None
    if not zones:
        return missing or f"RAPL: {powercap} shows no processor"
    return RaplMeter(zones, missing)


def _zones(powercap: Path) -> list[tuple[str, Path]]:
    """Packages and their memory, e.g. ("package-0", …), ("dram-0", …)."""
    found = []
    for folder in sorted(powercap.iterdir()):
        label = _label(folder)
        if PACKAGE.fullmatch(folder.name) and label.startswith("package"):
            found.append((label, folder))
        elif INSIDE.fullmatch(folder.name) and label == "dram":
            found.append((f"dram-{folder.name.split(':')[1]}", folder))
    return found


def _label(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
