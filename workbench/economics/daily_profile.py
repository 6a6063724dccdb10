"""How the request rate goes through the day, and what local machines, an API and the best mix of both cost under it."""

from __future__ import annotations

import csv
import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from workbench.core import ConfigError
from workbench.core.files import read_text
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import parse, read_yaml

WEEKDAYS_A_WEEK, WEEKEND_DAYS_A_WEEK = 5, 2
Hours = tuple[float, ...]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """Mean request rate of each hour of the day, on weekdays and at weekends.

    Args:
        weekday: 24 rates in requests a second, from 0:00.
        weekend: the same for Saturday and Sunday.
        origin: where it is from, for the table.
    """

    weekday: Hours
    weekend: Hours
    origin: str

    def __post_init__(self) -> None:
        for name, rates in (("weekday", self.weekday), ("weekend", self.weekend)):
            if len(rates) != 24:
                raise ConfigError(f"{self.origin}: {name} has {len(rates)} rates; 24 are expected, one an hour")
            if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
                raise ConfigError(f"{self.origin}: {name} holds a rate that is no number of at least 0: {list(rates)}")
        if self.peak_rps == 0:
            raise ConfigError(f"{self.origin}: every rate is 0; without requests nothing can be compared")

    @classmethod
    def flat(cls, rate_rps: float, origin: str = "a constant rate") -> LoadProfile:
        """The same rate in every hour.

        Example:
            >>> LoadProfile.flat(2.0).mean_rps
            2.0
        """
        return cls((rate_rps,) * 24, (rate_rps,) * 24, origin)

    @classmethod
    def office_hours(cls) -> LoadProfile:
        """An illustrative shape, mean 1 request/s: busy from 8 to 18 on weekdays, a fifth of that in the evening, a tenth else.

        It is nobody's measured load; `read_profile` takes one's own.

        Example:
            >>> profile = LoadProfile.office_hours()
            >>> round(profile.mean_rps, 6), round(profile.peak_rps / min(profile.rates), 6)
            (1.0, 10.0)
        """
        weekday = tuple(1.0 if 8 <= hour < 18 else 0.2 if 18 <= hour < 23 else 0.1 for hour in range(24))
        return cls(weekday, (0.1,) * 24, "office hours (an illustrative shape)").scaled_to(1.0)

    @classmethod
    def of_starts(cls, starts: Sequence[datetime.datetime], origin: str) -> LoadProfile:
        """Mean rates of a log of request times: counts of each hour over the days that the log spans, days without requests included.

        The first and last day count from the first and to the last hour that holds a request, so that a log cut within a day
        does not look like a quiet one.

        Raises:
            ConfigError: no request, or some hour of the day was never observed on weekdays and weekends alike.
        """
        if not starts:
            raise ConfigError(f"{origin}: no request times in it")
        hours = [start.replace(minute=0, second=0, microsecond=0, tzinfo=None) for start in starts]
        counts, seen = [[0] * 24, [0] * 24], [[0] * 24, [0] * 24]
        for hour in hours:
            counts[hour.weekday() >= 5][hour.hour] += 1
        hour, last = min(hours), max(hours)
        while hour <= last:
            seen[hour.weekday() >= 5][hour.hour] += 1
            hour += datetime.timedelta(hours=1)
        weekday, weekend = (
            _rates(counts[kind], seen[kind], (counts[1 - kind], seen[1 - kind]), origin) for kind in (0, 1)
        )
        return cls(weekday, weekend, origin)

    def scaled_to(self, mean_rps: float) -> LoadProfile:
        """The same shape with another mean rate over the week."""
        factor = mean_rps / self.mean_rps
        return LoadProfile(
            tuple(rate * factor for rate in self.weekday),
            tuple(rate * factor for rate in self.weekend),
            f"{self.origin.partition(', scaled to')[0]}, scaled to a mean of {mean_rps:g} requests/s",
        )

    @property
    def rates(self) -> Hours:
        """48 rates: weekday's hours, then weekend's; `weights` says how much of the time each of them is."""
        return self.weekday + self.weekend

    @property
    def weights(self) -> Hours:
        """Share of all hours that each of `rates` stands for; they sum to 1."""
        return (WEEKDAYS_A_WEEK / 168,) * 24 + (WEEKEND_DAYS_A_WEEK / 168,) * 24

    @property
    def mean_rps(self) -> float:
        """Mean rate over a week."""
        return math.fsum(rate * weight for rate, weight in zip(self.rates, self.weights, strict=True))

    @property
    def peak_rps(self) -> float:
        """Highest hourly rate."""
        return max(self.rates)


