"""Energy as it is spent: what each of several overlapping calls took, known the moment it ends."""

from __future__ import annotations

from collections.abc import Hashable

from workbench.economics.energy import EnergyMeter
from workbench.economics.energy_shares import split_exactly

FORMULA = (
    "the meter is read whenever a call begins or ends; each interval is shared equally over the calls under way, and is idle "
    "where none is"
)


class EnergyAccount:
    """Shares a meter's energy over the calls under way.

    Token-steps of calls that have not ended are unknown, so every interval between two readings is shared equally over the calls in
    it. What all calls, those still under way and the idle time got adds up to what the meter counted since the account was opened,
    but for the last bit of each addition.

    Args:
        meter: read twice a call.

    Example:
        >>> from workbench.economics.energy import NoMeter
        >>> account = EnergyAccount(NoMeter("none here"))
        >>> account.begin("a")
        >>> account.end("a") is None
        True
    """

    def __init__(self, meter: EnergyMeter) -> None:
        self.meter = meter
        self.idle_wh = 0.0
        self._last_wh = meter.read_wh()
        self._under_way: dict[Hashable, float | None] = {}

    def begin(self, call: Hashable) -> None:
        """A call begins; its name is free again when it has ended."""
        self._settle()
        if call in self._under_way:
            raise ValueError(f"the call {call!r} is under way already")
        self._under_way[call] = 0.0

    def end(self, call: Hashable) -> float | None:
        """Wh of the call; None where the meter could not be read at one of its ends."""
        self._settle()
        return self._under_way.pop(call)

    def _settle(self) -> None:
        """Share what was spent since the last reading; calls in an interval that could not be read are unknown from then on."""
        before_wh, now_wh = self._last_wh, self.meter.read_wh()
        self._last_wh = now_wh
        if before_wh is None or now_wh is None:
            self._under_way = dict.fromkeys(self._under_way)
            return
        if not self._under_way:
            self.idle_wh += now_wh - before_wh
            return
        parts = split_exactly(now_wh - before_wh, [1.0] * len(self._under_way))
        for (call, so_far_wh), part_wh in zip(list(self._under_way.items()), parts, strict=True):
            self._under_way[call] = None if so_far_wh is None else so_far_wh + part_wh
