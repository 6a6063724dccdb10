"""Loading a model and keeping what came back, whatever happens to the process."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core import Clock, ConfigError, SystemClock
from workbench.core.event_loop import run_anywhere
from workbench.core.journal import Journal
from workbench.economics import HardwareProfile, load_profiles, priced
from workbench.evaluation.items import Item
from workbench.evaluation.load.arrivals import intended_starts_s
from workbench.evaluation.load.asking import Asking
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.document import Stage, load_document, search_document, slo_verdict
from workbench.evaluation.load.driving import Drive
from workbench.evaluation.load.figures import Window, figures
from workbench.evaluation.load.observation import Observation, row_of
from workbench.evaluation.load.provenance import provenance
from workbench.evaluation.load.requests import frame_of
from workbench.evaluation.load.resources import ResourceWatch
from workbench.evaluation.load.result import DOCUMENT, JOURNAL, SCHEMA_VERSION, BenchResult
from workbench.evaluation.load.search import RateBracket, RateSearch, Verdict
from workbench.evaluation.load.series import least_requests
from workbench.models import Model

INTERRUPTED = "interrupted"
KEEP_EVERY_S = 1.0
LATE_S = 0.02
LATE_SHARE = 0.05
TIMES = ("intended_s", "sent_s", "first_token_s", "end_s", "cut_s")


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far a bench is; told about once a second.

    Args:
        stage: which stretch of load.
        rate_rps: of it; None in a closed loop.
        elapsed_s: since it began.
        planned_s: warm-up and window.
        sent: requests begun.
        in_flight: of them under way.
        failed: of them failed.
    """

    stage: int
    rate_rps: float | None
    elapsed_s: float
    planned_s: float
    sent: int
    in_flight: int
    failed: int


def bench(model: Model, prompts: Iterable[Item | str], config: BenchConfig, **settings: Any) -> BenchResult:
    """`bench_async` for callers without an event loop, and for notebooks, which have one running already.

    Example:
        >>> from workbench.testing import FakeClock, ScriptedModel
        >>> clock = FakeClock()
        >>> model = ScriptedModel("tiny", lambda request: "two words", clock=clock, latency_s=0.5)
        >>> found = bench(model, ["Hello?"], BenchConfig(rate_rps=2, duration_s=20, arrivals="constant"), clock=clock)
        >>> round(found.document["latency_s"]["p50"], 3), round(found.document["tokens_per_s"], 1)
        (0.5, 4.0)
    """
    return run_anywhere(bench_async(model, prompts, config, **settings))


async def bench_async(
    model: Model,
    prompts: Iterable[Item | str],
    config: BenchConfig,
    *,
    search: RateSearch | None = None,
    out: Path | None = None,
    profiles: Mapping[str, HardwareProfile] | None = None,
    resources: ResourceWatch | None = None,
    on_progress: Callable[[LoadProgress], None] | None = None,
    clock: Clock | None = None,
    fresh: bool = False,
) -> BenchResult:
    """Load a model and measure what its users would feel.

    Retries are the model's own: a card with `retries` hides failures behind latency, so measure with `retries: 0` unless that is what
    users get.

    Args:
        model: who is asked, through `Model.stream`. It stays open.
        prompts: texts, items or a suite; asked in turn, in an order drawn by the seed.
        config: the load.
        search: also find the highest rate that holds `config.slo`; needs one. `config.duration_s` is the length of a stage, and
            `config.rate_rps` where the search starts.
        out: folder of the result; while the run lasts a journal there keeps every ended request. None keeps it in memory only.
        profiles: hardware by name for local prices; the shipped ones by default.
        resources: how memory and energy are watched; by default what can be read of the model's processes.
        on_progress: told about once a second.
        clock: what tells the time.
        fresh: whether an earlier bench in `out` is thrown away.

    Raises:
        ConfigError: no prompts, settings that cannot be, a search without SLO or rate, or a folder that holds a bench.
        StoreError: the disk is full; what was measured is in the journal.
    """
    search = None if search is None else checked_search(search, config)
    claim(out, fresh)
    clock = clock or SystemClock()
    asking = Asking(prompts, config, model.card)
    shipped = load_profiles() if profiles is None else profiles
    watch = resources or ResourceWatch.of(model)
    manifest = await asyncio.to_thread(provenance, model, asking, config, search, clock)
    with Ledger(model, config, shipped, out, manifest) as ledger, watch:
        run = _Run(model, config, asking, ledger, watch, clock, on_progress)
        try:
            await (run.search(search) if search else run.once())
        except asyncio.CancelledError:
            run.stopped_because = INTERRUPTED
            _finished(run, watch, manifest, clock, out)
            raise
        except Exception as exc:
            run.stopped_because = f"the generator failed: {type(exc).__name__}: {exc}"
            with contextlib.suppress(Exception):  # the first failure is the one to tell
                _finished(run, watch, manifest, clock, out)
            raise
    return _finished(run, watch, manifest, clock, out)


