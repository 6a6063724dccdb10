"""What is known about a model before it is asked: where it is, what it can do, what it costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_serializer

from workbench.core.naming import did_you_mean
from workbench.core.price import ComputePrice, ListedPrice, Price, Strict, TokenPrice

PRICE_KEYS = tuple(key for kind in (TokenPrice, ComputePrice, ListedPrice) for key in kind.model_fields)


def _looked_up(price: Any) -> Any:
    """A price by name becomes the price that is listed for it today; anything else is left as it is."""
    if isinstance(price, dict) and price and not price.keys() & set(PRICE_KEYS):
        wrong = str(next(iter(price)))
        raise ValueError(f"unknown key {wrong!r}; {did_you_mean(wrong, PRICE_KEYS)}")
    if not isinstance(price, ListedPrice) and not (isinstance(price, dict) and "listed" in price):
        return price
    from workbench.economics.price_book import look_up

    return look_up(price)


CardPrice = Annotated[Price, BeforeValidator(_looked_up, json_schema_input_type=Price | ListedPrice)]


class ModelCard(Strict):
    """One model of a configuration. Unknown is null.

    The same class describes a local checkpoint, a server and a recorded model; `kind` names the backend.
    """

    kind: Annotated[str, Field(description="backend: transformers, vllm, openai-compatible, anthropic or recorded")]
    model: Annotated[
        str,
        Field(description="checkpoint folder, hub id, `reference:NAME`, the server's model id, or an Outcomes folder"),
    ]
    base_url: Annotated[str | None, Field(description="server's URL up to and including /v1")] = None
    api_key: Annotated[
        str | None, Field(description="secret by reference: env:NAME", pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")
    ] = None
    context_window: Annotated[int | None, Field(gt=0, description="tokens, prompt and answer together")] = None
    price: Annotated[
        CardPrice | None,
        Field(
            description="token prices, a hardware profile, or a name in the price book, which is looked up when the card is made;"
            " null: cost unknown"
        ),
    ] = None
    flop_per_token: Annotated[
        float | None, Field(gt=0, description="forward pass, about 2 x parameters; null: read from the checkpoint")
    ] = None
    region: Annotated[str | None, Field(description="where it computes, e.g. local, eu, us")] = None
    capabilities: Annotated[
        frozenset[str], Field(description="tasks or abilities it is meant for; empty: everything")
    ] = frozenset()
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], Field(description="local compute type")] = "float32"
    device: Annotated[str, Field(description="local device: cpu, cuda, cuda:1")] = "cpu"
    batch_size: Annotated[int, Field(gt=0, description="most requests answered together")] = 32
    timeout_s: Annotated[float, Field(gt=0, description="longest wait for one answer of a server")] = 60.0
    retries: Annotated[int, Field(ge=0, description="further attempts after a retryable failure")] = 2
    logprobs: Annotated[bool, Field(description="whether answers carry their log-probability")] = False
    options: Annotated[dict[str, object], Field(description="backend-specific settings, checked by the backend")] = {}

    @field_serializer("capabilities")
    def _in_order(self, capabilities: frozenset[str]) -> list[str]:
        """Sorted, so that equal cards have equal JSON."""
        return sorted(capabilities)
