"""After how many months a bought machine has paid for itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.core import ConfigError

MOST_DISCOUNT = 10.0
"""A year's interest of 1,000 %: what is above is a percentage typed in as a share."""


@dataclass(frozen=True, slots=True)
class Payback:
    """Months until the saving has paid for the purchase.

    Args:
        months: None when it never does.
        because: the sentence with the figures.
    """

    months: float | None
    because: str


def payback(
    purchase_usd: float, saving_usd_per_month: float, discount_per_year: float = 0.0, life_years: float | None = None
) -> Payback:
    """When the purchase is paid back by a constant monthly saving.

    Args:
        purchase_usd: paid today.
        saving_usd_per_month: what the other way costs a month, less power and operation of the machine (not its depreciation,
            which is the purchase again). May be negative.
        discount_per_year: 0.08 means that 1.08 USD in a year are worth 1 USD today; 0 ignores it.
        life_years: after that the machine is gone; paying back later than that is never. None: no end.

    Raises:
        ConfigError: a price or a rate that cannot be.

    Source: present value of an annuity: purchase = saving · (1 − (1 + i)^−n) / i with i = (1 + discount)^(1/12) − 1.

    Example:
        >>> payback(2400.0, 100.0).months
        24.0
        >>> payback(2400.0, 100.0, life_years=1.0).months is None
        True
    """
    if not (math.isfinite(purchase_usd) and purchase_usd > 0):
        raise ConfigError(f"a purchase of {purchase_usd} USD cannot be paid back; an amount above 0 is expected")
    if not 0 <= discount_per_year < MOST_DISCOUNT:
        raise ConfigError(
            f"the discount rate is {discount_per_year} a year; 0 to {MOST_DISCOUNT:g} is expected, 0.08 is 8 %"
        )
    if saving_usd_per_month <= 0:
        return Payback(None, f"never: running it saves {saving_usd_per_month:.2f} USD a month, which is nothing")
    months = _months(purchase_usd, saving_usd_per_month, discount_per_year)
    saved = f"{purchase_usd:,.0f} USD against a saving of {saving_usd_per_month:,.2f} USD a month"
    if discount_per_year:
        saved += f", discounted at {100 * discount_per_year:g} % a year"
    if months is None:
        return Payback(None, f"never: {saved}: the interest on the purchase is more than the saving")
    if life_years is not None and months > 12 * life_years:
        return Payback(None, f"never: {saved} takes {months:.1f} months, and its life is {12 * life_years:g} months")
    return Payback(months, f"{saved} takes {months:.1f} months")


def _months(purchase_usd: float, saving_usd: float, discount_per_year: float) -> float | None:
    interest = (1 + discount_per_year) ** (1 / 12) - 1
    if interest == 0:
        return purchase_usd / saving_usd
    share = purchase_usd * interest / saving_usd
    return None if share >= 1 else -math.log1p(-share) / math.log1p(interest)
