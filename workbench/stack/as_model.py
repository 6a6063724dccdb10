"""A whole stack as a model, so that a configuration is recorded, loaded and priced by the same tools as a bare model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from workbench.core import (
    BadResponse,
    Blocked,
    BudgetExceeded,
    Clock,
    Completion,
    ConfigError,
    Delta,
    ModelError,
    RateLimited,
    Request,
    Unavailable,
    WorkbenchError,
)
from workbench.core.price import ComputePrice, Strict, TokenPrice
from workbench.core.validation import parse
from workbench.models import ModelCard
from workbench.models.batching import answer_concurrently
from workbench.stack.config import StackConfig
from workbench.stack.response import Response
from workbench.stack.stack import Stack

STACK_FILE = "stack.yaml"
BY_THE_HOUR = TokenPrice(input_usd_per_1m=0.0, output_usd_per_1m=0.0)


class StackOptions(Strict):
    """Options of the kind `stack`."""

    own_hardware: Annotated[
        Literal["priced", "hourly"],
        Field(
            description="what calls on own hardware add to an answer's cost: `priced`, their compute at full use; `hourly`, nothing, "
            "because the machine is paid by the hour (what break-even wants)"
        ),
    ] = "priced"


class StackModel:
    """Answers by a stack. Tokens and cost are those of all calls that an answer took; a cached answer costs nothing.

    What a guard blocks or a budget refuses is an error of that request: a measured configuration counts it as a failure.

    Args:
        name: its name in the configuration.
        card: `card.model` is a release's folder or a stack file; see `StackOptions` for `card.options`.
        clock: what tells the time.

    Raises:
        ConfigError: no such file, or the stack cannot be built.
    """

    def __init__(self, name: str, card: ModelCard, clock: Clock | None = None) -> None:
        self.name = name
        self.card = card
        options = parse(StackOptions, card.options, f"options of model {name!r}")
        path = _stack_file(name, card)
        config = StackConfig.load(path)
        if options.own_hardware == "hourly":
            config = _paid_by_the_hour(config)
        self._stack: Stack | None = Stack.from_config(config, base_dir=path.parent, clock=clock)

    async def complete(self, request: Request) -> Completion:
        """One answer.

        Raises:
            RateLimited: a rate limit of the stack; says when to come again.
            BadResponse: a guard or a budget said no.
            ModelError: the model and its fallbacks failed.
        """
        try:
            return self._named(await self._opened.run(request))
        except WorkbenchError as exc:
            raise self._error(exc) from exc

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in the order asked, at most `card.batch_size` requests at a time."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """Pieces as the output guards release them; errors as `complete`."""
        try:
            async with aclosing(self._opened.stream(request)) as pieces:
                async for piece in pieces:
                    yield Delta(piece.text, self._named(piece.response) if piece.response else None)
        except WorkbenchError as exc:
            raise self._error(exc) from exc

    def count_prompt_tokens(self, request: Request) -> int | None:
        """None: it depends on the model that will be chosen."""
        return None

    async def close(self) -> None:
        """Close the stack and its models."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.close()

    def _named(self, response: Response) -> Completion:
        timing = replace(response.completion.timing, latency_s=response.latency_s)
        return replace(response.completion, model=self.name, timing=timing)

    def _error(self, exc: WorkbenchError) -> ModelError:
        if isinstance(exc, BudgetExceeded) and exc.retry_after_s is not None:
            return RateLimited(str(exc), model=self.name, retry_after_s=exc.retry_after_s)
        if isinstance(exc, Blocked | BudgetExceeded | ConfigError | BadResponse):
            return BadResponse(f"{type(exc).__name__}: {exc}", model=self.name)
        return exc if isinstance(exc, ModelError) and exc.model == self.name else Unavailable(str(exc), model=self.name)

    @property
    def _opened(self) -> Stack:
        if self._stack is None:
            raise Unavailable("it was closed", model=self.name)
        return self._stack


def _stack_file(name: str, card: ModelCard) -> Path:
    path = Path(card.model)
    path = path / STACK_FILE if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            f"model {name!r}: no stack at {card.model!r}; give the folder of a release, or a stack file (stack.yaml)"
        )
    return path


def _paid_by_the_hour(config: StackConfig) -> StackConfig:
    """The configuration with calls on own hardware free of charge."""
    cards = {
        name: card.model_copy(update={"price": BY_THE_HOUR}) if isinstance(card.price, ComputePrice) else card
        for name, card in config.models.items()
    }
    return config.model_copy(update={"models": cards})