def _rates(counts: list[int], seen: list[int], other: tuple[list[int], list[int]], origin: str) -> Hours:
    """Counts over hours seen; an hour that this kind of day does not have is taken from the other kind."""
    pairs = [(counts[h], seen[h]) if seen[h] else (other[0][h], other[1][h]) for h in range(24)]
    missing = [hour for hour, (_, n) in enumerate(pairs) if n == 0]
    if missing:
        raise ConfigError(
            f"{origin}: no day covers the hours {', '.join(f'{hour}:00' for hour in missing)}; a log of at least one whole "
            "day is needed, or 24 hourly rates"
        )
    return tuple(count / (3600 * n) for count, n in pairs)


class ProfileFile(Strict):
    """A daily profile as YAML: `weekday` and `weekend`, or `every_day`, each 24 rates in requests a second."""

    weekday: list[Rate] | None = None
    weekend: list[Rate] | None = None
    every_day: list[Rate] | None = None

    @model_validator(mode="after")
    def _complete(self) -> ProfileFile:
        if (self.every_day is None) == (self.weekday is None or self.weekend is None):
            raise ValueError("give 24 rates as every_day, or 24 as weekday and 24 as weekend")
        if self.every_day is not None and (self.weekday is not None or self.weekend is not None):
            raise ValueError("every_day leaves no room for weekday or weekend")
        return self


def read_profile(path: Path) -> LoadProfile:
    """A daily profile from YAML (`ProfileFile`) or CSV.

    A CSV has `hour, weekday_rps, weekend_rps` (24 lines), `hour, rate_rps` (24 lines), or `timestamp` (one request a line: ISO 8601
    or seconds since 1970, which count as UTC).

    Raises:
        ConfigError: missing, another form, or values that are no rates; names the line or key.
    """
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    found = parse(ProfileFile, read_yaml(path, "load profile") or {}, str(path))
    weekday, weekend = found.weekday or found.every_day or [], found.weekend or found.every_day or []
    return LoadProfile(tuple(weekday), tuple(weekend), path.name)


def _from_csv(path: Path) -> LoadProfile:
    rows = list(csv.DictReader(read_text(path, "load profile").splitlines()))
    columns = [name.strip() for name in (rows[0] if rows else {}) if name]
    rows = [
        {(key or "").strip(): (value or "").strip() for key, value in row.items() if isinstance(value, str)}
        for row in rows
    ]
    if "timestamp" in columns:
        return LoadProfile.of_starts([_start(row["timestamp"], path, i + 2) for i, row in enumerate(rows)], path.name)
    if "hour" not in columns:
        known = did_you_mean(columns[0] if columns else "", ["hour", "timestamp"])
        raise ConfigError(f"{path}: a column 'hour' or 'timestamp' is expected; {known}")
    kinds = ("weekday_rps", "weekend_rps") if "rate_rps" not in columns else ("rate_rps", "rate_rps")
    for kind in kinds:
        if kind not in columns:
            raise ConfigError(f"{path}: the column {kind!r} is missing; {did_you_mean(kind, columns)}")
    by_hour = {int(_number(row["hour"], path, line)): (row, line) for line, row in enumerate(rows, start=2)}
    if sorted(by_hour) != list(range(24)) or len(rows) != 24:
        raise ConfigError(
            f"{path}: 24 lines with the hours 0 to 23 are expected, found {len(rows)} with {sorted(by_hour)}"
        )
    weekday, weekend = (tuple(_number(by_hour[h][0][kind], path, by_hour[h][1]) for h in range(24)) for kind in kinds)
    return LoadProfile(weekday, weekend, path.name)


def _number(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise ConfigError(f"{path}, line {line}: {text!r} is no number") from exc


def _start(text: str, path: Path, line: int) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"{path}, line {line}: {text!r} is neither ISO 8601 nor seconds since 1970") from exc


def described(profile: LoadProfile) -> dict[str, Any]:
    """The profile for a document."""
    return {
        "from": profile.origin,
        "mean_rps": profile.mean_rps,
        "peak_rps": profile.peak_rps,
        "weekday_rps": list(profile.weekday),
        "weekend_rps": list(profile.weekend),
    }


def total(values: Iterable[float], profile: LoadProfile) -> float:
    """Weighted mean of one value an hour over the profile's 48 hours."""
    return math.fsum(value * weight for value, weight in zip(values, profile.weights, strict=True))
