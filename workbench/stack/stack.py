"""The path of one request: admit, inspect, recall, choose, compose, answer, check, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from workbench.audit import AuditLog
from workbench.core import (
    BadResponse,
    Clock,
    Completion,
    ConfigError,
    ContextOverflow,
    Request,
    StoreError,
    SystemClock,
    Trace,
)
from workbench.core.event_loop import run_anywhere
from workbench.core.naming import did_you_mean
from workbench.core.price import ComputePrice
from workbench.economics import HardwareProfile, load_profiles
from workbench.guardrails import raise_if_blocked
from workbench.models import Model, load_model
from workbench.orchestration import Deadline
from workbench.routing.live import LiveState
from workbench.routing.policy import AnyPolicy
from workbench.routing.stickiness import Sessions
from workbench.stack.config import StackConfig
from workbench.stack.journey import Journey
from workbench.stack.metrics import StackMetrics
from workbench.stack.promises import named_models
from workbench.stack.response import Response, StreamPiece
from workbench.stack.steps.admit import Admission
from workbench.stack.steps.answer import Answering
from workbench.stack.steps.attempts import Attempts
from workbench.stack.steps.check import Checking
from workbench.stack.steps.choose import Choice, load_policy, make_pacer, policy_sha256
from workbench.stack.steps.compose import Composer
from workbench.stack.steps.inspect import Inspection
from workbench.stack.steps.recall import Made, Recall, recalled
from workbench.stack.steps.settle import Settlement


class Stack:
    """One configuration at work. Build it with `from_config`, close it when done.

    The same object serves a notebook, the gateway and a verification; requests may run concurrently in one event loop.
    """

    def __init__(
        self,
        config: StackConfig,
        models: Mapping[str, Model],
        policy: AnyPolicy,
        *,
        base_dir: Path,
        clock: Clock,
        profiles: Mapping[str, HardwareProfile],
    ) -> None:
        self.config = config
        self.models = dict(models)
        self.policy = policy
        self.metrics = StackMetrics()
        self._clock = clock
        self._owned: tuple[Model, ...] = ()
        self._ending: set[asyncio.Task[str]] = set()
        composer = Composer(config, self.models)
        self._composer = composer
        self._admit = Admission(config, composer, clock)
        self._inspect = Inspection(config, clock)
        self._recall = Recall(config, policy_sha256(config.choose, base_dir), clock)
        self.live = LiveState(self.models, clock, config.answer.chain.breaker)
        self.pacer = make_pacer(config.choose, clock)
        sessions = Sessions(config.choose.sessions, clock) if config.choose.sessions else None
        self._choose = Choice(config, policy, composer, profiles, self.live, self._admit.budget, self.pacer, sessions)
        self._attempts = Attempts(config, self.models, composer, profiles, self.live, self.metrics, clock)
        self._answer = Answering(config.answer, self._attempts)
        self._check = Checking(config, clock)
        audit = config.settle.audit
        self._audit = AuditLog(audit, base_dir, clock) if audit else None
        regions = {name: card.region for name, card in config.models.items()}
        self._settle = Settlement(
            self._admit.budget, self._audit, config.sha256(), regions, self.metrics, self.pacer, sessions
        )

    @classmethod
    def from_config(
        cls,
        config: StackConfig,
        *,
        base_dir: Path,
        models: Mapping[str, Model] | None = None,
        clock: Clock | None = None,
        profiles: Mapping[str, HardwareProfile] | None = None,
    ) -> Stack:
        """A stack, ready to answer.

        Args:
            config: what to build.
            base_dir: what relative paths in it (policy, audit log) are relative to.
            models: by name; None loads those that the configuration needs. Models that are handed in stay open after `close`.
            clock: what tells the time; the machine's own clocks when None.
            profiles: hardware by name; None reads the shipped ones where a price needs them.

        Raises:
            ConfigError: a missing secret, policy, model or checkpoint, or a guard that cannot work.
            StoreError: the audit log is in use or damaged.
        """
        clock = clock or SystemClock()
        policy = load_policy(config, base_dir)
        if profiles is None:
            needs = any(isinstance(card.price, ComputePrice) for card in config.models.values())
            profiles = load_profiles() if needs else {}
        needed = _needed_models(config, policy)
        opened = _open(config, needed, clock) if models is None else _given(models, needed)
        stack = cls(config, opened, policy, base_dir=base_dir, clock=clock, profiles=profiles)
        stack._owned = tuple(opened.values()) if models is None else ()
        return stack

    async def run(self, request: Request, api_key: str | None = None) -> Response:
        """The answer to one request.

        Args:
            request: the question.
            api_key: what the caller identified itself with; None when nothing.

        Raises:
            Blocked: identity, residency or a guard said no.
            BudgetExceeded: a rate, session or cost limit; a rate limit says when to come again.
            ModelError: the model and its fallbacks failed, or the deadline passed.
            ConfigError: the request asks for what the configuration cannot do.
            StoreError: the audit record could not be written and no answer may leave without.
        """
        journey = self._begin(request)
        try:
            made = await self._before_models(journey, api_key)
            if made is None:
                made, is_joined = await self._recall.join(journey, lambda: self._make(journey))
                self._note_cache(journey, "joined" if is_joined else "miss", made if is_joined else None)
            completion = self._mine(journey, made)
        except BaseException as exc:
            await self._end_early(journey, exc)
            raise
        return await self._end(journey, completion)

    async def stream(self, request: Request, api_key: str | None = None) -> AsyncGenerator[StreamPiece, None]:
        """The same answer in pieces, each released by the output guards; the last piece carries the Response.

        A pattern of several models, and a guard that needs the whole answer, release the text at the end.

        Raises:
            As `run`; Blocked may also come after some text, which then ends before what was blocked.
        """
        journey = self._begin(request)
        try:
            made = await self._before_models(journey, api_key)
            if made is not None or self.config.answer.pattern.kind != "single":
                made = made or await self._make(journey)
                completion = self._mine(journey, made)
                journey.ttft_s = self._since(journey)
                yield StreamPiece(completion.text)
            else:
                parts: list[str] = []
                async with aclosing(self._make_streaming(journey, parts)) as texts:
                    async for text in texts:
                        if journey.ttft_s is None:
                            journey.ttft_s = self._since(journey)
                        yield StreamPiece(text)
                completion = self._finished_stream(journey, "".join(parts))
        except BaseException as exc:
            await self._end_early(journey, exc)
            raise
        yield StreamPiece("", await self._end(journey, completion))

    async def close(self) -> None:
        """Finish what is being settled, close the audit log and the models that this stack opened. Safe to call twice."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
        await self._attempts.close()
        if self._audit is not None:
            await self._audit.close()
        await _close_all(self._owned)

    async def __aenter__(self) -> Stack:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _begin(self, request: Request) -> Journey:
        deadline = Deadline.after(request.deadline_s, self._clock)
        return Journey(request, self._clock.monotonic_s(), deadline, Trace(request.request_id))

    async def _before_models(self, journey: Journey, api_key: str | None) -> Made | None:
        """Admit, inspect, recall: the stored answer if there is one."""
        trace, clock = journey.trace, self._clock
        with trace.step("admit", clock) as step:
            step.because = self._admit.run(journey, api_key)
        with trace.step("inspect", clock) as step:
            step.because = await self._inspect.run(journey)
        with trace.step("recall", clock) as step:
            made, step.because = self._recall.run(journey)
            step.data = {"key": journey.cache_key}
        if made is not None:
            self._note_cache(journey, "hit", made)
        return made

    async def _make(self, journey: Journey) -> Made:
        """Choose, compose, answer, check. Others may wait for it: it settles its own tokens."""
        journey.is_flying = True
        try:
            self._prepare(journey)
            with journey.trace.step("answer", self._clock) as step:
                answered = await self._answer.run(journey)
                step.because = _with_failures(answered.because, journey)
                step.data = {"calls": [call.model for call in journey.calls]}
            with journey.trace.step("check", self._clock) as step:
                completion, step.because = await self._check.run(journey, answered.completion)
            return self._keep(journey, completion)
        finally:
            journey.is_flying = False
            self._settle.settle_spending(journey)

    async def _make_streaming(self, journey: Journey, parts: list[str]) -> AsyncGenerator[str, None]:
        """Choose, compose, answer and check in one: released text, also noted in `parts`."""
        self._prepare(journey)
        release = self._check.release(journey.request)
        with journey.trace.step("answer", self._clock) as step:
            try:
                async with aclosing(self._answer.stream(journey)) as deltas:
                    async for delta in deltas:
                        text = release.feed(delta.text)
                        if text:
                            parts.append(text)
                            yield text
                        if release.is_blocked:
                            break
            finally:
                step.because = _with_failures(f"{journey.model}, streamed", journey)
        with journey.trace.step("check", self._clock) as step:
            rest, verdicts = await release.finish()
            if release.verdict is not None and release.verdict not in verdicts:
                verdicts = [*verdicts, release.verdict]
            journey.verdicts += verdicts
            step.because = "; ".join(str(v) for v in verdicts if v.action != "allow") or "nothing found"
            if rest:
                parts.append(rest)
                yield rest
            raise_if_blocked([release.verdict] if release.verdict else verdicts)

    def _prepare(self, journey: Journey) -> None:
        """Choose and compose."""
        with journey.trace.step("choose", self._clock) as step:
            journey.decision = self._choose.run(journey)
            step.because = journey.decision.because
            step.data = journey.decision.to_json()
        with journey.trace.step("compose", self._clock) as step:
            step.because, step.data = self._composing(journey)

    def _composing(self, journey: Journey) -> tuple[str, dict[str, object]]:
        """What the chosen model will receive, for the trace; each call composes for the model it asks."""
        assert journey.model is not None
        try:
            composed = self._composer.for_model(journey.request, journey.model)
        except ContextOverflow as exc:
            return f"{exc}; left to the fallbacks", {}
        n_left_out = composed.n_dropped_turns
        tokens = "tokens unknown" if composed.prompt_tokens is None else f"{composed.prompt_tokens} tokens"
        left_out = f", the {n_left_out} oldest turns left out" if n_left_out else ""
        because = f"{len(composed.request.messages)} messages, {tokens}{left_out}"
        return because, {"prompt_tokens": composed.prompt_tokens, "dropped_turns": n_left_out}

    def _keep(self, journey: Journey, completion: Completion) -> Made:
        assert journey.decision is not None
        checked = tuple(verdict for verdict in journey.verdicts if verdict.stage == "check")
        made = Made(completion, journey.decision, checked, journey.degraded)
        journey.is_stored = self._recall.admit(journey, made)
        return made

    def _finished_stream(self, journey: Journey, text: str) -> Completion:
        """The streamed answer as released, priced, and kept if it may be."""
        if not journey.calls:
            raise BadResponse("the stream ended without its last piece", model=journey.model or "")
        completion = replace(journey.calls[-1], text=text)
        self._keep(journey, completion)
        return completion

    def _note_cache(self, journey: Journey, what: str, made: Made | None) -> None:
        if journey.cache_key is None:
            return
        self.metrics.cache[what] += 1
        if made is None:
            return
        journey.is_cached = True
        journey.decision = made.decision
        journey.degraded |= made.degraded
        journey.verdicts += made.verdicts
        if what == "joined":
            step = journey.trace.find("recall")
            assert step is not None
            step.because = f"the same question was being answered by {made.completion.model}; waited for it, costs 0"

    def _mine(self, journey: Journey, made: Made) -> Completion:
        return recalled(made, self._since(journey)) if journey.is_cached else made.completion

    async def _end(self, journey: Journey, completion: Completion) -> Response:
        """Settle an answered request; what was begun is finished even when the caller goes away."""
        with journey.trace.step("settle", self._clock) as step:
            step.because = await self._settled(journey, completion, None)
        assert journey.decision is not None
        return Response(
            completion=completion,
            trace=journey.trace,
            verdicts=tuple(journey.verdicts),
            decision=journey.decision,
            cached=journey.is_cached,
            degraded=journey.degraded,
            latency_s=self._since(journey),
        )

    async def _end_early(self, journey: Journey, error: BaseException) -> None:
        """Settle a request without an answer; its own error is the one that counts."""
        with journey.trace.step("settle", self._clock) as step:
            try:
                step.because = await self._settled(journey, None, error)
            except StoreError as exc:
                error.add_note(f"and no audit record could be written: {exc}")

    async def _settled(self, journey: Journey, completion: Completion | None, error: BaseException | None) -> str:
        work = self._settle.run(journey, self._since(journey), completion, error)
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return await asyncio.shield(task)

    def _since(self, journey: Journey) -> float:
        return self._clock.monotonic_s() - journey.arrived_s


