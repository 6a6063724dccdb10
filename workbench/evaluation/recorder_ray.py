"""Recording on an engine: shards go to workers that hold the models, rows are journalled here as shards return.

The journal has one writer, this process, and is the one that `record` writes: a recording that was begun here goes on on a cluster, and
the other way round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.core import Clock, ConfigError, SystemClock
from workbench.core.event_loop import outside_event_loops
from workbench.economics import HardwareProfile
from workbench.economics.energy import NoMeter
from workbench.evaluation.engine import Engine
from workbench.evaluation.grading import Grading
from workbench.evaluation.keeping import Keeper
from workbench.evaluation.metering import Metering
from workbench.evaluation.outcomes import Outcomes
from workbench.evaluation.plan import Cell, RecordConfig, check_samples, load_of, n_cells, planned_batches
from workbench.evaluation.progress import Progress, Silent
from workbench.evaluation.recorder import compact, profiles_for
from workbench.evaluation.recording import Recording
from workbench.evaluation.shards import Answer, Plan, Shard, answer_shard, shards_of
from workbench.evaluation.suite import Suite
from workbench.models import Model, ModelCard

NO_ENERGY = "answered by workers that share their machines' meters, which cannot tell one worker's energy"


def record_on(
    engine: Engine,
    suite: Suite,
    cards: Mapping[str, ModelCard],
    out: Path,
    config: RecordConfig | None = None,
    *,
    shard_size: int | None = None,
    profiles: Mapping[str, HardwareProfile] | None = None,
    judges: Mapping[str, Model] | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Outcomes:
    """Measure every model's answers to a suite on the workers of an engine; the rows are those of `record`.

    Args:
        engine: where models answer. It stays open.
        suite: what is asked and how it is graded; grading is done here.
        cards: name → card; a worker builds its model from it.
        out: folder of the journal and the Outcomes; what is in the journal is not asked again.
        config: how the suite is asked. `concurrency` is each worker's.
        shard_size: answers a shard, rounded up to whole batches of local models; a worker that dies costs the time of its shard.
        profiles: hardware by name for local prices; the shipped ones by default.
        judges: models for graders of the kind `judge`, which are asked from here.
        progress: told how far it is; nothing by default.
        clock: dates of the manifest.

    Raises:
        ConfigError: no models, settings that cannot be, or a folder that holds another recording.
        TaskFailed: a worker could not build its model: a folder or key is missing there.
        ClusterError: the workers are gone. What was recorded is kept, as after every error.
        StoreError: the disk is full or the journal damaged.
    """
    how = config or RecordConfig()
    if not cards:
        raise ConfigError("no models to record; name at least one")
    if shard_size is not None and shard_size < 1:
        raise ConfigError(f"a shard holds at least 1 answer, found {shard_size}")
    check_samples(how, list(cards.values()))
    judging = dict(judges or {})
    shipped = profiles_for([*cards.values(), *(m.card for m in judging.values())]) if profiles is None else profiles
    grading = Grading(suite, judging, shipped)
    with Recording(out, suite, how, clock or SystemClock()) as recording:
        keeper = Keeper(recording, grading, shipped, progress or Silent(), Metering(NoMeter(NO_ENERGY)))
        outside_event_loops(_Sharded(engine, suite, how, cards, keeper, shard_size).run)
        outcomes = compact(suite, recording)
    outcomes.write(out)
    return outcomes


class _Sharded:
    def __init__(
        self,
        engine: Engine,
        suite: Suite,
        config: RecordConfig,
        cards: Mapping[str, ModelCard],
        keeper: Keeper,
        shard_size: int | None,
    ) -> None:
        self.engine, self.suite, self.config, self.cards = engine, suite, config, cards
        self.keeper, self.recording, self.shard_size = keeper, keeper.recording, shard_size
        self.loads = {name: load_of(card, config.concurrency) for name, card in cards.items()}

    def run(self) -> None:
        """Models one after the other, or their shards in turn where they are recorded in parallel."""
        plan = Plan.of(self.config, self.cards)
        for name, card in self.cards.items():
            self.recording.open_model(name, card, self.loads[name], self.keeper.profiles)
        together = [list(self.cards)] if self.config.parallel_models else [[name] for name in self.cards]
        with asyncio.Runner() as runner:
            for names in together:
                self._record(names, plan, runner)
        if self.keeper.has_kept or self.recording.recorded.stopped_at is None:
            self.recording.stop()

    def _record(self, names: Sequence[str], plan: Plan, runner: asyncio.Runner) -> None:
        total = n_cells(self.suite, self.config)
        missing = {name: self._missing_shards(name) for name in names}
        for name in names:
            n_missing = sum(not self._is_done(name, cell) for shard in missing[name] for cell in shard.cells)
            self.keeper.progress.start(name, total, total - n_missing)
        shards = _in_turn(list(missing.values()))
        for index, found in self.engine.run(answer_shard, plan, shards):
            self.recording.note_node(found.node, {**found.facts, "engine": self.engine.name})
            runner.run(self._keep(shards[index], found.answers, found.node))
        for name in names:
            if missing[name]:
                self.recording.note_measuring(name, self.keeper.metering.facts(name, self.cards[name]))
            self.keeper.progress.finish(name)

    def _missing_shards(self, name: str) -> list[Shard]:
        """What is not in the journal. A local batch that was cut is asked as it was, and only what is missing is kept."""
        load = self.loads[name]
        batches = list(planned_batches(self.suite, self.config, load))
        if load.mode == "batch":
            left = [batch for batch in batches if not all(self._is_done(name, cell) for cell in batch)]
        else:
            left = [[cell for batch in batches for cell in batch if not self._is_done(name, cell)]]
        return shards_of(name, left, load, self.shard_size)

    async def _keep(self, shard: Shard, answers: Sequence[Answer], node: str) -> None:
        found = iter(answers)
        for batch in shard.batches:
            pairs = [(cell, next(found)) for cell in batch]
            load = self.loads[shard.model]
            size = len(batch) if load.mode == "batch" else load.size
            new = [(cell, answer) for cell, answer in pairs if not self._is_done(shard.model, cell)]
            await self.keeper.keep(shard.model, self.cards[shard.model], new, size, node)

    def _is_done(self, name: str, cell: Cell) -> bool:
        return self.recording.is_done(name, cell.key)


def _in_turn(shards: Sequence[Sequence[Shard]]) -> list[Shard]:
    """The models' shards, one of each in turn."""
    longest = max(map(len, shards), default=0)
    return [of_model[i] for i in range(longest) for of_model in shards if i < len(of_model)]
