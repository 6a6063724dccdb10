"""Answers that were given before to exactly the same question of the same tenant."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from workbench.core import Clock, Request
from workbench.core.hashing import sha256_json
from workbench.core.price import Strict

KEY_VERSION = 1
T = TypeVar("T")


class ExactCacheConfig(Strict):
    """How many answers are kept and for how long."""

    max_entries: Annotated[int, Field(gt=0, description="answers kept; the longest unused goes first")] = 10_000
    ttl_s: Annotated[
        float | None, Field(gt=0, description="seconds from its making after which an answer is stale; null: never")
    ] = 3600.0


def exact_key(request: Request, scope_sha256: str) -> str:
    """Hash of everything that may shape the answer: the tenant, the scope and the request without its id.

    Args:
        request: the question; its tenant is part of the key, its session, deadline and id are not.
        scope_sha256: hash of what else shapes answers (configuration, model cards, policy).
    """
    return sha256_json(
        {
            "version": KEY_VERSION,
            "tenant": request.tenant,
            "scope": scope_sha256,
            "messages": [asdict(message) for message in request.messages],
            "sampling": asdict(request.sampling),
            "task": request.task,
            "region": request.region,
            "cost_limit_usd": request.cost_limit_usd,
        }
    )


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """A stored value and its age in seconds."""

    value: T
    age_s: float


class ExactCache(Generic[T]):
    """Least recently used entries with an absolute time to live: being read does not keep a stale answer alive.

    Args:
        config: size and time to live.
        clock: what tells the time.
    """

    def __init__(self, config: ExactCacheConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Hit[T] | None:
        """What is stored under the key; None when nothing is or it is stale."""
        if key not in self._entries:
            return None
        made_s, value = self._entries[key]
        age_s = self._clock.monotonic_s() - made_s
        if self.config.ttl_s is not None and age_s >= self.config.ttl_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return Hit(value, age_s)

    def put(self, key: str, value: T) -> None:
        """Store a value; the longest unused one goes when there is no room."""
        self._entries[key] = (self._clock.monotonic_s(), value)
        self._entries.move_to_end(key)
        while len(self._entries) > self.config.max_entries:
            self._entries.popitem(last=False)