def _with_failures(because: str, journey: Journey) -> str:
    stepped_in = "".join(f"; {to} stepped in for {name}" for name, to in journey.fallbacks)
    hedged = "".join(f"; hedged: {hedge.winner} answered before {hedge.loser}" for hedge in journey.hedges)
    failed = f" ({'; '.join(journey.failures)})" if journey.failures else ""
    return f"{because}{stepped_in}{hedged}{failed}"


def _needed_models(config: StackConfig, policy: AnyPolicy) -> list[str]:
    """Names of all models that may be asked, in a fixed order."""
    return list(dict.fromkeys([*policy.models, *(name for _, name in named_models(config))]))


def _open(config: StackConfig, needed: list[str], clock: Clock) -> dict[str, Model]:
    """All models that are needed, or none: those that were opened are closed when a later one cannot be."""
    opened: dict[str, Model] = {}
    try:
        for name in needed:
            opened[name] = load_model(name, config.models[name], clock)
    except BaseException:
        run_anywhere(_close_all(opened.values()))
        raise
    return opened


async def _close_all(models: Iterable[Model]) -> None:
    for model in models:
        await model.close()


def _given(models: Mapping[str, Model], needed: list[str]) -> dict[str, Model]:
    for name in needed:
        if name not in models:
            raise ConfigError(f"no model {name!r} was handed in: {did_you_mean(name, models)}")
    return dict(models)
