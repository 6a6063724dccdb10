"""The recorder: asks every model every question, once, and keeps what came back whatever happens to the process.

Each answer is in the journal (fsynced) before the next group is counted. Killed at any moment, the same call goes on: rows in
the journal are not asked again, rows that were in flight are. A model that fails marks its rows with `error` and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core import Clock, Completion, ConfigError, Request, Sampling, SystemClock
from workbench.core.event_loop import run_anywhere
from workbench.economics import ComputePrice, EnergyMeter, HardwareProfile, load_profiles
from workbench.evaluation.grading import Grading
from workbench.evaluation.keeping import Keeper, describe_error
from workbench.evaluation.metering import metering_with
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

BACKLOG = 8
"""Answers that may wait for the journal, for each request in flight."""
__all__ = ["compact", "describe_error", "record", "record_async"]
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
    shipped = (
        profiles_for(model.card for model in (*models.values(), *judging.values())) if profiles is None else profiles
    )
    grading = Grading(suite, judging, shipped)
    with Recording(out, suite, config, clock or SystemClock()) as recording, metering_with(meter) as metering:
        keeper = Keeper(recording, grading, shipped, progress or Silent(), metering)
        await _Recorder(suite, config, keeper).run(models)
        outcomes = compact(suite, recording)
    outcomes.write(out)
    return outcomes


class _Recorder:
    def __init__(self, suite: Suite, config: RecordConfig, keeper: Keeper) -> None:
        self.suite, self.config, self.keeper = suite, config, keeper
        self.recording, self.progress, self.metering = keeper.recording, keeper.progress, keeper.metering

    async def run(self, models: Mapping[str, Model]) -> None:
        for name, model in models.items():
            self.recording.open_model(
                name, model.card, load_of(model.card, self.config.concurrency), self.keeper.profiles
            )
        if self.config.parallel_models:
            await asyncio.gather(*(self._record_model(name, model) for name, model in models.items()))
        else:
            for name, model in models.items():
                await self._record_model(name, model)
        if self.keeper.has_kept or self.recording.recorded.stopped_at is None:
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
            answers = await answers_to_batch(model, [request_of(cell, self.config, model.card) for cell in batch])
        self.metering.share_batch(name, whole, [cell.key for cell in batch], answers)
        missing = [pair for pair in zip(batch, answers, strict=True) if not self.recording.is_done(name, pair[0].key)]
        await self.keeper.keep(name, model.card, missing, len(batch))

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
                await self.keeper.keep(name, model.card, group, load.size)
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


async def answers_to_batch(model: Model, requests: list[Request]) -> Sequence[Completion | Exception]:
    """An answer or a failure for each; a failure of the whole batch is each one's."""
    try:
        return await model.complete_batch(requests)
    except Exception as exc:  # as above, for the whole batch
        return [exc] * len(requests)


def profiles_for(cards: Iterable[ModelCard]) -> Mapping[str, HardwareProfile]:
    """The shipped profiles, read only where a card is priced by its hardware."""
    return load_profiles() if any(isinstance(card.price, ComputePrice) for card in cards) else {}
