"""Attempts: one call through its chain: circuits, shares of the deadline, a hedge beside a slow model, the price."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from workbench.core import BadResponse, Clock, Completion, Delta, ModelError, RateLimited, Request, Unavailable
from workbench.economics import HardwareProfile, priced
from workbench.models import Model
from workbench.orchestration import Deadline, DeadlinePassed, cancelled, each_in_time
from workbench.routing import FallbackChain
from workbench.routing.hedging import Hedger
from workbench.routing.live import Call, LiveState
from workbench.stack.config import StackConfig
from workbench.stack.journey import Hedge, Journey
from workbench.stack.metrics import StackMetrics
from workbench.stack.steps.compose import Composer
from workbench.stack.steps.worst_cost import most_usd

FULL_SHARE = 0.9
"""A timeout counts against a model that had this share of the time which the configuration gives an attempt."""
REFUSALS = frozenset({401, 403, 404})
"""Statuses of a BadResponse that every other request would get as well: a wrong key or name.

One without a status may be the request's own doing (a chat template that refuses its roles), and no caller may close a model to others.
"""


@dataclass(frozen=True, slots=True)
class Wording:
    """What is asked.

    Args:
        request: as the caller or the pattern words it.
        is_step: whether it is worded already and gets no template.
    """

    request: Request
    is_step: bool = False


@dataclass(slots=True)
class _Attempt:
    """One call of one model.

    Args:
        name: the model.
        deadline: of this attempt.
        call: how the live state knows it.
        is_full: whether it has the time that the configuration gives an attempt, so that running out of it is the model's fault.
        start_s: monotonic seconds.
        is_ended: whether the live state knows how it ended.
        is_given_up: whether a rival was asked because it was slow.
        request: as the model received it; None before.
    """

    name: str
    deadline: Deadline
    call: Call
    is_full: bool
    start_s: float
    is_ended: bool = False
    is_given_up: bool = False
    request: Request | None = None


@dataclass(slots=True)
class _Run:
    """One question on its way along the chain."""

    journey: Journey
    wording: Wording
    deadline: Deadline
    names: tuple[str, ...]
    reserved_s: float
    is_final: bool
    tried: set[str] = field(default_factory=set)
    errors: list[ModelError] = field(default_factory=list)

    def failed(self, error: ModelError) -> None:
        """Remember why a model did not answer."""
        self.errors.append(error)
        self.journey.failures.append(str(error))


class Attempts:
    """Asks a model and, when it fails, the next of the chain.

    Args:
        config: of the whole stack.
        models: by name.
        composer: words the prompt for each model.
        profiles: hardware by name, for costs.
        live: what is in flight, how long answers take, which circuits are open.
        metrics: where probes are counted.
        clock: what tells the time.
    """

    def __init__(
        self,
        config: StackConfig,
        models: Mapping[str, Model],
        composer: Composer,
        profiles: Mapping[str, HardwareProfile],
        live: LiveState,
        metrics: StackMetrics,
        clock: Clock,
    ) -> None:
        self._config = config.answer.chain
        self._deadline_s = config.answer.deadline_s
        self._fallbacks = FallbackChain(tuple(dict.fromkeys(config.choose.fallbacks)))
        self._cards = config.models
        self._models = models
        self._composer = composer
        self._profiles = profiles
        self._live = live
        self._metrics = metrics
        self._clock = clock
        self._probes: set[asyncio.Task[None]] = set()
        hedge = config.answer.chain.hedge
        self._hedger = Hedger(hedge, live) if hedge else None

    async def ask(
        self, journey: Journey, deadline: Deadline, name: str, wording: Wording, is_final: bool = True
    ) -> Completion:
        """The answer of `name`, or of the first after it that answers.

        Args:
            journey: what is known of the request on its way.
            deadline: shared by all attempts.
            name: who is asked first.
            wording: what is asked.
            is_final: False asks `name` alone and only while its circuit is closed, because the caller has somebody else to ask.

        Raises:
            ModelError: all failed, or the deadline passed.
        """
        run = self._run(journey, deadline, name, wording, is_final)
        while (attempt := self._next(run)) is not None:
            completion = await self._hedged(run, attempt)
            if completion is not None:
                return completion
        raise exhausted(run.errors, name)

    async def stream(self, journey: Journey, deadline: Deadline, name: str) -> AsyncGenerator[Delta, None]:
        """The same in pieces; a fallback steps in as long as no text has come. Streams are not hedged.

        Raises:
            ModelError: all failed before the first text, or one failed after it.
        """
        run = self._run(journey, deadline, name, Wording(journey.request))
        while (attempt := self._next(run)) is not None:
            has_text = False
            try:
                async with aclosing(self._stream_one(run, attempt)) as deltas:
                    async for delta in deltas:
                        has_text |= bool(delta.text)
                        yield delta
            except ModelError as exc:
                run.failed(exc)
                if has_text:
                    raise
            else:
                return
        raise exhausted(run.errors, name)

    async def close(self) -> None:
        """Cancel the probes that still run. Safe to call twice."""
        await cancelled(*self._probes)

    def _run(self, journey: Journey, deadline: Deadline, name: str, wording: Wording, is_final: bool = True) -> _Run:
        names = self._fallbacks.attempts(name, journey.permitted - journey.unaffordable)
        names = names if is_final else names[:1] if name in names else ()
        has_followers = len(names) > 1 or not is_final
        reserved_s = self._config.reserved_s(deadline.left_s) if has_followers else 0.0
        return _Run(journey, wording, deadline, names, reserved_s, is_final)

    def _next(self, run: _Run) -> _Attempt | None:
        """The next model of the chain that may be asked now; the last one is asked whatever its circuit says."""
        for name in run.names:
            if name in run.tried:
                continue
            run.tried.add(name)
            is_last = run.is_final and run.tried.issuperset(run.names)
            attempt = self._attempt(run, name, is_last)
            if attempt is not None:
                if run.errors:
                    run.journey.fallbacks.append((run.errors[-1].model, name))
                    run.journey.degraded = True
                return attempt
        return None

    def _attempt(self, run: _Run, name: str, is_last: bool) -> _Attempt | None:
        """Leave to ask a model; None when there is no time for it or its circuit is open."""
        time_s = self._config.attempt_s(run.deadline.left_s, run.reserved_s, is_last)
        if time_s == 0 and (run.errors or not is_last):
            return None
        call = self._live.begin(name, in_spite=is_last)
        if call is None:
            run.journey.skipped.append(name)
            run.failed(Unavailable(self._live.why_not(name), model=name))
            return None
        full_s = self._full_s(is_last, len(run.names) > 1 or not run.is_final)
        if call.permit is not None and call.permit.is_probe and not is_last:
            self._begin_probe(run, name, call, full_s)
            return None
        is_full = full_s is not None and time_s is not None and time_s >= FULL_SHARE * full_s
        deadline = run.deadline if is_last else run.deadline.sooner(time_s)
        return _Attempt(name, deadline, call, is_full, self._clock.monotonic_s())

    def _begin_probe(self, run: _Run, name: str, call: Call, full_s: float | None) -> None:
        """Try a model again with a copy of the request, beside it: whether the outage is over costs no request any time."""
        run.journey.skipped.append(name)
        run.failed(Unavailable("its circuit is open; it is tried again beside this request", model=name))
        deadline = Deadline.after(full_s, self._clock)
        attempt = _Attempt(name, deadline, call, True, self._clock.monotonic_s())
        task = asyncio.ensure_future(self._probe(run.wording, attempt))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)
        task.add_done_callback(lambda _: self._abandoned(attempt))

    async def _probe(self, wording: Wording, attempt: _Attempt) -> None:
        name = attempt.name
        try:
            composed = self._composer.for_model(wording.request, name, wording.is_step)
            attempt.request = replace(composed.request, deadline_s=attempt.deadline.left_s)
            completion = await attempt.deadline.wait(self._models[name].complete(attempt.request))
        except DeadlinePassed:
            self._failed(attempt, self._late(attempt))
        except ModelError as exc:
            self._failed(attempt, exc)
        else:
            self._answered(attempt, completion)
            self._metrics.waste(name, priced(completion, self._cards[name].price, self._profiles).cost_usd)
        self._metrics.probes[name, "answered" if self._live.may_answer(name) else "failed"] += 1

    def _full_s(self, is_last: bool, has_followers: bool) -> float | None:
        """What the configuration alone gives an attempt."""
        reserved_s = self._config.reserved_s(self._deadline_s) if has_followers else 0.0
        return self._config.attempt_s(self._deadline_s, reserved_s, is_last)

    async def _hedged(self, run: _Run, attempt: _Attempt) -> Completion | None:
        """The attempt's answer, or that of a second model asked when the first is late; None when none came."""
        delay_s = self._hedger.delay_s(attempt.name) if self._hedger and run.is_final else None
        if delay_s is None:
            return await self._or_none(run, attempt)
        first = asyncio.ensure_future(self._or_none(run, attempt))
        alarm = asyncio.ensure_future(self._clock.sleep(delay_s))
        try:
            await asyncio.wait({first, alarm}, return_when=asyncio.FIRST_COMPLETED)
            second = None if first.done() else self._second(run, attempt)
            return await first if second is None else await self._race(run, attempt, first, second)
        finally:
            await cancelled(first, alarm)
            self._abandoned(attempt)  # where it was cancelled before it began

    def _second(self, run: _Run, attempt: _Attempt) -> _Attempt | None:
        """The model that is asked beside a slow one; None when nobody may be."""
        assert self._hedger is not None
        named = self._hedger.config.model
        names = [named] if named else [name for name in run.names if name not in run.tried]
        for name in names:
            may = name in run.journey.permitted and name not in run.journey.unaffordable and name not in run.tried
            if may and self._live.may_answer(name) and self._hedger.take():
                run.tried.add(name)
                return self._attempt(run, name, is_last=False)
        return None

    async def _race(
        self, run: _Run, attempt: _Attempt, first: asyncio.Task[Completion | None], rival: _Attempt
    ) -> Completion | None:
        """The first answer of two; the other call is cancelled and counted as waste."""
        attempt.is_given_up = True
        second = asyncio.ensure_future(self._or_none(run, rival))
        attempts = {first: attempt, second: rival}
        waiting = set(attempts)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                winner = next((task for task in (first, second) if task in done and task.result() is not None), None)
                if winner is not None:
                    loser = second if winner is first else first
                    await cancelled(loser)
                    self._note_hedge(run, attempts[winner], attempts[loser], loser)
                    return winner.result()
            return None
        finally:
            await cancelled(first, second)
            for each in attempts.values():
                self._abandoned(each)

    def _note_hedge(self, run: _Run, winner: _Attempt, loser: _Attempt, task: asyncio.Task[Completion | None]) -> None:
        """Count what the loser cost: what it reported if it answered too, else at most its longest answer."""
        answer = None if task.cancelled() else task.result()
        wasted_usd = answer.cost_usd if answer else self._most_usd(loser)
        run.journey.hedges.append(Hedge(winner.name, loser.name, winner.name != run.names[0], wasted_usd))
        run.journey.degraded |= winner.name != run.names[0]

    def _most_usd(self, attempt: _Attempt) -> float | None:
        if attempt.request is None:
            return 0.0  # it was cancelled before the model was asked
        tokens = self._composer.prompt_tokens(attempt.request, attempt.name)
        card = self._cards[attempt.name]
        return most_usd(attempt.name, card, tokens, attempt.request.sampling.max_tokens, self._profiles)

    async def _or_none(self, run: _Run, attempt: _Attempt) -> Completion | None:
        """The model's answer; None when it failed, which the run then knows."""
        try:
            return await self._complete(run, attempt)
        except ModelError as exc:
            run.failed(exc)
            return None

    async def _complete(self, run: _Run, attempt: _Attempt) -> Completion:
        journey, name = run.journey, attempt.name
        try:
            composed = self._composer.for_model(run.wording.request, name, run.wording.is_step)
            attempt.request = replace(composed.request, deadline_s=attempt.deadline.left_s)
            completion = await attempt.deadline.wait(self._models[name].complete(attempt.request))
        except DeadlinePassed as exc:
            journey.n_unknown += 1
            raise self._failed(attempt, self._late(attempt)) from exc
        except ModelError as exc:
            self._failed(attempt, exc)
            raise
        except BaseException:
            journey.n_unknown += attempt.request is not None
            self._abandoned(attempt)
            raise
        self._answered(attempt, completion)
        return self._paid(journey, completion)

    async def _stream_one(self, run: _Run, attempt: _Attempt) -> AsyncGenerator[Delta, None]:
        """One model's pieces: its own share of the time until the first text, then the whole deadline."""
        composed = self._composer_for(run, attempt)
        attempt.request = replace(composed, deadline_s=run.deadline.left_s)
        is_complete = False
        try:
            pieces = each_in_time(self._models[attempt.name].stream(attempt.request), run.deadline)
            async with aclosing(_first_in_time(pieces, attempt.deadline)) as deltas:
                async for delta in deltas:
                    if delta.completion is None:
                        yield delta
                    else:
                        is_complete = True
                        self._answered(attempt, delta.completion)
                        yield Delta(delta.text, self._paid(run.journey, delta.completion))
        except DeadlinePassed as exc:
            raise self._failed(attempt, self._late(attempt)) from exc
        except ModelError as exc:
            is_complete = True  # it failed; nothing is owed for what never came
            self._failed(attempt, exc)
            raise
        finally:
            self._abandoned(attempt)
            if not is_complete:
                run.journey.n_unknown += 1

    def _composer_for(self, run: _Run, attempt: _Attempt) -> Request:
        try:
            return self._composer.for_model(run.wording.request, attempt.name).request
        except ModelError:
            self._abandoned(attempt)
            raise

    def _answered(self, attempt: _Attempt, completion: Completion) -> None:
        attempt.is_ended = True
        self._live.answered(attempt.call, self._clock.monotonic_s() - attempt.start_s, completion.timing.ttft_s)

    def _failed(self, attempt: _Attempt, error: ModelError) -> ModelError:
        """Tell the live state, unless the failure is the request's own: too long, malformed, or in too much of a hurry."""
        is_cut = attempt.deadline.left_s == 0 and not attempt.is_full
        if attempt.is_ended or is_cut or not is_models_fault(error):
            self._abandoned(attempt)
        else:
            attempt.is_ended = True
            self._live.failed(attempt.call, error.retry_after_s if isinstance(error, RateLimited) else None)
        return error

    def _abandoned(self, attempt: _Attempt) -> None:
        if not attempt.is_ended:
            attempt.is_ended = True
            self._live.abandoned(attempt.call, attempt.is_given_up)

    def _paid(self, journey: Journey, completion: Completion) -> Completion:
        """The completion with its cost, entered in the journey."""
        completion = priced(completion, self._cards[completion.model].price, self._profiles)
        journey.calls.append(completion)
        journey.n_unknown += completion.usage.total_tokens is None
        return completion

    def _late(self, attempt: _Attempt) -> Unavailable:
        if attempt.deadline.left_s == 0 and self._deadline_s is not None:
            limit = f"{self._deadline_s:g} s or the request's deadline"
        else:
            limit = "the request's deadline"
        waited_s = self._clock.monotonic_s() - attempt.start_s
        because = f"no answer within {limit} (waited {waited_s:.3g} s); ask for a shorter answer or allow more time"
        return Unavailable(because, model=attempt.name, status=504)


