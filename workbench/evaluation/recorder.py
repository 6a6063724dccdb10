"""The recorder: asks every model every question, once, and keeps what came back whatever happens to the process.

Each answer is in the journal (fsynced) before the next group is counted. Killed at any moment, the same call goes on: rows in
the journal are not asked again, rows that were in flight are. A model that fails marks its rows with `error` and the others go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core import Clock, Completion, ConfigError, Request, Sampling, SystemClock
from workbench.core.event_loop import run_anywhere
from workbench.economics import ComputePrice, EnergyMeter, HardwareProfile, load_profiles, priced
from workbench.evaluation.graders.judge import Grade
from workbench.evaluation.grading import Grading
from workbench.evaluation.metering import Metering, metering_with
from workbench.evaluation.outcomes import DEFAULT_VARIANT, PROMPT_SCHEMA, SCHEMA, Outcomes
from workbench.evaluation.plan import (
    Cell,
    Load,
    RecordConfig,
    check_samples,
    load_of,
    n_cells,
    planned_batches,
    request_of,
)
from workbench.evaluation.progress import Progress, Silent
from workbench.evaluation.recording import Recording
from workbench.evaluation.suite import Suite
from workbench.models import Model, ModelCard

MAX_ERROR_CHARS = 500
BACKLOG = 8
"""Answers that may wait for the journal, for each request in flight."""
FROM_PROMPTS = ("task", "difficulty", "group")


def record(suite: Suite, models: Mapping[str, Model], out: Path, **settings: Any) -> Outcomes:
    """`record_async` for callers without an event loop, and for notebooks, which have one running already.

    Example:
        >>> import tempfile
        >>> from workbench.testing import ScriptedModel
        >>> rows = [("row 1", {"prompt": "Capital of Italy?", "answer": "Rome"})]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = record(Suite.from_rows(rows, "capitals"), {"tiny": ScriptedModel("tiny", ["Rome."])}, Path(folder))
        >>> found.frame["score"].to_list()
        [1.0]
    """
    return run_anywhere(record_async(suite, models, out, **settings))


async def record_async(
    suite: Suite,
    models: Mapping[str, Model],
    out: Path,
    *,
    samples: int = 1,
    concurrency: int | None = None,
    sampling: Sampling | None = None,
    limit: int | None = None,
    seed: int = 0,
    profiles: Mapping[str, HardwareProfile] | None = None,
    judges: Mapping[str, Model] | None = None,
    parallel_models: bool = False,
    retry_failures: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
    meter: EnergyMeter | None = None,
) -> Outcomes:
    """Measure every model's answers to a suite; see `RecordConfig` for the settings.

    A folder takes further models, samples and prompts of the same suite later on; Outcomes are everything recorded in it.

    Args:
        suite: what is asked and how it is graded.
        models: name → model. They stay open.
        out: folder of the journal and the Outcomes.
        profiles: hardware by name for local prices; the shipped ones by default.
        judges: models for graders of the kind `judge`; `models` by default.
        progress: told how far it is; nothing by default.
        clock: dates of the manifest.
        meter: counts energy; the machine's own counters by default, where they can be read.

    Raises:
        ConfigError: no models, settings that cannot be, or a folder that holds another recording.
        StoreError: the disk is full or the journal damaged; what was recorded is kept.
    """
    config = RecordConfig(
        sampling or Sampling(), samples, seed, concurrency, limit, parallel_models, retry_failures, fresh
    )
    if not models:
        raise ConfigError("no models to record; name at least one")
    check_samples(config, [model.card for model in models.values()])
    judging = models if judges is None else judges
    shipped = _profiles_for([*models.values(), *judging.values()]) if profiles is None else profiles
    grading = Grading(suite, judging, shipped)
    with Recording(out, suite, config, clock or SystemClock()) as recording, metering_with(meter) as metering:
        await _Recorder(suite, config, recording, grading, shipped, progress or Silent(), metering).run(models)
        outcomes = compact(suite, recording)
    outcomes.write(out)
    return outcomes


class _Recorder:
    def __init__(
        self,
        suite: Suite,
        config: RecordConfig,
        recording: Recording,
        grading: Grading,
        profiles: Mapping[str, HardwareProfile],
        progress: Progress,
        metering: Metering,
    ) -> None:
        self.suite, self.config, self.recording = suite, config, recording
        self.grading, self.profiles, self.progress, self.metering = grading, profiles, progress, metering
        self.has_asked = False

    async def run(self, models: Mapping[str, Model]) -> None:
        for name, model in models.items():
            self.recording.open_model(name, model.card, load_of(model.card, self.config.concurrency), self.profiles)
        if self.config.parallel_models:
            await asyncio.gather(*(self._record_model(name, model) for name, model in models.items()))
        else:
            for name, model in models.items():
                await self._record_model(name, model)
        if self.has_asked or self.recording.recorded.stopped_at is None:
            self.recording.stop()

    async def _record_model(self, name: str, model: Model) -> None:
        load = load_of(model.card, self.config.concurrency)
        batches = list(planned_batches(self.suite, self.config, load))
        done = sum(self.recording.is_done(name, cell.key) for batch in batches for cell in batch)
        self.progress.start(name, n_cells(self.suite, self.config), done)
        if load.mode == "batch":
            for batch in batches:
                await self._ask_batch(name, model, batch)
        else:
            await self._keep_in_flight(name, model, [cell for batch in batches for cell in batch], load)
        if done < n_cells(self.suite, self.config):
            self.recording.note_measuring(name, self.metering.facts(name, model.card))
        self.progress.finish(name)

    async def _ask_batch(self, name: str, model: Model, batch: list[Cell]) -> None:
        """Ask a whole batch unless it is all there; a batch that was cut is asked as it was, and only what is missing is kept."""
        if all(self.recording.is_done(name, cell.key) for cell in batch):
            return
        whole = ("batch", batch[0].key)
        with self.metering.call(name, whole, model.card):
            answers = await _answers(model, [request_of(cell, self.config, model.card) for cell in batch])
        self.metering.share_batch(name, whole, [cell.key for cell in batch], answers)
        missing = [pair for pair in zip(batch, answers, strict=True) if not self.recording.is_done(name, pair[0].key)]
        await self._keep(name, model.card, missing, len(batch))

    async def _keep_in_flight(self, name: str, model: Model, cells: list[Cell], load: Load) -> None:
        """Closed loop: a new request starts the moment one ends; grading and syncing never hold it up.

        What has ended by the time the last group is on disk is kept as the next group, with one sync. When the disk or a judge is slower
        than the model, requests wait once `BACKLOG` answers for each of them are not on disk yet.
        """
        missing = [cell for cell in cells if not self.recording.is_done(name, cell.key)]
        waiting = iter(missing)
        answers: asyncio.Queue[tuple[Cell, Completion | Exception]] = asyncio.Queue(BACKLOG * load.size)

        async def ask() -> None:
            for cell in waiting:
                await answers.put((cell, await self._answer(name, model, cell)))

        workers = [asyncio.create_task(ask()) for _ in range(min(load.size, len(missing)))]
        try:
            n_left = len(missing)
            while n_left:
                group = [await answers.get()]
                while not answers.empty():
                    group.append(answers.get_nowait())
                await self._keep(name, model.card, group, load.size)
                n_left -= len(group)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _answer(self, name: str, model: Model, cell: Cell) -> Completion | Exception:
        try:
            with self.metering.call(name, cell.key, model.card):
                return await model.complete(request_of(cell, self.config, model.card))
        except Exception as exc:  # whatever a backend raises is that row's failure, not the recording's
            return exc

    async def _keep(
        self, name: str, card: ModelCard, answered: Sequence[tuple[Cell, Completion | Exception]], concurrency: int
    ) -> None:
        """Grade, price and journal answers."""
        self.has_asked = True
        texts = [(cell.item, _clean(a.text)) for cell, a in answered if isinstance(a, Completion)]
        grades = iter(await self.grading.grade(texts))
        rows = []
        for cell, answer in answered:
            row = {"prompt_id": cell.item.prompt_id, "model": name, "sample": cell.sample, "concurrency": concurrency}
            if isinstance(answer, Completion):
                self.metering.note_memory(name, answer)
                row |= self._measured(priced(answer, card.price, self.profiles), next(grades))
            else:
                row |= {"error": describe_error(answer, card), "finish_reason": "error", "score": None}
            rows.append(row | {"energy_wh": self.metering.energy_wh(name, cell.key)})
        await asyncio.to_thread(self.recording.add_rows, rows)
        self.progress.advance(name, len(rows), sum(row["error"] is not None for row in rows))

    def _measured(self, answer: Completion, verdict: Grade) -> dict[str, Any]:
        usage, timing = answer.usage, answer.timing
        return {
            "score": verdict.score,
            **asdict(usage),
            "ttft_s": timing.ttft_s,
            "latency_s": timing.latency_s,
            "tpot_s": timing.tpot_s(usage.completion_tokens),
            "memory_gib": answer.memory_gib,
            "compute_flop": answer.compute_flop,
            "cost_usd": answer.cost_usd,
            "grading_tokens": None if verdict.usage is None else verdict.usage.total_tokens,
            "grading_cost_usd": verdict.cost_usd,
            "logprob": answer.logprob,
            "finish_reason": answer.finish_reason,
            "error": None,
            "ungraded": verdict.because,
            "answer": _clean(answer.text),
        }


def compact(suite: Suite, recording: Recording) -> Outcomes:
    """The Outcomes of everything in the journal."""
    rows = list(recording.recorded.rows.values())
    asked = {row["prompt_id"] for row in rows}
    columns = {name: kind for name, kind in SCHEMA.items() if name not in FROM_PROMPTS}
    table = {name: [row.get(name) for row in rows] for name in columns}
    table["variant"] = [DEFAULT_VARIANT] * len(rows)
    items = [
        {**item.to_record(), "grader": suite.grader_of(item).to_text()} for item in suite if item.prompt_id in asked
    ]
    prompts = [{name: item[name] for name in PROMPT_SCHEMA} for item in items]
    frame = pl.DataFrame(table, schema=columns, strict=False)
    return Outcomes.from_frames(frame, pl.DataFrame(prompts, schema=dict(PROMPT_SCHEMA)), recording.manifest())


async def _answers(model: Model, requests: list[Request]) -> Sequence[Completion | Exception]:
    try:
        return await model.complete_batch(requests)
    except Exception as exc:  # as above, for the whole batch
        return [exc] * len(requests)


def _profiles_for(models: Iterable[Model]) -> Mapping[str, HardwareProfile]:
    """The shipped profiles, read only where a card is priced by its hardware."""
    return load_profiles() if any(isinstance(model.card.price, ComputePrice) for model in models) else {}


def describe_error(error: Exception, card: ModelCard) -> str:
    """Class and message of a failure, without the model's key, shortened."""
    text = f"{type(error).__name__}: {error}"
    key = os.environ.get(card.api_key.removeprefix("env:"), "") if card.api_key else ""
    return _clean(text.replace(key, "[key]") if key else text)[:MAX_ERROR_CHARS]


def _clean(text: str) -> str:
    """The text with halves of surrogate pairs replaced: servers send them, tables cannot hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")
