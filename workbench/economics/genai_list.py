"""The prices that come with the installed genai-prices package, resolved by its own rules: dates, hours, variants."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import MissingExtra
from workbench.core.hashing import sha256_file
from workbench.core.price import LongPromptRates, Tier, TieredRates
from workbench.economics.listed import ListedModel

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

RATES = {  # price of the package → field here; all USD per million tokens
    "input_mtok": "input_usd_per_1m",
    "output_mtok": "output_usd_per_1m",
    "cache_read_mtok": "cached_input_usd_per_1m",
    "cache_write_mtok": "cache_write_usd_per_1m",
    "cache_write_1h_mtok": "cache_write_1h_usd_per_1m",
    "output_reasoning_mtok": "reasoning_usd_per_1m",
}
FEE = "requests_kcount"  # USD per thousand requests
CONTEXTS: Mapping[Tier, tuple[dict[str, str], ...]] = {
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
NOON = datetime.time(12, tzinfo=datetime.UTC)


class GenaiList:
    """genai-prices' bundled data. What a program downloaded into the package while running is not used.

    Raises:
        MissingExtra: the package is not installed.
    """

    book = "genai-prices"

    def __init__(self) -> None:
        try:
            from importlib.metadata import version

            from genai_prices import data
        except ImportError as exc:
            raise MissingExtra("a listed price", "prices") from exc
        self.version: str | None = version("genai-prices")
        self.sha256 = sha256_file(Path(data.__file__))
        self._providers: dict[str, Provider] = {provider.id: provider for provider in data.providers}

    def names(self) -> Iterator[str]:
        """`seller/model` of every model."""
        for provider in self._providers.values():
            for model in provider.models:
                yield f"{provider.id}/{model.id}"

    def model(self, name: str, as_of: datetime.date) -> ListedModel | None:
        """What the list says about `seller/model` on that day. A model may go by its id or by any name that the package matches to it."""
        seller, _, ref = name.partition("/")
        provider = self._providers.get(seller.lower())
        info = _find(provider, ref, self._providers) if provider and ref else None
        return None if provider is None or info is None else _listed(provider, info, as_of)


@cache
def genai_list() -> GenaiList:
    """The list of the installed package, read once."""
    return GenaiList()


def _find(provider: Provider, ref: str, providers: Mapping[str, Provider]) -> ModelInfo | None:
    exact = next((model for model in provider.models if model.id == ref), None)
    return exact or provider.find_model(ref, all_providers=list(providers.values()))


def _listed(provider: Provider, info: ModelInfo, as_of: datetime.date) -> ListedModel:
    moments = _moments(info, as_of)
    standard = _dearest(info, moments, None)
    rates, because = _rates(standard)
    tiers: dict[Tier, TieredRates] = {"standard": rates} if rates else {}
    if any(info is own for own in provider.models):  # a model borrowed from another seller has only the standard tier
        for tier, contexts in CONTEXTS.items():
            context = next((c for c in contexts if _has_variant(info, c, moments)), None)
            varied, _ = _rates(_dearest(info, moments, context)) if context else (None, None)
            if varied:
                tiers[tier] = varied
    beside = [key for key, value in vars(standard).items() if value is not None and key not in RATES and key != FEE]
    hours = f"; the dearest of {len(moments)} rates of the day" if len(moments) > 1 else ""
    return ListedModel(
        name=f"{provider.id}/{info.id}",
        tiers=tiers,
        title=info.name,
        unknown_because=because,
        context_window=info.context_window,
        is_deprecated=bool(info.deprecated),
        not_billed=tuple(sorted(beside)),
        note=((info.price_comments or "") + hours).removeprefix("; ") or None,
    )


def _moments(info: ModelInfo, as_of: datetime.date) -> list[datetime.datetime]:
    """When to ask for the day's price: at noon, and at every hour at which a price that depends on the hour changes."""
    conditions = [price.constraint for price in info.prices] if isinstance(info.prices, list) else []
    times = [limit for c in conditions for limit in (getattr(c, "start_time", None), getattr(c, "end_time", None))]
    distinct = dict.fromkeys(time for time in times if time is not None)
    return [datetime.datetime.combine(as_of, time) for time in (list(distinct) or [NOON])]


def _dearest(info: ModelInfo, moments: list[datetime.datetime], context: dict[str, str] | None) -> ModelPrice:
    return max((info.get_prices(moment, context) for moment in moments), key=_dearness)


def _dearness(price: ModelPrice) -> tuple[float, float]:
    return _at(price.output_mtok, 0) or 0.0, _at(price.input_mtok, 0) or 0.0


def _has_variant(info: ModelInfo, context: dict[str, str], moments: list[datetime.datetime]) -> bool:
    return any(
        variant.when == context and (variant.constraint is None or any(map(variant.constraint.active, moments)))
        for variant in info.price_variants or ()
    )


def _rates(price: ModelPrice) -> tuple[TieredRates | None, str | None]:
    """The rates, or None and why there are none."""
    missing = [
        what for key, what in (("input_mtok", "prompt"), ("output_mtok", "answer")) if getattr(price, key) is None
    ]
    if missing:
        return None, f"it lists nothing for {' and '.join(missing)} tokens"
    values = vars(price)
    limits = sorted({tier.start for key in RATES for tier in getattr(values.get(key), "tiers", ())} - {0})
    long_prompt = tuple(LongPromptRates(above_prompt_tokens=limit, **_flat(price, limit)) for limit in limits)
    return TieredRates(**_flat(price, 0), long_prompt=long_prompt), None


def _flat(price: ModelPrice, limit: int) -> dict[str, Any]:
    """Fields of `TokenRates` for prompts above `limit`; 0 for those below the first."""
    rates = {field: _at(getattr(price, key), limit) for key, field in RATES.items()}
    fee = _at(getattr(price, FEE), limit)
    return {**rates, "request_usd": None if fee is None else fee / 1000}


def _at(value: Any, limit: int) -> float | None:
    """A price, tiered or not, for prompts above `limit`."""
    if value is None or not hasattr(value, "tiers"):
        return None if value is None else float(value)
    reached = [tier.price for tier in value.tiers if tier.start <= limit]
    return float(reached[-1] if reached and limit else value.base)
