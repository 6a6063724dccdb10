"""The one protocol of everything that answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from workbench.core import Completion, Delta, ModelError, Request
from workbench.models.card import ModelCard


@runtime_checkable
class Model(Protocol):
    """Something that answers a Request. `tests/conformance/test_models.py` is what every implementation passes.

    Attributes:
        name: its name in the configuration; stands in every Completion and error.
        card: what is known about it.
    """

    name: str
    card: ModelCard

    async def complete(self, request: Request) -> Completion:
        """One answer.

        Raises:
            ModelError: a subclass saying what went wrong; nothing else leaves this method but cancellation.
        """
        ...

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in the order asked; a failure stands in its place and does not disturb the others."""
        ...

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The answer in pieces; the last Delta carries the Completion.

        Raises:
            ModelError: also in the middle of an answer (cut stream).
        """
        ...

    def count_prompt_tokens(self, request: Request) -> int | None:
        """Tokens of the prompt with the chat template, without asking; None when it cannot be known."""
        ...

    async def close(self) -> None:
        """Release memory, connections and processes. Safe to call twice."""
        ...
