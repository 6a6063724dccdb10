"""What a token or an operation costs: the two ways to price an answer. Unknown is None, never 0."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A pydantic model whose unknown keys are errors and whose values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPrice(Strict):
    """API prices in USD per million tokens."""

    input_usd_per_1m: Annotated[float, Field(ge=0, description="uncached prompt tokens")]
    output_usd_per_1m: Annotated[float, Field(ge=0, description="answer tokens")]
    cached_input_usd_per_1m: Annotated[
        float | None, Field(ge=0, description="prompt tokens read from the cache; null: as uncached")
    ] = None


class ComputePrice(Strict):
    """Local price: floating-point operations on a hardware profile of `data/hardware.yaml`."""

    hardware: Annotated[str, Field(description="name of a hardware profile")]


Price = TokenPrice | ComputePrice
