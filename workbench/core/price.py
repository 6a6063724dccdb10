"""What a token or an operation costs: the ways to price an answer. Unknown is None, never 0."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Tier = Literal["standard", "batch", "flex", "priority", "fast"]


def _not_a_truth(value: Any) -> Any:
    """YAML's yes and no are no prices: they would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("a price is a number, not yes or no")
    return value


Usd = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_a_truth)]


class Strict(BaseModel):
    """A pydantic model whose unknown keys are errors and whose values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenRates(Strict):
    """USD per million tokens of each kind. Every token of a request is of exactly one kind."""

    input_usd_per_1m: Annotated[Usd, Field(description="prompt tokens neither read from a cache nor written to one")]
    output_usd_per_1m: Annotated[Usd, Field(description="answer tokens")]
    cached_input_usd_per_1m: Annotated[
        Usd | None, Field(description="prompt tokens read from the cache; null: as uncached")
    ] = None
    cache_write_usd_per_1m: Annotated[
        Usd | None, Field(description="prompt tokens written to the cache; null: as uncached")
    ] = None
    cache_write_1h_usd_per_1m: Annotated[
        Usd | None, Field(description="prompt tokens written to the cache for an hour; null: as other cache writes")
    ] = None
    reasoning_usd_per_1m: Annotated[Usd | None, Field(description="hidden reasoning tokens; null: as output")] = None
    request_usd: Annotated[Usd | None, Field(description="fee of one request, USD; null: none")] = None


class LongPromptRates(TokenRates):
    """Rates of a whole request whose prompt is long: all its tokens, not only those beyond the limit."""

    above_prompt_tokens: Annotated[
        int, Field(gt=0, description="prompts with more tokens than this, cached ones counted")
    ]


class TieredRates(TokenRates):
    """Rates, and those that replace them for long prompts."""

    long_prompt: Annotated[
        tuple[LongPromptRates, ...], Field(description="by rising prompt length; empty: the same at any length")
    ] = ()

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        limits = [rates.above_prompt_tokens for rates in self.long_prompt]
        if any(later <= earlier for earlier, later in pairwise(limits)):
            raise ValueError(f"long_prompt limits must rise, found {', '.join(map(str, limits))}")
        return self


class PriceSource(Strict):
    """Where a price was looked up, so that a number can be traced to the book it came from."""

    listed: Annotated[str, Field(description="name in the book: seller/model")]
    tier: Annotated[Tier, Field(description="service tier")] = "standard"
    book: Annotated[str, Field(description="genai-prices, litellm, or the override file's name")]
    version: Annotated[str | None, Field(description="of the book; null: it has none")] = None
    sha256: Annotated[str, Field(description="of the book's data")]
    as_of: Annotated[datetime.date, Field(description="date for which it was looked up; of an override: since when")]
    note: Annotated[str | None, Field(description="what the book says about it")] = None
    is_deprecated: Annotated[bool, Field(description="the seller is going to switch the model off")] = False
    not_billed: Annotated[
        tuple[str, ...],
        Field(description="what the seller charges beside tokens and is not in a cost: searches, images"),
    ] = ()


class TokenPrice(TieredRates):
    """API prices in USD per million tokens, typed in or looked up in the price book."""

    batch: Annotated[TieredRates | None, Field(description="rates of the batch service; null: unknown or none")] = None
    source: Annotated[PriceSource | None, Field(description="where it was looked up; null: typed in")] = None


class ComputePrice(Strict):
    """Local price: floating-point operations on a hardware profile of `data/hardware.yaml`."""

    hardware: Annotated[str, Field(description="name of a hardware profile")]


class ListedPrice(Strict):
    """A price by name: a card that names one holds the `TokenPrice` found in the price book when it is loaded."""

    listed: Annotated[str, Field(min_length=1, description="seller/model, e.g. openai/gpt-5-mini")]
    tier: Annotated[Tier, Field(description="service tier that is paid for")] = "standard"


Price = TokenPrice | ComputePrice
