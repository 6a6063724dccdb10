"""From which request rate on one configuration is cheaper than another: exact, machine by machine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.core import ConfigError
from workbench.economics.hardware import HOURS_PER_YEAR

SECONDS_PER_HOUR = 3600.0
MOST_STEPS = 200_000
"""Machine steps that one comparison looks at: 200,000 machines are no longer this kind of question."""

MOST_RPS = 1e12
"""Requests a second beyond which there is no break-even: nobody has such a load."""
ROUNDING = 1e-12
"""Ratio below which two rates are the same one."""

Wins = Literal["above", "below", "always", "never", "same"]
RateRange = tuple[float, float]


def usd_per_year(usd_per_day: float) -> float:
    """USD a year of 365.25 days.

    Example:
        >>> usd_per_year(100.0)
        36525.0
    """
    return usd_per_day * HOURS_PER_YEAR / 24


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a configuration; more of the same are added as the rate grows.

    Args:
        usd_per_hour: busy or idle, every hour of it.
        capacity_rps: requests a second *of the whole configuration* that one machine carries with the SLO held. A machine that
            holds 10 requests/s and sees a third of them carries 30. None: it carries any rate.
    """

    usd_per_hour: float
    capacity_rps: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.usd_per_hour) and self.usd_per_hour >= 0):
            raise ConfigError(
                f"a machine costs {self.usd_per_hour} USD an hour; a finite price of at least 0 is expected"
            )
        if self.capacity_rps is not None and not (math.isfinite(self.capacity_rps) and self.capacity_rps > 0):
            raise ConfigError(
                f"a machine's capacity is {self.capacity_rps} requests/s; a number above 0 is expected: a machine that holds "
                "no rate under the SLO cannot be compared"
            )

    def count(self, rate_rps: float) -> int:
        """Machines that carry the rate; one is on even when nothing arrives.

        Example:
            >>> Machine(2.0, capacity_rps=10.0).count(25.0)
            3
        """
        if self.capacity_rps is None:
            return 1
        return max(1, math.ceil(rate_rps / self.capacity_rps * (1 - ROUNDING)))


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to answer requests, as a price: what its hours cost and what a request adds.

    Args:
        name: for tables.
        variable_usd: USD a request adds: every API call it makes on average, and the busy part of the power on own machines.
        machines: own or rented machines; empty for an API.
        shared_usd_per_hour: paid once whatever the rate (a cache server, a gateway).
        score: mean score on the common prompts, 0..1; None where not measured.
    """

    name: str
    variable_usd: float
    machines: tuple[Machine, ...] = ()
    shared_usd_per_hour: float = 0.0
    score: float | None = None

    def __post_init__(self) -> None:
        for what, value in (("a request", self.variable_usd), ("an hour of what is shared", self.shared_usd_per_hour)):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(
                    f"configuration {self.name!r}: {what} costs {value} USD; a finite price of at least 0 is expected"
                )

    @property
    def fixed_usd_per_hour(self) -> float:
        """USD an hour with one machine of each kind, idle or not."""
        return self.shared_usd_per_hour + sum(machine.usd_per_hour for machine in self.machines)

    @property
    def capacity_rps(self) -> float | None:
        """Rate that one machine of each kind carries; None without a limit."""
        return min((m.capacity_rps for m in self.machines if m.capacity_rps is not None), default=None)

    def usd_per_hour(self, rate_rps: float) -> float:
        """USD of an hour at a constant rate, with as many machines as it takes.

        Example:
            >>> Configuration("local", 0.0, (Machine(2.0, capacity_rps=10.0),)).usd_per_hour(15.0)
            4.0
        """
        machines = sum(machine.usd_per_hour * machine.count(rate_rps) for machine in self.machines)
        return self.shared_usd_per_hour + machines + SECONDS_PER_HOUR * rate_rps * self.variable_usd


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where one configuration is cheaper than another, with one machine of each kind.

    Args:
        wins: "above" or "below" `rate_rps`, "always", "never", or "same" where they cost the same at every rate.
        rate_rps: requests a second at which both cost the same; None for "always", "never" and "same".
    """

    wins: Wins
    rate_rps: float | None

    def is_within(self, capacity_rps: float | None) -> bool:
        """Whether it is cheaper at a rate above 0 that one machine of each kind carries."""
        if self.wins in ("always", "below"):
            return True
        return self.rate_rps is not None and (capacity_rps is None or self.rate_rps <= capacity_rps)


