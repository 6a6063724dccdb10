"""What a list of prices says about one model, whichever list it is, and the `TokenPrice` made of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from workbench.core import ConfigError
from workbench.core.price import PriceSource, Tier, TieredRates, TokenPrice


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model of a list.

    Args:
        name: seller/model, as the list calls it.
        tiers: service tier → its rates; without "standard" the price is unknown.
        title: what people call it; None when the list does not say.
        unknown_because: why there is no standard price; None when there is one.
        context_window: tokens; None when the list does not say.
        is_deprecated: the seller is going to switch it off, or did.
        not_billed: what the seller charges beside tokens.
        note: what a reader of the price must know; None when nothing.
        since: since when the price holds; None when the list does not date its prices.
    """

    name: str
    tiers: Mapping[Tier, TieredRates] = field(default_factory=dict)
    title: str | None = None
    unknown_because: str | None = None
    context_window: int | None = None
    is_deprecated: bool = False
    not_billed: tuple[str, ...] = ()
    note: str | None = None
    since: datetime.date | None = None


class PriceList(Protocol):
    """A source of prices: genai-prices, a file in LiteLLM's form, or a user's overrides."""

    book: str
    version: str | None
    sha256: str

    def names(self) -> Iterable[str]:
        """Names of its models."""
        ...

    def model(self, name: str, as_of: datetime.date) -> ListedModel | None:
        """What it says about a model on that day; None when it does not know the name."""
        ...


def token_price(model: ListedModel, tier: Tier, book: PriceList, as_of: datetime.date) -> TokenPrice:
    """The price of one service tier, with where it came from. The standard tier carries the batch rates.

    Raises:
        ConfigError: the list has no price for the model or the tier; says why and what there is.
    """
    if "standard" not in model.tiers:
        raise ConfigError(
            f"{model.name} has no price in {book.book}: {model.unknown_because}; give one in an override file"
            " (`workbench prices check FILE`) or as `price: {input_usd_per_1m: …}`"
        )
    if tier not in model.tiers:
        raise ConfigError(
            f"{model.name} has no {tier} price in {book.book} on {as_of}; it has {', '.join(model.tiers)}"
        )
    source = PriceSource(
        listed=model.name,
        tier=tier,
        book=book.book,
        version=book.version,
        sha256=book.sha256,
        as_of=model.since or as_of,
        note=model.note,
        is_deprecated=model.is_deprecated,
        not_billed=model.not_billed,
    )
    batch = model.tiers.get("batch") if tier == "standard" else None
    return TokenPrice(**dict(model.tiers[tier]), batch=batch, source=source)
