"""Prices in the form of LiteLLM's `model_prices_and_context_window.json`: USD per token, no dates, 0 where a price is unknown."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from workbench.core import ConfigError
from workbench.core.files import read_json
from workbench.core.hashing import sha256_file
from workbench.core.price import LongPromptRates, Tier, TieredRates
from workbench.economics.listed import ListedModel

RATES = {  # price a token in the file → field here
    "input_cost_per_token": "input_usd_per_1m",
    "output_cost_per_token": "output_usd_per_1m",
    "cache_read_input_token_cost": "cached_input_usd_per_1m",
    "cache_creation_input_token_cost": "cache_write_usd_per_1m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_usd_per_1m",
    "output_cost_per_reasoning_token": "reasoning_usd_per_1m",
}
FEE = "input_cost_per_request"
MAIN = ("input_cost_per_token", "output_cost_per_token")
SUFFIXES: Mapping[Tier, str] = {"standard": "", "batch": "_batches", "flex": "_flex", "priority": "_priority"}
MODES = frozenset({"chat", "completion", "responses"})
EXAMPLE = "sample_spec"
_LIMIT = re.compile(r"_above_(\d+)k_tokens")


class LiteLLMList:
    """The chat models of such a file. Prices of 0 count as unknown: the file does not tell free from not known.

    Raises:
        ConfigError: missing, not such a file, or a price that is negative or no number; names the entry.
    """

    book = "litellm"
    version: str | None = None

    def __init__(self, path: Path) -> None:
        data = read_json(path)
        if not isinstance(data, dict) or not data or not all(isinstance(entry, dict) for entry in data.values()):
            raise ConfigError(f"{path} is no price file of LiteLLM's form: a JSON object of model → prices")
        self.sha256 = sha256_file(path)
        self._models: dict[str, ListedModel] = {}
        self._aliases: dict[str, str] = {}
        self._ends: dict[str, datetime.date] = {}
        for name, entry in data.items():
            if name != EXAMPLE and entry.get("mode") in MODES:
                self._models[name] = _listed(name, entry, path.name)
                self._aliases.setdefault(f"{entry.get('litellm_provider')}/{name}", name)
                if (ends := _date(entry.get("deprecation_date"))) is not None:
                    self._ends[name] = ends

    @property
    def n_unknown(self) -> int:
        """How many of its chat models have no usable price."""
        return sum(not model.tiers for model in self._models.values())

    def names(self) -> Iterator[str]:
        """Names of the file's chat models."""
        yield from self._models

    def model(self, name: str, as_of: datetime.date) -> ListedModel | None:
        """What the file says about a model, by its name in it or as seller/name; prices are the same on every day."""
        model = self._models.get(name) or self._models.get(self._aliases.get(name, ""))
        ends = self._ends.get(model.name) if model else None
        return replace(model, is_deprecated=ends <= as_of) if model and ends else model


def _listed(name: str, entry: Mapping[str, Any], where: str) -> ListedModel:
    for key, value in entry.items():
        if "cost" in key and isinstance(value, int | float) and not 0 <= value < float("inf"):
            raise ConfigError(f"{where}: {name}: {key} is {value}; a price is 0 or more")
        if key in RATES and not isinstance(value, int | float | None):
            raise ConfigError(f"{where}: {name}: {key} is {value!r}; a price is a number of USD per token")
    missing = [key for key in MAIN if not entry.get(key)]
    tiers = {} if missing else {tier: _rates(entry, suffix) for tier, suffix in _tiers(entry)}
    source = entry.get("source")
    return ListedModel(
        name=name,
        tiers=tiers,
        unknown_because=_unknown(entry, missing[0]) if missing else None,
        context_window=_whole(entry.get("max_input_tokens")),
        not_billed=tuple(sorted(key for key, value in entry.items() if value and _is_beside(key))),
        note=source if isinstance(source, str) else None,
    )


def _unknown(entry: Mapping[str, Any], key: str) -> str:
    return f"{key} is 0, which does not tell free from unknown" if key in entry else f"it does not list {key}"


def _tiers(entry: Mapping[str, Any]) -> Iterator[tuple[Tier, str]]:
    """The tiers that have both main rates, with the ending of their keys."""
    for tier, suffix in SUFFIXES.items():
        if all(entry.get(key + suffix) for key in MAIN):
            yield tier, suffix


def _rates(entry: Mapping[str, Any], suffix: str) -> TieredRates:
    limits = {int(found[1]) for key in entry if (found := _LIMIT.search(key)) and _base(key) in RATES}
    long_prompt = tuple(
        LongPromptRates(above_prompt_tokens=1000 * limit, **_flat(entry, suffix, f"_above_{limit}k_tokens"))
        for limit in sorted(limits)
    )
    return TieredRates(**_flat(entry, suffix, ""), long_prompt=long_prompt)


def _flat(entry: Mapping[str, Any], suffix: str, above: str) -> dict[str, Any]:
    """Fields of `TokenRates`. A tier's missing rate is the standard one: dearer rather than invented."""
    flat: dict[str, Any] = {"request_usd": entry.get(FEE) or None}
    for key, field in RATES.items():
        at_limit = (key + above + suffix, key + above) if above else ()
        value = next((entry[name] for name in (*at_limit, key + suffix, key) if entry.get(name)), None)
        flat[field] = None if value is None else float(Decimal(repr(value)) * 1_000_000)
    return flat


def _base(key: str) -> str:
    """A key without prompt limit and tier."""
    key = _LIMIT.sub("", key)
    return next((key.removesuffix(suffix) for suffix in SUFFIXES.values() if suffix and key.endswith(suffix)), key)


def _is_beside(key: str) -> bool:
    return "cost" in key and _base(key) not in {*RATES, FEE}


def _date(value: Any) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
