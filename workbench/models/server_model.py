"""What every model behind a server shares: attempts, deadlines, streams that may not begin twice, errors without the key."""

from __future__ import annotations

import contextlib
import os
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from urllib.parse import urlsplit

from workbench.core import Clock, Completion, ConfigError, Delta, ModelError, Request, SystemClock, Unavailable
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard
from workbench.models.retrying import Patience, Retrying
from workbench.models.server_errors import failure


class ServerModel(ABC):
    """Asks a server, in a protocol that a subclass speaks.

    A retryable failure is tried again until `card.retries` are used up or the request's deadline would pass; a stream only before its
    first piece. `ttft_s` and `latency_s` run from the call, failed attempts and pauses included, because that is what the caller waited.

    Args:
        name: its name in the configuration.
        card: address, key and patience.
        clock: what tells the time.
        rng: jitter of the pauses.
        streams: whether `complete` streams too, so that the first token is timed.
        first_pause_s: before the first retry.

    Raises:
        ConfigError: the key's environment variable is not set.
    """

    def __init__(
        self,
        name: str,
        card: ModelCard,
        clock: Clock | None,
        rng: random.Random | None,
        *,
        streams: bool,
        first_pause_s: float,
    ) -> None:
        self.name = name
        self.card = card
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._retrying = Retrying(card.retries, first_pause_s)
        self._streams = streams
        self._key = key_of(name, card)
        self._is_closed = False

    async def complete(self, request: Request) -> Completion:
        """One answer.

        Raises:
            RateLimited, Unavailable: still so after the last attempt.
            BadResponse, ContextOverflow: the server rejected the request, or does not follow the protocol.
        """
        attempt = self._collected if self._streams else self._whole
        patience = self._patience(request)
        while True:
            try:
                return await attempt(request, patience)
            except ModelError as exc:
                await patience.pause_or_raise(exc)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in the order asked, at most `card.batch_size` requests at a time."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """Pieces as the server sends them; errors as `complete`, and Unavailable where the stream is cut."""
        patience = self._patience(request)
        has_begun = False
        while True:
            try:
                async with contextlib.aclosing(self._pieces(request, patience)) as pieces:
                    async for delta in pieces:
                        has_begun = True
                        yield delta
                return
            except ModelError as exc:
                if has_begun:
                    raise
                await patience.pause_or_raise(exc)

    def count_prompt_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        await self._disconnect()

    @abstractmethod
    async def _whole(self, request: Request, patience: Patience) -> Completion:
        """One attempt without a stream."""

    @abstractmethod
    def _pieces(self, request: Request, patience: Patience) -> AsyncGenerator[Delta, None]:
        """One attempt with a stream; the last Delta carries the Completion."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close what is open in the running event loop."""

    async def _collected(self, request: Request, patience: Patience) -> Completion:
        async with contextlib.aclosing(self._pieces(request, patience)) as pieces:
            async for delta in pieces:
                if delta.completion is not None:
                    return delta.completion
        raise Unavailable("the stream ended before the answer was complete", model=self.name)

    def _patience(self, request: Request) -> Patience:
        return Patience(request, self.card.timeout_s, self._retrying, self._clock, self._rng)

    def _left_s(self, patience: Patience) -> float:
        """Seconds that this attempt may still take.

        Raises:
            Unavailable: none are left, or the model is closed.
        """
        if self._is_closed:
            raise Unavailable("it was closed", model=self.name)
        left_s = patience.left_s()
        if left_s <= 0:
            raise self._too_late()
        return left_s

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong inside is a ModelError: the edge to a library and to a server that others wrote."""
        try:
            yield
        except ModelError:
            raise
        except TimeoutError as exc:
            raise self._too_late() from exc
        except Exception as exc:
            raise self._error(exc) from self._shown_cause(exc)

    def _error(self, exc: Exception) -> ModelError:
        return failure(exc, model=self.name, key=self._key)

    def _too_late(self) -> Unavailable:
        return Unavailable(f"no answer within {self.card.timeout_s:g} s or the deadline", model=self.name)

    def _shown_cause(self, exc: Exception) -> Exception | None:
        """The cause, unless a traceback of it would print the key."""
        return None if self._key and self._key in f"{exc}{exc!r}" else exc


def key_of(name: str, card: ModelCard) -> str | None:
    """The secret that `card.api_key` names; None where it names none.

    Raises:
        ConfigError: the environment variable is not set, or holds what no header can carry.
    """
    if card.api_key is None:
        return None
    variable = card.api_key.removeprefix("env:")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"model {name!r}: the environment variable {variable} is not set, which api_key: env:{variable} names; export it first"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"model {name!r}: the environment variable {variable} holds a line break or a character beyond ASCII, which no key has; "
            "export the key alone"
        )
    return key


def address_of(name: str, base_url: str | None, wanted: str) -> str:
    """The server's address without a slash at its end.

    Args:
        name: name of the model, for messages.
        base_url: as in the card.
        wanted: what the address must contain, for messages.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(base_url or "")
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if base_url is None or not is_address:
        raise ConfigError(f"model {name!r}: base_url must be the server's http(s) address {wanted}, found {base_url!r}")
    return base_url.rstrip("/")
