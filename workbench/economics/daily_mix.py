"""What a day's load costs: on own machines alone, on the other configuration alone, and as the best mix of base load and overflow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.core import ConfigError
from workbench.economics.break_even import SECONDS_PER_HOUR, Configuration
from workbench.economics.daily_profile import LoadProfile, total
from workbench.economics.hardware import HOURS_PER_MONTH, HOURS_PER_YEAR

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
MOST_LEVELS = 2_000
"""Numbers of machines that are tried where a configuration has machines of several kinds."""
NOTHING = 1e-12
"""Share of the requests below which the rest of a subtraction is no overflow."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one way of answering costs under a load profile.

    Args:
        usd_per_hour: mean over all hours of a week, idle ones included.
        n_machines: machines that are on all the time, one number a kind of machine.
        local_share: share of the requests that the machines answer; the rest overflows.
        utilisation: requests answered by the machines over what they could have carried; None without machines or a limit.
    """

    usd_per_hour: float
    n_machines: tuple[int, ...]
    local_share: float
    utilisation: float | None

    @property
    def usd_per_month(self) -> float:
        """USD of a twelfth of a year of 365.25 days."""
        return self.usd_per_hour * HOURS_PER_MONTH

    @property
    def usd_per_year(self) -> float:
        """USD of 365.25 days."""
        return self.usd_per_hour * HOURS_PER_YEAR


def bill_alone(configuration: Configuration, profile: LoadProfile) -> Bill:
    """A configuration that answers everything, with machines for the peak hour that stay on all week.

    Example:
        >>> from workbench.economics.break_even import Machine
        >>> local = Configuration("local", 0.0, (Machine(2.0, capacity_rps=10.0),))
        >>> bill_alone(local, LoadProfile.flat(15.0)).usd_per_month
        2922.0
    """
    counts = tuple(machine.count(profile.peak_rps) for machine in configuration.machines)
    machines = sum(n * machine.usd_per_hour for n, machine in zip(counts, configuration.machines, strict=True))
    requests = SECONDS_PER_HOUR * profile.mean_rps * configuration.variable_usd
    hourly = configuration.shared_usd_per_hour + machines + requests
    return _filled(hourly, counts, profile.mean_rps, _carried(configuration, counts), profile)


def best_mix(local: Configuration, overflow: Configuration, profile: LoadProfile, least_machines: int = 0) -> Bill:
    """The cheapest number of local machines as base load, with everything above their capacity sent elsewhere.

    Within an hour the rate is constant, a machine is filled up to the
    rate that holds the SLO (not to saturation), and machines share no queue, which is the careful side: n of them carry n times
    what one does. A request goes to the machines only where that is cheaper than overflowing.

    Args:
        local: has machines.
        overflow: takes any rate.
        profile: the load.
        least_machines: of each kind; 0 lets "none at all" be the answer.

    Raises:
        ConfigError: `overflow` has machines with a limit; they cannot take whatever comes.

    Example:
        >>> from workbench.economics.break_even import Machine
        >>> local, api = Configuration("local", 0.0, (Machine(1.8, 2.0),)), Configuration("api", 0.0005)
        >>> best_mix(local, api, LoadProfile.flat(2.5)).n_machines
        (1,)
    """
    if overflow.capacity_rps is not None:
        raise ConfigError(
            f"{overflow.name!r} holds {overflow.capacity_rps:g} requests/s: overflow must go where any rate is carried"
        )
    counts = np.maximum(_candidates(local, overflow, profile), least_machines)
    best = counts[int(np.argmin(_usd_per_hour(local, counts, profile, overflow)))]
    return _bill(local, tuple(int(n) for n in best), profile, overflow)


def bill_with_machines(local: Configuration, n_machines: int, overflow: Configuration, profile: LoadProfile) -> Bill:
    """The bill with a stated number of local machines of each kind and overflow."""
    return _bill(local, (n_machines,) * len(local.machines), profile, overflow)


def _candidates(local: Configuration, overflow: Configuration, profile: LoadProfile) -> Counts:
    """Numbers of machines among which the cheapest is: none, what the peak takes, and what lies between that can be best."""
    none, limited = np.zeros((1, len(local.machines)), dtype=np.int64), [m for m in local.machines if m.capacity_rps]
    if len(local.machines) == 1 and limited:
        return np.vstack([none, _one_kind(local, overflow, profile)])
    return np.vstack([none, _counts(local, _levels(local, profile.peak_rps))])


def _one_kind(local: Configuration, overflow: Configuration, profile: LoadProfile) -> Counts:
    """With one kind of machine each further one saves less than the one before, so the last that pays is found by halving."""
    (machine,) = local.machines
    capacity, peak = machine.capacity_rps or 0.0, machine.count(profile.peak_rps)
    rates, weights = np.array(profile.rates), np.array(profile.weights)
    saves = SECONDS_PER_HOUR * (overflow.variable_usd - local.variable_usd)
    low, high = 0, peak  # the first `low` machines pay, those after `high` do not
    while low < high:
        middle = (low + high + 1) // 2
        filled = np.clip(rates - (middle - 1) * capacity, 0.0, capacity) @ weights
        low, high = (middle, high) if saves * filled > machine.usd_per_hour else (low, middle - 1)
    return np.array([[low], [max(low, 1)], [peak]], dtype=np.int64)


def _levels(local: Configuration, peak_rps: float) -> Floats:
    """Rates to carry locally: wherever another machine of some kind is full, and the peak; thinned out beyond 2,000 machines."""
    levels = [np.array([peak_rps])]
    for capacity in {machine.capacity_rps for machine in local.machines if machine.capacity_rps is not None}:
        n_steps = int(peak_rps / capacity)
        levels.append(capacity * np.arange(1, n_steps + 1, max(1, n_steps // MOST_LEVELS)))
    return np.unique(np.concatenate(levels))


def _counts(configuration: Configuration, levels: Floats) -> Counts:
    """Machines of each kind that carry each of the rates."""
    return np.array(
        [[machine.count(float(level)) for machine in configuration.machines] for level in levels], dtype=np.int64
    ).reshape(len(levels), len(configuration.machines))


def _usd_per_hour(local: Configuration, counts: Counts, profile: LoadProfile, overflow: Configuration) -> Floats:
    """Mean USD an hour for every line of machine counts."""
    rates, weights = np.array(profile.rates), np.array(profile.weights)
    limits = np.array([_carried(local, tuple(line)) for line in counts.tolist()])
    if local.variable_usd > overflow.variable_usd:
        limits = np.zeros_like(limits)
    local_rps = np.minimum(rates, limits[:, None]) @ weights
    overflow_rps = np.maximum(profile.mean_rps - local_rps, 0.0)
    has_machines = counts.any(axis=1) if counts.shape[1] else np.ones(len(counts), dtype=bool)
    spills = overflow_rps > NOTHING * profile.mean_rps
    return np.asarray(
        counts @ np.array([machine.usd_per_hour for machine in local.machines])
        + local.shared_usd_per_hour * has_machines
        + SECONDS_PER_HOUR * (local_rps * local.variable_usd + overflow_rps * overflow.variable_usd)
        + overflow.fixed_usd_per_hour * spills
    )


def _bill(local: Configuration, counts: tuple[int, ...], profile: LoadProfile, overflow: Configuration) -> Bill:
    hourly = float(_usd_per_hour(local, np.array([counts], dtype=np.int64), profile, overflow)[0])
    limit = _carried(local, counts) if local.variable_usd <= overflow.variable_usd else 0.0
    local_rps = total((min(rate, limit) for rate in profile.rates), profile)
    return _filled(hourly, counts, local_rps, limit, profile)


def _filled(hourly: float, counts: tuple[int, ...], local_rps: float, limit: float, profile: LoadProfile) -> Bill:
    utilisation = local_rps / limit if 0 < limit < float("inf") else None
    return Bill(hourly, counts, local_rps / profile.mean_rps, utilisation)


def _carried(local: Configuration, counts: tuple[int, ...]) -> float:
    """Rate that so many machines carry together; 0 with none of some kind, without limit where no machine has one."""
    limits = [
        0.0 if n == 0 else float("inf") if machine.capacity_rps is None else n * machine.capacity_rps
        for n, machine in zip(counts, local.machines, strict=True)
    ]
    return min(limits, default=float("inf"))
