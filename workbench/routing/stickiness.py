"""Sessions: staying with a model keeps its prefix cache warm; a switch must be worth what that cache would have saved.

For each model j of a session, with w_j the tokens of its last prompt that the new prompt begins with, as long as its cache lives:

    c'_j = c_j − (price of w_j tokens uncached − price of w_j tokens from the cache)
    q'_j = q_j + min_gain for the model that answered last, q_j for the others

The objective then chooses on q' and c' as ever. For the cost-aware one that is: leave model s for j only when

    (q_j − λ c_j) − (q_s − λ c_s)  >  λ · saved_s − λ · saved_j + min_gain
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from workbench.core import Clock, Message, Request
from workbench.core.hashing import sha256_json
from workbench.core.price import Strict
from workbench.routing.queries import FloatArray

Saving = Callable[[str, int], float]
"""USD that a model's prefix cache saves on so many tokens."""


class StickinessConfig(Strict):
    """When a conversation changes its model."""

    ttl_s: Annotated[
        float,
        Field(gt=0, description="seconds that a prefix cache lives after its last use; providers say 300 to 3600"),
    ] = 300.0
    min_gain: Annotated[
        float,
        Field(
            ge=0,
            description="predicted score that a switch must gain beyond the lost cache; 0: the cache alone decides",
        ),
    ] = 0.0
    max_sessions: Annotated[int, Field(gt=0, description="conversations remembered; the longest unused goes first")] = (
        100_000
    )


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a model's cache holds of a session.

    Args:
        n_messages: of the prompt that was sent last.
        digest: of those messages.
        n_tokens: of that prompt, as the model counted it.
        at_s: monotonic seconds of its use.
    """

    n_messages: int
    digest: str
    n_tokens: int
    at_s: float


@dataclass(slots=True)
class _Session:
    last: str
    prefixes: dict[str, Prefix] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """What binds one request to the models of its session; one row for `Circumstances`.

    Args:
        last: the model that answered last; None at the beginning.
        warm_tokens: tokens that each model's cache still holds of the prompt, shape (m,).
        discount_usd: what that saves, shape (1, m).
        bonus: predicted score that staying is worth, shape (1, m).
    """

    last: str | None
    warm_tokens: tuple[int, ...]
    discount_usd: FloatArray
    bonus: FloatArray

    def because(self, chosen: str, models: Sequence[str]) -> str:
        """What stayed or was given up, in one line; empty where nothing was warm and nothing else holds the session."""
        if self.last is None or self.last not in models:
            return ""
        column = models.index(self.last)
        warm, usd, gain = self.warm_tokens[column], float(self.discount_usd[0, column]), float(self.bonus[0, column])
        kept = f"{warm} warm tokens" + (f" worth {usd:.3g} USD" if usd else "")
        if chosen != self.last:
            return f"leaves {self.last}, giving up {kept}" if warm else ""
        if not warm:
            return f"stays with {chosen}, since a switch must gain {gain:.3g} score" if gain else ""
        return f"stays with {chosen}, {kept}"


class Sessions:
    """Which models know a conversation. Safe to use from several threads.

    Args:
        config: how long caches live and how much a switch must gain.
        clock: what tells the time.
    """

    def __init__(self, config: StickinessConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()
        self._lock = threading.Lock()

    def ties(self, request: Request, models: Sequence[str], saving: Saving) -> Ties:
        """What binds the request to each of the models; nothing without a session.

        Args:
            request: with its conversation.
            models: names of the columns.
            saving: USD that a model's cache saves on so many tokens.
        """
        with self._lock:
            session = self._sessions.get(_key(request))
            last = session.last if session else None
            warm = tuple(self._warm_tokens(session, name, request.messages) for name in models)
        discount = np.array([[saving(name, n) if n else 0.0 for name, n in zip(models, warm, strict=True)]])
        bonus = np.array([[self.config.min_gain if name == last else 0.0 for name in models]])
        return Ties(last, warm, discount, bonus)

    def note(self, request: Request, model: str, prompt_tokens: int | None) -> None:
        """Remember that a model has seen the conversation up to this request; a request without a session is not remembered."""
        if request.session is None:
            return
        key, digest = _key(request), sha256_json(_plain(request.messages))
        with self._lock:
            session = self._sessions.setdefault(key, _Session(model))
            self._sessions.move_to_end(key)
            session.last = model
            now_s = self._clock.monotonic_s()
            session.prefixes[model] = Prefix(len(request.messages), digest, prompt_tokens or 0, now_s)
            while len(self._sessions) > self.config.max_sessions:
                self._sessions.popitem(last=False)

    def _warm_tokens(self, session: _Session | None, model: str, messages: tuple[Message, ...]) -> int:
        """Tokens of the model's last prompt, if the new one begins with it and the cache still lives."""
        prefix = session.prefixes.get(model) if session else None
        if prefix is None or self._clock.monotonic_s() - prefix.at_s > self.config.ttl_s:
            return 0
        if len(messages) < prefix.n_messages or sha256_json(_plain(messages[: prefix.n_messages])) != prefix.digest:
            return 0
        return prefix.n_tokens


def _key(request: Request) -> tuple[str, str]:
    return request.tenant, request.session or ""


def _plain(messages: tuple[Message, ...]) -> list[list[str]]:
    return [[message.role, message.content] for message in messages]
