"""Servers whose queues are known: one that answers in turn on a fake clock, and M/M/1 in arrays."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from workbench.core import Completion, Delta, Request, Timing, Usage
from workbench.models import ModelCard


class InTurnModel:
    """Answers one request at a time, each in the same number of seconds, half of it before the first of its two words."""

    def __init__(self, clock, service_s: float, name: str = "queue") -> None:
        self.name, self.card = name, ModelCard(kind="scripted", model=name)
        self.clock, self.service_s = clock, service_s
        self.n_in_flight = self.most_in_flight = 0
        self._turn = asyncio.Lock()

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        start_s = self.clock.monotonic_s()
        self.n_in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.n_in_flight)
        try:
            async with self._turn:
                await self.clock.sleep(self.service_s / 2)
                yield Delta("two")
                await self.clock.sleep(self.service_s / 2)
                yield Delta(" words")
        finally:
            self.n_in_flight -= 1
        timing = Timing(self.clock.monotonic_s() - start_s)
        yield Delta("", Completion("two words", self.name, "stop", Usage(3, 2), timing))

    async def close(self) -> None:
        """Nothing."""


def mm1_sojourns(n: int, utilisation: float, rng: np.random.Generator, warm_up: int = 1000) -> np.ndarray:
    """Seconds in an M/M/1 queue with mean service 1: exponential with mean 1 / (1 - utilisation) in the steady state."""
    if utilisation == 0:
        return rng.exponential(1.0, n)
    between, service = rng.exponential(1 / utilisation, n + warm_up), rng.exponential(1.0, n + warm_up)
    # Lindley: a wait is the walk of (service - gap) above its own running minimum
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - between[1:])])
    waits = walk - np.minimum.accumulate(walk)
    return (waits + service)[warm_up:]


@pytest.fixture(name="mm1_sojourns")
def _mm1_sojourns():
    return mm1_sojourns


@pytest.fixture(name="in_turn_model")
def _in_turn_model():
    return InTurnModel
