"""Memory and energy of a load: of the processes that serve the model, where they run here and can be read."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from types import TracebackType
from typing import Any

import polars as pl

from workbench.evaluation.load.document import Resources
from workbench.models import Model

ELSEWHERE = (
    "the model is served elsewhere: its processes are not ours to read; a card of the kind vllm starts a server that is"
)
REPLAYED = "recorded answers are replayed: nothing is computed"
HERE = ("transformers", "stack", "vllm")


class ResourceWatch:
    """Watches memory and energy while a block runs.

    Args:
        memory: a context manager whose `result()` is a `MemoryUse`, as `models.memory_watch.MemoryWatch`; None watches none.
        open_energy: opens a meter, as `economics.energy.open_meter`; None meters none.
        because: why there is none.
    """

    def __init__(
        self, memory: Any = None, open_energy: Callable[[], Any] | None = None, because: str = "not watched"
    ) -> None:
        self._memory, self._open_energy, self._because = memory, open_energy, because
        self._meter: Any = None
        self._readings: list[tuple[float, float]] = []
        self._inside = contextlib.ExitStack()

    @classmethod
    def of(cls, model: Model) -> ResourceWatch:
        """What can be read of this model: a managed server's processes, or this process where the model computes in it."""
        if model.card.kind == "recorded":
            return cls(because=REPLAYED)
        pids = _pids(model)
        if pids is None and (model.card.base_url or model.card.kind not in HERE):
            return cls(because=ELSEWHERE)
        from workbench.economics.energy import open_meter
        from workbench.models.memory_watch import MemoryWatch

        return cls(MemoryWatch(pids), open_meter)

    def __enter__(self) -> ResourceWatch:
        if self._memory is not None:
            self._inside.enter_context(self._memory)
        if self._open_energy is not None:
            self._meter = self._open_energy()
            self._inside.callback(self._meter.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside.close()

    def read(self, elapsed_s: Callable[[], float]) -> None:
        """Read the meter; more readings tell better whose energy it was.

        Args:
            elapsed_s: tells the second of the run. It is asked beside the meter, because the thread that reads may have waited.
        """
        wh = None if self._meter is None else self._meter.read_wh()
        at_s = elapsed_s()
        if wh is not None and (not self._readings or at_s > self._readings[-1][0]):
            self._readings.append((at_s, wh))

    def result(self) -> Resources:
        """What was needed so far."""
        memory_gib, memory, why_memory = self._memory_use()
        energy_wh = self._readings[-1][1] - self._readings[0][1] if len(self._readings) > 1 else None
        why_energy = (
            self._because if self._meter is None else self._meter.reason or "the meter was read less than twice"
        )
        reasons = {} if energy_wh is not None else {"energy_wh": why_energy, "energy": why_energy}
        return Resources(memory_gib, energy_wh, memory, self._energy_facts(energy_wh), {**reasons, **why_memory})

    def shared(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with `energy_wh`: each interval between two readings shared over the requests active in it, by token-steps."""
        if len(self._readings) < 2 or not rows.height:
            return rows
        from workbench.economics.energy_shares import ActiveRequest, share_energy

        active = [
            (index, request)
            for index, row in enumerate(rows.iter_rows(named=True))
            if (request := _active(row, ActiveRequest))
        ]
        active.sort(key=lambda pair: pair[1].start_s)
        starts = [request.start_s for _, request in active]
        wh: list[float | None] = [None] * rows.height
        for before, after in pairwise(self._readings):
            begun = active[: bisect_right(starts, after[0])]
            inside = [(index, request) for index, request in begun if request.end_s > before[0]]
            shares = share_energy([before, after], [request for _, request in inside])
            for (index, _), share in zip(inside, shares.request_wh, strict=True):
                wh[index] = (wh[index] or 0.0) + share
        return rows.with_columns(pl.Series("energy_wh", wh, dtype=pl.Float64))

    def _memory_use(self) -> tuple[float | None, dict[str, Any] | None, dict[str, str]]:
        if self._memory is None:
            return None, None, {"memory_gib": self._because, "memory": self._because}
        use = self._memory.result()
        if use.memory_gib is not None:
            return use.memory_gib, asdict(use), {}
        return (
            None,
            asdict(use),
            {"memory_gib": "; ".join(sorted(set(use.reasons.values()))) or "nothing could be read"},
        )

    def _energy_facts(self, energy_wh: float | None) -> dict[str, Any] | None:
        if self._meter is None or energy_wh is None:
            return None
        from workbench.economics.energy_shares import FORMULA

        facts = {"covers": list(self._meter.covers), "method": self._meter.method, "missing": self._meter.reason}
        return {**facts, "n_readings": len(self._readings), "shared_by": FORMULA}


def _active(row: dict[str, Any], make: Any) -> Any:
    """The request as energy is shared over it; None where it was never on the machine or its times are unknown."""
    end_s = row["end_s"] if row["end_s"] is not None else row["cut_s"]
    if row["sent_s"] is None or end_s is None or end_s < row["sent_s"]:
        return None
    computed = max(0, (row["prompt_tokens"] or 0) - (row["cached_tokens"] or 0))
    n_tokens = row["completion_tokens"] if row["completion_tokens"] is not None else len(row["chunks_s"] or ())
    return make(row["sent_s"], end_s, row["first_token_s"], computed, n_tokens)


def _pids(model: Model) -> Sequence[int] | None:
    """Processes of the model's own server; None where it has none."""
    pids = getattr(getattr(model, "server", None), "pids", None)
    if pids is None:
        return None
    return list(pids() if callable(pids) else pids)
