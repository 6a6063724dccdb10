"""What an hour of a machine costs and how much useful arithmetic it does in it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from workbench.core.data import data_path
from workbench.core.price import Strict
from workbench.core.validation import read_config


class HardwareProfile(Strict):
    """A machine that runs local models. A figure that ages carries its date and where it came from."""

    usd_per_hour: Annotated[float, Field(gt=0, description="rental or depreciation, power and operation, USD")]
    flop_per_s: Annotated[float, Field(gt=0, description="sustained useful forward FLOP/s, not the data sheet's peak")]
    as_of: Annotated[datetime.date, Field(description="when both figures were taken")]
    source: Annotated[str, Field(description="how the price and the FLOP/s were got")]

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
        >>> sorted(load_profiles())
        ['cpu-2core', 'h100', 'h200', 'laptop-8core']
    """
    return read_config(HardwareFile, path or data_path("hardware.yaml"), "hardware file").profiles