def break_even(a: Configuration, b: Configuration) -> BreakEven:
    """Where `a` is cheaper than `b`: λ* = (fixed_a − fixed_b) / (3600 · (variable_b − variable_a)), in all cases of sign.

    Example:
        >>> local, api = Configuration("local", 0.0, (Machine(1.8, 4.0),)), Configuration("api", 0.0005)
        >>> break_even(local, api)
        BreakEven(wins='above', rate_rps=1.0)
    """
    dearer_by = a.fixed_usd_per_hour - b.fixed_usd_per_hour
    saves = SECONDS_PER_HOUR * (b.variable_usd - a.variable_usd)
    if dearer_by == 0 and saves == 0:
        return BreakEven("same", None)
    if dearer_by <= 0 <= saves:
        return BreakEven("always", None)
    if saves <= 0 <= dearer_by:
        return BreakEven("never", None)
    rate_rps = dearer_by / saves
    if rate_rps > MOST_RPS:  # two costs of a request that differ by rounding alone
        return BreakEven("never" if saves > 0 else "always", None)
    return BreakEven("above" if saves > 0 else "below", rate_rps)


def winning_rates(a: Configuration, b: Configuration, up_to_rps: float) -> tuple[RateRange, ...]:
    """All rates up to a limit at which `a` is cheaper than `b`, each with the machines that the rate takes.

    Returns:
        (low, high] in requests a second, in order. With a second and third machine there are gaps: just above a multiple of the
        capacity a nearly idle machine is paid for.

    Raises:
        ConfigError: the limit is not above 0, or takes more than 200,000 machines.

    Example:
        >>> local, api = Configuration("local", 0.0, (Machine(1.8, 1.25),)), Configuration("api", 0.0005)
        >>> winning_rates(local, api, up_to_rps=4.0)
        ((1.0, 1.25), (2.0, 2.5), (3.0, 3.75))
    """
    if not (math.isfinite(up_to_rps) and up_to_rps > 0):
        raise ConfigError(f"rates are looked at up to {up_to_rps} requests/s; a number above 0 is expected")
    return tuple(_merged(_won_segments(a, b, _steps((*a.machines, *b.machines), up_to_rps))))


def _steps(machines: Iterable[Machine], up_to_rps: float) -> list[float]:
    """0, every rate at which some machine is full, and the limit."""
    edges = {0.0, up_to_rps}
    for capacity in {machine.capacity_rps for machine in machines if machine.capacity_rps is not None}:
        n_steps = int(up_to_rps / capacity)
        if n_steps + len(edges) > MOST_STEPS:
            raise ConfigError(
                f"{up_to_rps:g} requests/s take {n_steps} machines of {capacity:g} requests/s; at most {MOST_STEPS} are "
                "compared: ask about a lower rate"
            )
        edges.update(capacity * n for n in range(1, n_steps + 1))
    return sorted(edge for edge in edges if edge <= up_to_rps)


def _won_segments(a: Configuration, b: Configuration, edges: list[float]) -> Iterator[RateRange]:
    """Within two neighbouring edges the number of machines does not change, so the difference is a straight line."""
    slope = SECONDS_PER_HOUR * (a.variable_usd - b.variable_usd)
    for low, high in itertools.pairwise(edges):
        at_high = a.usd_per_hour(high) - b.usd_per_hour(high)
        at_low = at_high - slope * (high - low)
        if at_low < 0 and at_high < 0:
            yield low, high
        elif at_low < 0 or at_high < 0:
            crossing = high - at_high / slope
            won = (crossing, high) if at_high < 0 else (low, crossing)
            if won[0] < won[1]:
                yield won


def _merged(ranges: Iterable[RateRange]) -> Iterator[RateRange]:
    current: RateRange | None = None
    for low, high in ranges:
        if current is not None and low <= current[1] * (1 + ROUNDING):
            current = (current[0], high)
            continue
        if current is not None:
            yield current
        current = (low, high)
    if current is not None:
        yield current