async def _first_in_time(pieces: AsyncGenerator[Delta, None], deadline: Deadline) -> AsyncGenerator[Delta, None]:
    """The pieces; the first text must come before the deadline, the rest takes its own time.

    Raises:
        DeadlinePassed: it did not.
    """
    async with aclosing(pieces):
        while True:
            try:
                delta = await deadline.wait(_one(pieces))
            except StopAsyncIteration:
                return
            yield delta
            if delta.text:
                break
        async for delta in pieces:
            yield delta


async def _one(pieces: AsyncIterator[Delta]) -> Delta:
    return await anext(pieces)


def is_models_fault(error: ModelError) -> bool:
    """Whether other requests would fail in the same way: then the circuit counts it.

    Example:
        >>> is_models_fault(Unavailable("down", model="a")), is_models_fault(BadResponse("bad", model="a", status=400))
        (True, False)
    """
    if isinstance(error, BadResponse):
        return error.status in REFUSALS
    return isinstance(error, RateLimited | Unavailable)


def exhausted(errors: list[ModelError], name: str) -> ModelError:
    """The error after the last attempt: the only one as it is, several in one sentence."""
    if len(errors) == 1:
        return errors[0]
    if not errors:
        return Unavailable("it may not process this request and no fallback may", model=name)
    every = "; ".join(str(error) for error in errors)
    return Unavailable(f"it and {len(errors) - 1} fallbacks failed: {every}", model=name, status=errors[-1].status)