def checked_search(search: RateSearch, config: BenchConfig) -> RateSearch:
    """The search with its lowest rate raised to where so many requests are seen that all of them good would show the SLO held.

    Raises:
        ConfigError: no SLO, no rate to start from, or stages too short for any answer.
    """
    if config.slo is None or config.rate_rps is None:
        raise ConfigError("a search for the highest rate needs an SLO and a rate to start from; give both")
    needed = least_requests(config.target_share, config.confidence)
    least_rps = needed / (config.duration_s * search.repeats)
    if config.rate_rps < least_rps:
        raise ConfigError(
            f"{search.repeats} stages of {config.duration_s:g} s at {config.rate_rps:g} requests/s are too few to show anything: "
            f"{math.ceil(needed)} good requests of as many are needed to show that {config.target_share:.0%} are; "
            f"lengthen the duration to {math.ceil(needed / search.repeats / config.rate_rps)} s or start from a higher rate"
        )
    return replace(search, least_rps=max(search.least_rps, least_rps), start_rps=config.rate_rps)


class Ledger:
    """The rows of a run so far, in memory and, where there is a folder, in its journal.

    Args:
        model: names the card in errors and prices.
        config: tells the phase of a start.
        profiles: hardware by name.
        out: folder of the journal; None keeps none.
        header: manifest so far; the journal's first record.
    """

    def __init__(
        self,
        model: Model,
        config: BenchConfig,
        profiles: Mapping[str, HardwareProfile],
        out: Path | None,
        header: Mapping[str, Any],
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self._card, self._config, self._profiles = model.card, config, profiles
        self._journal = None if out is None else Journal(out / JOURNAL)
        self._n_taken = 0
        self._taking = threading.Lock()  # the last call may come while an earlier one is still writing in its thread
        self._append([{"kind": "header", **header}])

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()

    def begin(self, stage: int, start_s: float, rate_rps: float | None) -> None:
        """Note a stage before its first request."""
        self._n_taken = 0
        self._append([{"kind": "stage", "stage": stage, "start_s": start_s, "rate_rps": rate_rps}])

    def take(self, ended: list[Observation], stage: int, start_s: float) -> None:
        """Take in what ended since the last call; its rows are on disk when this returns."""
        with self._taking:
            new = ended[self._n_taken :]
            self._n_taken += len(new)
            rows = [self._row(seen, stage, start_s) for seen in new]
            self.rows += rows
            self._append([{"kind": "row", **row} for row in rows])

    def _row(self, seen: Observation, stage: int, start_s: float) -> dict[str, Any]:
        if seen.completion is not None:
            seen.completion = priced(seen.completion, self._card.price, self._profiles)
        row = row_of(seen, self._config.phase(seen.intended_s), stage, self._card)
        if not start_s:
            return row
        chunks_s = None if row["chunks_s"] is None else [at + start_s for at in row["chunks_s"]]
        return {**row, **{name: _later(row[name], start_s) for name in TIMES}, "chunks_s": chunks_s}

    def _append(self, records: list[dict[str, Any]]) -> None:
        if self._journal is not None and records:
            self._journal.append(records)


class _Run:
    """The stages of one call."""

    def __init__(
        self,
        model: Model,
        config: BenchConfig,
        asking: Asking,
        ledger: Ledger,
        watch: ResourceWatch,
        clock: Clock,
        on_progress: Callable[[LoadProgress], None] | None,
    ) -> None:
        self.model, self.config, self.asking, self.ledger, self.clock = model, config, asking, ledger, clock
        self.watch = watch
        self.stages: list[Stage] = []
        self.chosen: list[int] | None = None
        self.answer: dict[str, Any] | None = None
        self.stopped_because: str | None = None
        self.wake_lags_s: list[float] = []
        self._on_progress = on_progress
        self._zero_s = clock.monotonic_s()
        self._n_asked = 0

    async def once(self) -> None:
        await self._stage(self.config)

    async def search(self, search: RateSearch) -> None:
        """Try rates until the limit is enclosed; a rate whose interval holds the target is measured again and taken together."""
        bracket = RateBracket(search)
        tried: dict[float, list[int]] = {}
        try:
            while (rate_rps := bracket.next_rps()) is not None and len(self.stages) < search.most_stages:
                verdict = await self._tried(rate_rps, search, tried.setdefault(rate_rps, []))
                if self.stopped_because:
                    break
                bracket.add(rate_rps, verdict)
        finally:
            rates = [rate for rate, numbers in tried.items() if numbers]
            self.answer = bracket.answer()
            self.chosen = tried[self.answer["rate_rps"] or min(rates)] if rates else []
        if bracket.next_rps() is not None and not self.stopped_because:
            self.stopped_because = f"{search.most_stages} stages did not enclose the limit to {search.tolerance:.0%}"

    async def _tried(self, rate_rps: float, search: RateSearch, numbers: list[int]) -> Verdict:
        config = replace(self.config, rate_rps=rate_rps)
        for _ in range(search.repeats):
            stage = await self._stage(config)
            numbers.append(stage.number)
            if stage.stopped_because and not stage.stopped_because.startswith("over-saturated"):
                self.stopped_because = stage.stopped_because
                return "undecided"
            verdict = await asyncio.to_thread(self._verdict, numbers, config, stage.stopped_because)
            if verdict in ("holds", "breaks") or len(self.stages) >= search.most_stages:
                break
        return verdict or "undecided"

    def _verdict(self, numbers: list[int], config: BenchConfig, stopped_because: str | None) -> Verdict | None:
        windows = {number: self.stages[number].window for number in numbers}
        rows = frame_of(row for row in self.ledger.rows if row["stage"] in windows)
        found = figures(rows, windows, config.slo, config.confidence)
        return slo_verdict(found, config.target_share, stopped_because)

    async def _stage(self, config: BenchConfig) -> Stage:
        number, start_s = len(self.stages), self._elapsed_s() if self.stages else 0.0
        self.ledger.begin(number, start_s, config.rate_rps)
        drive = Drive(
            self.model,
            config,
            self._starts_s(config, number),
            self.asking,
            self.clock,
            self._told(number),
            self._n_asked,
        )
        self.watch.read(self._elapsed_s)
        keeping = asyncio.create_task(self._keep(drive, number, start_s))
        try:
            await drive.run()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            end_s = min(config.window_end_s, drive.now_s)
            window = Window(start_s + config.warm_up_s, start_s + max(config.warm_up_s, end_s))
            self.stages.append(Stage(number, config, window, drive.stopped_because))
            self._n_asked += len(drive.seen)
            self.wake_lags_s += drive.wake_lags_s
            self.watch.read(self._elapsed_s)
            self.ledger.take(drive.ended, number, start_s)
        return self.stages[-1]

    def _starts_s(self, config: BenchConfig, stage: int) -> list[float]:
        if config.rate_rps is None:
            return []
        rng = np.random.default_rng([config.seed, 0, stage])
        starts = intended_starts_s(
            config.arrivals,
            config.rate_rps,
            config.horizon_s,
            rng,
            burstiness=config.burstiness,
            rescaled=config.rescale_gaps,
        )
        return [float(start) for start in starts]

    def _elapsed_s(self) -> float:
        return self.clock.monotonic_s() - self._zero_s

    async def _keep(self, drive: Drive, stage: int, start_s: float) -> None:
        """Write what has ended about once a second, off the event loop, so that a write does not make a send late."""
        while True:
            await self.clock.sleep(KEEP_EVERY_S)
            try:
                await asyncio.to_thread(self.watch.read, self._elapsed_s)
                await asyncio.to_thread(self.ledger.take, drive.ended, stage, start_s)
            except Exception as exc:
                drive.stop(f"what was measured could not be kept: {exc}")
                raise

    def _told(self, stage: int) -> Callable[[Drive], None] | None:
        on_progress = self._on_progress
        if on_progress is None:
            return None

        def tell(drive: Drive) -> None:
            failed = sum(seen.error is not None for seen in drive.ended)
            planned_s = drive.config.window_end_s
            elapsed_s = drive.clock.monotonic_s() - drive.zero_s
            on_progress(
                LoadProgress(
                    stage, drive.config.rate_rps, elapsed_s, planned_s, len(drive.seen), drive.n_in_flight, failed
                )
            )

        return tell


def _finished(run: _Run, watch: ResourceWatch, manifest: dict[str, Any], clock: Clock, out: Path | None) -> BenchResult:
    """The result of what was measured, written where there is a folder; then its journal is no longer needed."""
    rows = frame_of(sorted(run.ledger.rows, key=lambda row: (row["stage"], row["request"])))
    used, notes, name = watch.result(), _notes(run), run.model.name
    rows = watch.shared(rows)
    if run.answer is not None and run.chosen:
        document = search_document(
            name, rows, run.stages, run.chosen, run.answer, used, notes=notes, stopped_because=run.stopped_because
        )
    else:
        document = load_document(name, rows, run.stages, used, notes=notes)
        if run.stopped_because:
            document |= {"complete": False, "stopped_because": run.stopped_because}
    ended = {"ended_at": clock.now().isoformat(), "stages": [stage.to_dict() for stage in run.stages]}
    result = BenchResult({"schema_version": SCHEMA_VERSION, **document}, rows, {**manifest, **ended})
    if out is not None:
        result.write(out)
        (out / JOURNAL).unlink(missing_ok=True)
    return result


def _notes(run: _Run) -> list[str]:
    """What a reader of the figures must know."""
    notes = []
    n_prompts, asked = len(run.asking.items), len(run.ledger.rows)
    if asked > n_prompts:
        notes.append(
            f"{n_prompts} prompts made {asked} requests: a server that keeps prefixes answers repeated prompts faster than new ones"
        )
    if run.model.card.retries and run.model.card.base_url:
        notes.append(
            f"failures were retried up to {run.model.card.retries} times inside the model; latencies contain the attempts"
        )
    return notes + _starved(run.wake_lags_s)


def _starved(wake_lags_s: list[float]) -> list[str]:
    """A note where this process was often kept from running, as beside a server that is busy on all processors."""
    late = [lag_s for lag_s in wake_lags_s if lag_s > LATE_S]
    if len(late) <= LATE_SHARE * len(wake_lags_s):
        return []
    return [
        f"the generator woke more than {LATE_S * 1000:g} ms late in {len(late)} of {len(wake_lags_s)} beats (at worst {max(late):.2g} s): "
        "something else held the processors, and the times contain that; load from another machine, or leave this process a processor"
    ]


def claim(out: Path | None, fresh: bool) -> None:
    """Refuse a folder that holds a bench, or what a killed one left, unless it may be thrown away.

    Raises:
        ConfigError: it does, or is a file.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder")
    held = [name for name in (DOCUMENT, JOURNAL) if (out / name).exists()]
    if held and not fresh:
        raise ConfigError(
            f"{out} already holds a bench ({', '.join(held)}); choose another folder, or throw it away with --fresh"
        )
    for name in held:
        (out / name).unlink()


def _later(at_s: float | None, by_s: float) -> float | None:
    return None if at_s is None else at_s + by_s
