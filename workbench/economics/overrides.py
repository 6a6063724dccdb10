"""Prices of one's own: an agreement, a model that no list has, a correction. Each says since when and where it comes from."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from workbench.core import ConfigError
from workbench.core.hashing import sha256_file
from workbench.core.price import Strict, Tier, TieredRates, TokenRates, Usd
from workbench.core.validation import read_config
from workbench.economics.listed import ListedModel

if TYPE_CHECKING:
    from workbench.economics.price_book import PriceBook

NAME = r"^[^/\s]+/\S+$"


class Override(TieredRates):
    """One model's price. A null price says that it is unknown, which is an error to use; 0 needs `is_free`."""

    input_usd_per_1m: Annotated[Usd | None, Field(description="prompt tokens; null: unknown")]  # type: ignore[assignment]
    output_usd_per_1m: Annotated[Usd | None, Field(description="answer tokens; null: unknown")]  # type: ignore[assignment]
    batch: Annotated[TieredRates | None, Field(description="rates of the batch service; null: unknown or none")] = None
    flex: Annotated[TieredRates | None, Field(description="rates of the flex tier; null: unknown or none")] = None
    priority: Annotated[TieredRates | None, Field(description="rates of the priority tier; null: unknown or none")] = (
        None
    )
    is_free: Annotated[bool, Field(description="it really costs nothing: prices of 0 are meant")] = False
    is_deprecated: Annotated[bool, Field(description="the seller is going to switch it off")] = False
    as_of: Annotated[datetime.date, Field(description="since when the price holds; before that day the list's is used")]
    source: Annotated[str, Field(min_length=1, description="where it comes from: a contract, a page, a mail")]

    @model_validator(mode="after")
    def _zero_is_meant(self) -> Self:
        every = [self, *self.long_prompt, *(tier for tier in (self.batch, self.flex, self.priority) if tier)]
        zero = next((name for rates in every for name in MAIN_RATES if getattr(rates, name) == 0), None)
        if zero and not self.is_free:
            raise ValueError(f"{zero} is 0; say is_free: true if it costs nothing, or null if the price is unknown")
        dear = next((name for name in MAIN_RATES if getattr(self, name) != 0), None)
        if self.is_free and dear:
            raise ValueError(f"is_free is true, but {dear} is {getattr(self, dear)}; keep one of the two")
        return self


MAIN_RATES = ("input_usd_per_1m", "output_usd_per_1m")


class OverrideFile(Strict):
    """A file of overrides."""

    prices: Annotated[
        dict[Annotated[str, Field(pattern=NAME)], Override], Field(min_length=1, description="seller/model → price")
    ]


class OverrideList:
    """The overrides of a file.

    Raises:
        ConfigError: missing, not YAML, a wrong key or value, a price of 0 that is not said to be free; names the entry.
    """

    version: str | None = None

    def __init__(self, path: Path) -> None:
        self.entries = read_config(OverrideFile, path, "override file").prices
        self.book = path.name
        self.sha256 = sha256_file(path)

    def names(self) -> Iterator[str]:
        """Names of the models that the file prices."""
        yield from self.entries

    def model(self, name: str, as_of: datetime.date) -> ListedModel | None:
        """The override of a model; None when there is none yet on that day."""
        entry = self.entries.get(name)
        return None if entry is None or entry.as_of > as_of else _listed(name, entry)


def check_overrides(path: Path, book: PriceBook) -> dict[str, Any]:
    """What a file of overrides says beside a book's own prices.

    Args:
        path: the file.
        book: to compare with; its day decides what is in force.

    Returns:
        sha256 and entries: model, as_of, prices here and in the book (null: unknown) and a remark where something is odd.

    Raises:
        ConfigError: the file cannot be used; says which entry.
    """
    overrides = OverrideList(path)
    entries = [_compared(name, entry, book) for name, entry in overrides.entries.items()]
    return {"sha256": overrides.sha256, "book": book.provenance, "entries": entries}


def _compared(name: str, entry: Override, book: PriceBook) -> dict[str, Any]:
    remarks = []
    try:
        standard = book.model(name).tiers.get("standard")
    except ConfigError:
        standard = None
        remarks.append("not in the list")
    if entry.as_of > book.as_of:
        remarks.append("not in force yet")
    if None in (entry.input_usd_per_1m, entry.output_usd_per_1m):
        remarks.append("unknown: an error to use")
    if entry.is_free:
        remarks.append("free")
    return {
        "model": name,
        "as_of": entry.as_of.isoformat(),
        "input_usd_per_1m": entry.input_usd_per_1m,
        "output_usd_per_1m": entry.output_usd_per_1m,
        "list_input_usd_per_1m": standard.input_usd_per_1m if standard else None,
        "list_output_usd_per_1m": standard.output_usd_per_1m if standard else None,
        "source": entry.source,
        "remark": ", ".join(remarks) or None,
    }


def _listed(name: str, entry: Override) -> ListedModel:
    unknown = [rate for rate in MAIN_RATES if getattr(entry, rate) is None]
    tiers: dict[Tier, TieredRates] = {}
    if not unknown:
        fields = (*TokenRates.model_fields, "long_prompt")
        tiers["standard"] = TieredRates(**{field: getattr(entry, field) for field in fields})
        given: dict[Tier, TieredRates | None] = {"batch": entry.batch, "flex": entry.flex, "priority": entry.priority}
        tiers |= {tier: rates for tier, rates in given.items() if rates}
    return ListedModel(
        name=name,
        tiers=tiers,
        unknown_because=f"{unknown[0]} is null, which says that it is unknown" if unknown else None,
        is_deprecated=entry.is_deprecated,
        note=entry.source,
        since=entry.as_of,
    )
