"""The price book: what a model's tokens cost on a day, from a list of prices and one's own overrides, with proof of which."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.core import ConfigError, SystemClock
from workbench.core.price import ListedPrice, Tier, TokenPrice
from workbench.core.validation import parse
from workbench.economics.genai_list import genai_list
from workbench.economics.listed import ListedModel, PriceList, token_price
from workbench.economics.litellm_list import LiteLLMList
from workbench.economics.overrides import OverrideList

NEAREST = 5  # names that an error message suggests


class PriceBook:
    """Prices by name on one day.

    Args:
        listed: the list of prices.
        overrides: what comes before the list; None: nothing does.
        as_of: the day.
    """

    def __init__(self, listed: PriceList, overrides: OverrideList | None, as_of: datetime.date) -> None:
        self.listed, self.overrides, self.as_of = listed, overrides, as_of

    @property
    def provenance(self) -> dict[str, Any]:
        """Which book it is: source, version, hash, day, and the override file's name and hash."""
        over = self.overrides
        return {
            "source": self.listed.book,
            "version": self.listed.version,
            "sha256": self.listed.sha256,
            "as_of": self.as_of.isoformat(),
            "overrides": None if over is None else {"name": over.book, "sha256": over.sha256},
        }

    def price(self, name: str, tier: Tier = "standard") -> TokenPrice:
        """What the tokens of `seller/model` cost, with where it was found.

        Raises:
            ConfigError: an unknown name (suggests the nearest), or no price for it or its tier.

        Example:
            >>> price = load_price_book(as_of=datetime.date(2026, 11, 1)).price("openai/gpt-5-mini")
            >>> price.input_usd_per_1m, price.cached_input_usd_per_1m, price.output_usd_per_1m
            (0.25, 0.025, 2.0)
        """
        model, book = self._look_up(name)
        return token_price(model, tier, book, self.as_of)

    def model(self, name: str) -> ListedModel:
        """All that is listed about a model, priced or not.

        Raises:
            ConfigError: an unknown name; suggests the nearest.
        """
        return self._look_up(name)[0]

    def find(self, text: str) -> list[ListedModel]:
        """Models whose name or title contains every word of `text`, priced ones first, by name."""
        words = text.lower().split()
        models = (self.model(name) for name in self.names())
        found = [model for model in models if all(word in f"{model.name} {model.title}".lower() for word in words)]
        return sorted(found, key=lambda model: (not model.tiers, model.name))

    def names(self) -> Iterator[str]:
        """Every name, overrides first."""
        own = [name for name in self.overrides.names() if self._own(name)] if self.overrides else []
        yield from own
        yield from (name for name in self.listed.names() if name not in own)

    def _look_up(self, name: str) -> tuple[ListedModel, PriceList]:
        found = self._own(name)
        if found is not None and self.overrides is not None:
            return found, self.overrides
        listed = self.listed.model(name, self.as_of)
        own = self._own(listed.name) if listed else None  # the override may be under the list's own name for it
        if own is not None and self.overrides is not None:
            return own, self.overrides
        if listed is None:
            raise ConfigError(f"unknown model {name!r} in the price book: {_nearest(name, list(self.names()))}")
        return listed, self.listed

    def _own(self, name: str) -> ListedModel | None:
        return None if self.overrides is None else self.overrides.model(name, self.as_of)


def load_price_book(
    overrides: Path | None = None, *, as_of: datetime.date | None = None, litellm: Path | None = None
) -> PriceBook:
    """The prices of a day: the bundled data of the installed genai-prices, or a file in LiteLLM's form, below one's own overrides.

    Args:
        overrides: a YAML file of prices that come before the list's; form in `data/prices.example.yaml`.
        as_of: the day; None is today (UTC). A day before a list's first dated price gets that first price.
        litellm: a `model_prices_and_context_window.json`; it has no dates, so that its hash is what identifies it.

    Raises:
        ConfigError: a file is missing, malformed or has a wrong price; names the entry.
        MissingExtra: genai-prices is not installed and no other list is given.
    """
    day = as_of or SystemClock().now().date()
    listed: PriceList = genai_list() if litellm is None else LiteLLMList(litellm)
    return PriceBook(listed, None if overrides is None else OverrideList(overrides), day)


def look_up(price: ListedPrice | Mapping[str, Any], book: PriceBook | None = None) -> TokenPrice:
    """The price that a card names, in the book of today when none is given.

    Raises:
        ValueError: not found, or not the form of a `ListedPrice`; for pydantic, which adds the card's name.
    """
    try:
        wanted = price if isinstance(price, ListedPrice) else parse(ListedPrice, dict(price), "listed price")
        return (book or load_price_book()).price(wanted.listed, wanted.tier)
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc


def _nearest(name: str, known: Sequence[str]) -> str:
    """Names to try instead: those that end alike (another seller's), then those spelt alike."""
    by_lower = {other.lower(): other for other in known}
    model = name.lower().rpartition("/")[2]
    same = [other for lower, other in by_lower.items() if lower.rpartition("/")[2] == model]
    alike = difflib.get_close_matches(name.lower(), by_lower, n=NEAREST, cutoff=0.6)
    nearest = list(dict.fromkeys([*same, *(by_lower[lower] for lower in alike)]))[:NEAREST]
    hint = f"did you mean {', '.join(nearest)}? " if nearest else ""
    return f"{hint}`workbench prices find {model}` searches {len(known)} names"
