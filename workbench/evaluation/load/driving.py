"""Sending requests on time and watching them: one run of one load."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workbench.core import Clock, Request
from workbench.evaluation.items import Item
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.observation import BACKWARDS, TICK_S, Observation, observe
from workbench.evaluation.load.saturation import saturation
from workbench.models import Model

WATCH_S = 1.0
BEAT_S = 0.1
"""How often the process looks whether it still wakes in time."""
FAILURE_PAUSE_S = 0.1
"""A worker of a closed loop waits so long after a failure: a server that is gone would else be asked thousands of times a second."""
LONGEST_LAG_S = 2.0
"""Only this process delays the start of a request's task (a place in flight is waited for inside it); so late, its schedule is lost."""


class Drive:
    """Loads a model until the window and its requests are over, or there is a reason to stop.

    In an open loop a request starts at its intended time whatever is in flight. Its task is made at that time also where a limit makes it
    wait, so the wait counts. In a closed loop each of `concurrency` workers asks again when its answer is there.

    Args:
        model: who is asked.
        config: the load.
        starts_s: intended starts of an open loop; unused in a closed one.
        ask: the prompt and request of a number.
        clock: what tells the time.
        on_watch: called about once a second, for progress.
        first_number: of the first request; further stages count on.

    Attributes:
        wake_lags_s: how much later than asked for the process woke, one value about each `BEAT_S`.
    """

    def __init__(
        self,
        model: Model,
        config: BenchConfig,
        starts_s: Sequence[float],
        ask: Callable[[int], tuple[Item, Request]],
        clock: Clock,
        on_watch: Callable[[Drive], None] | None = None,
        first_number: int = 0,
    ) -> None:
        self.model, self.config, self.ask, self.clock = model, config, ask, clock
        self.seen: list[Observation] = []
        self.ended: list[Observation] = []
        self.stopped_because: str | None = None
        self.now_s = 0.0
        self.zero_s = 0.0
        self.wake_lags_s: list[float] = []
        self._starts_s, self._on_watch, self._first_number = starts_s, on_watch, first_number
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_in_flight = 0
        self._sent_at: tuple[list[float], list[int]] = ([], [])
        self._first_at: tuple[list[float], list[float]] = ([], [])
        self._n_measured_open = 0
        self._late_s = 0.0
        self._all_measured_sent = False
        self._has_answer = False
        self._failure: BaseException | None = None
        self._stopped, self._measured_ended = asyncio.Event(), asyncio.Event()
        limit = config.concurrency if config.loop == "open" else None
        self._gate = asyncio.Semaphore(limit) if limit else None

    @property
    def n_in_flight(self) -> int:
        """Requests sent and not ended."""
        return self._n_in_flight

    async def run(self) -> None:
        """Load until it is over; what is still in flight then is cut."""
        self.zero_s = self.clock.monotonic_s()
        send = self._send_on_schedule if self.config.loop == "open" else self._send_in_turn
        helpers = [asyncio.create_task(self._kept_alive(work)) for work in (send(), self._watch(), self._beat())]
        try:
            with _no_old_garbage():
                await self._first_of(self.clock.sleep(self.config.window_end_s), self._stopped.wait())
                if not self._stopped.is_set():
                    drained = self._measured_ended.wait()
                    await self._first_of(self.clock.sleep(self.config.drain_s), drained, self._stopped.wait())
        finally:
            self.now_s = self._elapsed_s()
            await _cancelled([*helpers, *self._tasks])
        if self._failure is not None:
            raise self._failure

    def stop(self, because: str) -> None:
        """End the run early; the first reason stays."""
        if self.stopped_because is None:
            self.stopped_because = because
            self._stopped.set()

    async def _send_on_schedule(self) -> None:
        for number, intended_s in enumerate(self._starts_s, self._first_number):
            if intended_s > self.config.window_end_s:
                self._note_all_measured_sent()
            await self._sleep_until(float(intended_s))
            if self._stopped.is_set():
                return
            self._late_s = self._elapsed_s() - float(intended_s)
            self._start(number, float(intended_s))
        self._note_all_measured_sent()

    async def _send_in_turn(self) -> None:
        numbers = itertools.count(self._first_number)
        async with asyncio.TaskGroup() as workers:
            for _ in range(self.config.concurrency or 1):
                workers.create_task(self._work(numbers))

    async def _work(self, numbers: Iterator[int]) -> None:
        """One of the closed loop's workers."""
        while not self._stopped.is_set():
            elapsed_s = self._elapsed_s()
            if elapsed_s > self.config.window_end_s:
                self._note_all_measured_sent()
                if not self.config.keep_load:
                    return
            seen, task = self._start(next(numbers), elapsed_s)
            await asyncio.wait([task])
            await self.clock.sleep(
                self.config.think_s if seen.error is None else max(FAILURE_PAUSE_S, self.config.think_s)
            )

    def _start(self, number: int, intended_s: float) -> tuple[Observation, asyncio.Task[None]]:
        item, request = self.ask(number)
        seen = Observation(number, item, intended_s)
        self.seen.append(seen)
        is_measured = self.config.phase(intended_s) == "measured"
        self._n_measured_open += is_measured
        task = asyncio.create_task(self._answered(seen, request, is_measured))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return seen, task

    async def _answered(self, seen: Observation, request: Request, is_measured: bool) -> None:
        try:
            if self._gate is None:
                await self._observed(seen, request)
            else:
                async with self._gate:
                    await self._observed(seen, request)
        finally:
            if not seen.is_over:  # cut while it waited for its turn, before it was sent
                seen.cut_s = self._elapsed_s()
            self.ended.append(seen)
            self._n_measured_open -= is_measured
            self._note_measured_ended()

    async def _observed(self, seen: Observation, request: Request) -> None:
        self._n_in_flight += 1
        self._sent_at[0].append(self._elapsed_s())
        self._sent_at[1].append(self._n_in_flight)
        try:
            await observe(self.model, request, seen, self.clock, self.zero_s)
        finally:
            self._n_in_flight -= 1
        if seen.chunks_s:
            self._first_at[0].append(seen.chunks_s[0])
            self._first_at[1].append(seen.chunks_s[0] - seen.intended_s)
        self._look_at(seen)

    def _look_at(self, seen: Observation) -> None:
        """Stop where going on would tell nothing: nothing but failures, or a clock that cannot be believed."""
        if seen.error is None:
            self._has_answer = True
        elif (
            not self._has_answer and sum(s.error is not None for s in self.seen[:50]) >= self.config.stop_after_failures
        ):
            self.stop(f"the first {self.config.stop_after_failures} requests all failed: {seen.error}")
        if seen.went_backwards:
            self.stop(f"{BACKWARDS}; what was measured before is kept")

    async def _sleep_until(self, at_s: float) -> None:
        """Sleep to that second of the run; never wakes more than a tick early, and notices when the clock is set back."""
        before_s = self._elapsed_s()
        if before_s > at_s - TICK_S:
            await asyncio.sleep(0)  # behind its schedule: the requests under way must still be heard
        while (left_s := at_s - before_s) > TICK_S:
            await self.clock.sleep(left_s)
            now_s = self._elapsed_s()
            if now_s < before_s:
                self.stop(f"{BACKWARDS} by {before_s - now_s:.3g} s; what was measured before is kept")
                return
            before_s = now_s

    async def _beat(self) -> None:
        """Note how late this process wakes: whatever keeps it from running makes every answer look as late."""
        while True:
            due_s = self._elapsed_s() + BEAT_S
            await self.clock.sleep(BEAT_S)
            self.wake_lags_s.append(max(0.0, self._elapsed_s() - due_s))

    async def _watch(self) -> None:
        last_s = self._elapsed_s()
        while True:
            await self.clock.sleep(WATCH_S)
            now_s = self._elapsed_s()
            if now_s < last_s:
                self.stop(f"{BACKWARDS} by {last_s - now_s:.3g} s; what was measured before is kept")
            last_s = now_s
            if self._on_watch is not None:
                self._on_watch(self)
            if (
                self.config.rate_rps is not None
                and self.config.stop_when_saturated
                and now_s < self.config.window_end_s
            ):
                self._look_for_trouble(self.config.rate_rps)

    def _look_for_trouble(self, rate_rps: float) -> None:
        late_s = self._late_s
        if late_s > LONGEST_LAG_S:
            self.stop(
                f"this machine cannot send {rate_rps:g} requests/s: one left {late_s:.1f} s late; lower the rate or use several machines"
            )
        first = sorted(zip(*self._first_at, strict=True))
        because = saturation(*self._sent_at, [at for at, _ in first], [took for _, took in first], rate_rps)
        if because:
            self.stop(because)

    def _note_all_measured_sent(self) -> None:
        self._all_measured_sent = True
        self._note_measured_ended()

    def _note_measured_ended(self) -> None:
        if self._all_measured_sent and self._n_measured_open == 0:
            self._measured_ended.set()

    def _elapsed_s(self) -> float:
        return self.clock.monotonic_s() - self.zero_s

    async def _kept_alive(self, work: Coroutine[Any, Any, None]) -> None:
        """A helper whose own failure ends the run instead of leaving it waiting."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self._failure = exc
            self.stop(f"the generator failed: {type(exc).__name__}: {exc}")
            raise

    async def _first_of(self, *waits: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled(tasks)


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel and wait until it is done; what a task raises meanwhile has been noted elsewhere."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@contextmanager
def _no_old_garbage() -> Iterator[None]:
    """Keep the collector from walking everything that was there before: with torch or polars loaded such a walk takes tens of ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
