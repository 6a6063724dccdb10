"""What an objective may know besides predictions: tasks, load, money, chance. Arrays, one row a request; a live request is one row.

It is passed in with every decision and lives outside the policy: offline it is recorded or simulated state, live it is the real one,
and both go through the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from workbench.core import ConfigError
from workbench.routing.queries import FloatArray, Queries


@dataclass(frozen=True, slots=True, eq=False)
class Circumstances:
    """The state of things as each of n requests arrives; None where it is not known or does not matter.

    Args:
        tasks: kind of task where the caller knows it.
        in_flight: calls on their way at each model, shape (n, m).
        recent_s: moving average of each model's recent seconds (of what the objective looks at: whole answers or first tokens), shape
            (n, m); NaN where nothing was answered yet.
        discount_usd: what each model's warm prefix cache saves on this request, shape (n, m), 0 or more.
        bonus: predicted score that a session's staying with a model is worth, shape (n, m).
        exchange: λ at this moment, score per USD, shape (n,); stands in for the objective's own.
        left_usd: what is left of the budget that this request belongs to, shape (n,).
        draws: two numbers in 0..1 a request, shape (n, 2), for choices by lot.

    Raises:
        ConfigError: a part has another number of rows.
    """

    tasks: tuple[str | None, ...]
    in_flight: FloatArray | None = None
    recent_s: FloatArray | None = None
    discount_usd: FloatArray | None = None
    exchange: FloatArray | None = None
    left_usd: FloatArray | None = None
    draws: FloatArray | None = None
    bonus: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.tasks)
        for part in self._parts():
            if part is not None and len(part) != n:
                name = next(name for name in self.__slots__ if getattr(self, name) is part)
                raise ConfigError(f"{n} requests come with {len(part)} rows of {name}; give one row each")

    @classmethod
    def of(cls, queries: Queries, by_lot: bool = True) -> Circumstances:
        """What the requests themselves say: their tasks and, where choices are by lot, draws that hang on their texts alone."""
        return cls(queries.tasks, draws=draws_of(queries.texts) if by_lot else None)

    def __getitem__(self, rows: slice) -> Circumstances:
        """Those of a slice of the requests."""
        return Circumstances(self.tasks[rows], *(None if part is None else part[rows] for part in self._parts()))

    def _parts(self) -> tuple[FloatArray | None, ...]:
        """All arrays, in the order of the fields."""
        return self.in_flight, self.recent_s, self.discount_usd, self.exchange, self.left_usd, self.draws, self.bonus

    def floors(self, floor: float, by_task: dict[str, float]) -> FloatArray:
        """The quality floor of each request: its task's, else the common one; shape (n,)."""
        return np.fromiter((by_task.get(task or "", floor) for task in self.tasks), np.float64, len(self.tasks))


def draws_of(keys: tuple[str, ...]) -> FloatArray:
    """Two numbers in 0..1 a key, shape (n, 2), that look random and hang on the key alone.

    Example:
        >>> draws_of(("a", "b")).shape, bool((draws_of(("b",)) == draws_of(("a", "b"))[1]).all())
        ((2, 2), True)
    """
    digests = (sha256(key.encode("utf-8", "surrogatepass")).digest() for key in keys)
    words = [(int.from_bytes(d[:6], "big"), int.from_bytes(d[6:12], "big")) for d in digests]
    return np.array(words, np.float64).reshape(len(keys), 2) / 2.0**48
