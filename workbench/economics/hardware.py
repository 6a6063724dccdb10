"""What an hour of a machine costs, rented or owned, and how much useful arithmetic it does in it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workbench.core import ConfigError
from workbench.core.data import data_path
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import read_config

HOURS_PER_YEAR = 365.25 * 24
HOURS_PER_MONTH = HOURS_PER_YEAR / 12

Basis = Literal["measured", "list", "estimate"]
_OWNED = ("purchase_usd", "life_years", "power_idle_w", "power_busy_w", "usd_per_kwh")
_ONLY_OWNED = (*_OWNED, "residual_usd", "pue", "operation_usd_per_month")


class HardwareProfile(Strict):
    """A machine that runs local models, rented (`usd_per_hour`) or owned (purchase, life, power, operation).

    A figure that ages carries its date and where it came from. Every computed figure counts hours of the calendar: a machine that is
    switched on costs while it is idle, too.
    """

    rental_usd_per_hour: Annotated[
        float | None, Field(alias="usd_per_hour", gt=0, description="rent of the whole machine, USD; null: it is owned")
    ] = None
    purchase_usd: Annotated[float | None, Field(gt=0, description="price of the whole machine; null: it is rented")] = (
        None
    )
    life_years: Annotated[float | None, Field(gt=0, description="years it is used, the days it idles included")] = None
    residual_usd: Annotated[float, Field(ge=0, description="what it sells for at the end of its life")] = 0.0
    power_idle_w: Annotated[float | None, Field(ge=0, description="drawn while it waits, watts")] = None
    power_busy_w: Annotated[float | None, Field(ge=0, description="drawn while it works, watts")] = None
    usd_per_kwh: Annotated[float | None, Field(ge=0, description="electricity, USD a kilowatt-hour")] = None
    pue: Annotated[float, Field(ge=1, description="power of the building for one watt of the machine: cooling")] = 1.0
    operation_usd_per_month: Annotated[
        float, Field(ge=0, description="rack, network, spare parts and the hours of people")
    ] = 0.0
    flop_per_s: Annotated[float, Field(gt=0, description="sustained useful forward FLOP/s, not the data sheet's peak")]
    as_of: Annotated[datetime.date, Field(description="when the figures were taken")]
    source: Annotated[str, Field(min_length=1, description="how the price and the FLOP/s were got")]
    price_basis: Annotated[Basis, Field(description="how the price is known")] = "estimate"
    flop_basis: Annotated[Basis, Field(description="how the FLOP/s are known")] = "estimate"

    @model_validator(mode="after")
    def _is_rented_or_owned(self) -> Self:
        if self.rental_usd_per_hour is not None:
            extra = [name for name in _ONLY_OWNED if name in self.model_fields_set]
            if extra:
                raise ValueError(
                    f"a machine with usd_per_hour is rented, {extra[0]} belongs to an owned one; keep one of the two"
                )
            return self
        missing = [name for name in _OWNED if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"give usd_per_hour (rented), or for an owned machine all of {', '.join(_OWNED)}; missing: {', '.join(missing)}"
            )
        if self.residual_usd > (self.purchase_usd or 0.0):
            raise ValueError(f"residual_usd {self.residual_usd:g} is more than purchase_usd {self.purchase_usd:g}")
        if (self.power_idle_w or 0.0) > (self.power_busy_w or 0.0):
            raise ValueError(f"power_idle_w {self.power_idle_w:g} is more than power_busy_w {self.power_busy_w:g}")
        return self

    @property
    def is_owned(self) -> bool:
        """Whether it was bought."""
        return self.rental_usd_per_hour is None

    @property
    def usd_per_hour(self) -> float:
        """USD of an hour at full use, which is its dearest hour; see `usd_per_hour_at`."""
        return self.usd_per_hour_at(1.0)

    @property
    def usd_per_second(self) -> float:
        """USD of a second at full use."""
        return self.usd_per_hour / 3600

    @property
    def usd_per_year(self) -> float:
        """USD of a year of 365.25 days at full use.

        Example:
            >>> hundred_a_day = HardwareProfile(usd_per_hour=100 / 24, flop_per_s=1e12, as_of="2026-11-01", source="example")
            >>> round(hundred_a_day.usd_per_year)
            36525
        """
        return self.usd_per_year_at(1.0)

    def usd_per_year_at(self, utilisation: float) -> float:
        """USD of a year of 365.25 days in which it works that share of the time."""
        return self.usd_per_hour_at(utilisation) * HOURS_PER_YEAR

    def usd_per_hour_at(self, utilisation: float) -> float:
        """USD of an hour in which it works that share of the time: a rent does not change, power does.

        Args:
            utilisation: share of the hour it works, 0..1.

        Raises:
            ConfigError: a utilisation outside 0..1.

        Example:
            >>> owned = HardwareProfile(
            ...     purchase_usd=8766.0, life_years=1.0, power_idle_w=100, power_busy_w=1000, usd_per_kwh=0.2,
            ...     flop_per_s=1e12, as_of="2026-11-01", source="example",
            ... )
            >>> owned.usd_per_hour_at(0.0), owned.usd_per_hour_at(1.0)
            (1.02, 1.2)
        """
        if not 0 <= utilisation <= 1:
            raise ConfigError(f"utilisation is {utilisation:g}; allowed is a share of the time, 0 to 1")
        if self.rental_usd_per_hour is not None:
            return self.rental_usd_per_hour
        return self.depreciation_usd_per_hour + self.power_usd_per_hour_at(utilisation) + self.operation_usd_per_hour

    @property
    def depreciation_usd_per_hour(self) -> float:
        """Purchase less residual value, spread evenly over the hours of its life; 0 of a rented machine."""
        if self.purchase_usd is None or self.life_years is None:
            return 0.0
        return (self.purchase_usd - self.residual_usd) / (self.life_years * HOURS_PER_YEAR)

    @property
    def operation_usd_per_hour(self) -> float:
        """Operation of a month over its 730.5 hours."""
        return self.operation_usd_per_month / HOURS_PER_MONTH

    def power_usd_per_hour_at(self, utilisation: float) -> float:
        """Electricity of an hour, cooling included; 0 of a rented machine, whose rent has it."""
        if self.power_idle_w is None or self.power_busy_w is None or self.usd_per_kwh is None:
            return 0.0
        watts = self.power_idle_w + utilisation * (self.power_busy_w - self.power_idle_w)
        return watts / 1000 * self.pue * self.usd_per_kwh

    def usd_per_token(self, tokens_per_s: float, utilisation: float = 1.0) -> float:
        """USD of one served token.

        Args:
            tokens_per_s: measured while it works.
            utilisation: share of the time it works; the idle hours are borne by the tokens served.

        Raises:
            ConfigError: no tokens a second, or a utilisation of 0: nothing is served and a token has no price.

        Source:
            C_eff = C_hour / (3600 θ U); arXiv 2606.11690: an estimate that leaves out U is off by exactly 1/U.

        Example:
            >>> profile = HardwareProfile(usd_per_hour=3.6, flop_per_s=1e12, as_of="2026-11-01", source="example")
            >>> profile.usd_per_token(1000) * 1e6, profile.usd_per_token(1000, utilisation=0.1) * 1e6
            (1.0, 10.0)
        """
        if not tokens_per_s > 0 or not utilisation > 0:
            raise ConfigError(
                f"a machine that serves {tokens_per_s:g} tokens/s at utilisation {utilisation:g} serves no token to price; "
                "give a measured rate above 0"
            )
        return self.usd_per_hour_at(utilisation) / 3600 / (tokens_per_s * utilisation)

    def cost_usd(self, flop: float) -> float:
        """USD of that many floating-point operations at full use; idle time is not in it.

        Example:
            >>> profile = HardwareProfile(usd_per_hour=3.6, flop_per_s=1e12, as_of="2026-11-01", source="example")
            >>> profile.cost_usd(2e12)
            0.002
        """
        return flop / self.flop_per_s / 3600 * self.usd_per_hour


class HardwareFile(Strict):
    """`data/hardware.yaml` or a user's own file of the same form."""

    profiles: dict[str, HardwareProfile]


def load_profiles(path: Path | None = None) -> dict[str, HardwareProfile]:
    """Hardware profiles by name.

    Args:
        path: a YAML file with `profiles:`; None is the shipped `data/hardware.yaml`.

    Raises:
        ConfigError: missing, not YAML, or a wrong key or value; says which.

    Example:
        >>> {"cpu-2core", "h100", "h100-owned"} <= set(load_profiles())
        True
    """
    return read_config(HardwareFile, path or data_path("hardware.yaml"), "hardware file").profiles


def find_profile(name: str, profiles: Mapping[str, HardwareProfile]) -> HardwareProfile:
    """The profile of that name.

    Raises:
        ConfigError: unknown; suggests the nearest.
    """
    if name not in profiles:
        raise ConfigError(f"unknown hardware profile {name!r}: {did_you_mean(name, profiles)}")
    return profiles[name]
