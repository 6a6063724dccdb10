"""Energy of recorded answers, and why a figure is not known: where a model computes decides what can be measured of it."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from workbench.core import Completion
from workbench.economics.energy import EnergyMeter, open_meter
from workbench.economics.energy_account import FORMULA as CALLS_FORMULA
from workbench.economics.energy_account import EnergyAccount
from workbench.economics.energy_shares import FORMULA as STEPS_FORMULA
from workbench.economics.energy_shares import batch_of, share_by_token_steps
from workbench.models import ModelCard

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HERE = ("transformers", "vllm", "stack")
REPLAYED = "recorded answers are replayed: nothing is computed"
ELSEWHERE = "the model computes on another machine"
OTHER_PROCESS = "the model is another process; watch it with MemoryWatch, or measure it with `workbench bench`"
NO_READING = "the meter could not be read at both ends of a call"


@contextlib.contextmanager
def metering_with(meter: EnergyMeter | None) -> Iterator[Metering]:
    """Metering by that meter, which stays open; None opens the machine's own and closes it."""
    opened = open_meter() if meter is None else meter
    try:
        yield Metering(opened)
    finally:
        if meter is None:
            opened.close()


class Metering:
    """Reads one meter for all models of a recording, so that models recorded side by side share its energy and do not count it twice.

    Args:
        meter: opened for the recording.
    """

    def __init__(self, meter: EnergyMeter) -> None:
        self._account = EnergyAccount(meter)
        self._memory: dict[str, Completion] = {}
        self._calls: dict[Hashable, float | None] = {}
        self._unread: set[str] = set()

    @contextlib.contextmanager
    def call(self, name: str, key: Hashable, card: ModelCard) -> Iterator[None]:
        """A call to a model; its energy is known afterwards, to `energy_wh` under the same name and key."""
        if why_no_energy(card, self._account.meter) is not None:
            yield
            return
        self._account.begin((name, key))
        try:
            yield
        finally:
            spent_wh = self._account.end((name, key))
            self._calls[name, key] = spent_wh
            if spent_wh is None:
                self._unread.add(name)

    def energy_wh(self, name: str, key: Hashable) -> float | None:
        """Wh of a call that has ended, told once; None where it is not known."""
        return self._calls.pop((name, key), None)

    def share_batch(self, name: str, key: Hashable, rows: Sequence[Hashable], answers: Sequence[Any]) -> None:
        """Give a batch's energy to its rows, by token-steps; a row that failed counts no tokens.

        Args:
            name: the model.
            key: of the call that was the batch.
            rows: keys that `energy_wh` knows the rows by.
            answers: Completion or error of each.
        """
        spent_wh = self.energy_wh(name, key)
        if spent_wh is not None and answers:
            shares = share_by_token_steps(spent_wh, _active(answers))
            self._calls |= {(name, row): wh for row, wh in zip(rows, shares, strict=True)}

    def note_memory(self, name: str, answer: Completion) -> None:
        """Remember what the model's answers say about memory."""
        if answer.memory_gib is not None:
            self._memory[name] = answer

    def facts(self, name: str, card: ModelCard) -> dict[str, Any]:
        """For the manifest: how energy was read and shared, what memory was before the model, and why a figure is null."""
        meter, answer = self._account.meter, self._memory.get(name)
        no_energy = why_no_energy(card, meter) or (NO_READING if name in self._unread else None)
        reasons = {"energy_wh": no_energy, "memory_gib": None if answer else _why_no_memory(card)}
        energy = {"method": meter.method, "covers": list(meter.covers), "missing": meter.reason}
        shared = {"calls_shared_by": CALLS_FORMULA, "rows_shared_by": STEPS_FORMULA}
        return {
            "energy": None if no_energy else {**energy, **shared, "idle_wh_so_far": self._account.idle_wh},
            "memory_baseline_gib": None if answer is None else answer.memory_baseline_gib,
            "reasons": {figure: why for figure, why in reasons.items() if why},
        }


def why_no_energy(card: ModelCard, meter: EnergyMeter) -> str | None:
    """Why this machine's meter does not tell the energy of a model; None where it does."""
    if card.kind == "recorded":
        return REPLAYED
    if not _is_here(card):
        return ELSEWHERE
    if not meter.covers:
        return meter.reason
    if card.device.startswith("cuda") and not any(name.lower().startswith(("gpu", "mig")) for name in meter.covers):
        return f"the model computes on a GPU, which the meter does not cover ({meter.reason})"
    return None


def _is_here(card: ModelCard) -> bool:
    if card.base_url is not None:
        return urlsplit(card.base_url).hostname in LOOPBACK
    return card.kind in HERE


def _why_no_memory(card: ModelCard) -> str:
    if card.kind == "recorded":
        return REPLAYED
    if not _is_here(card):
        return ELSEWHERE
    return OTHER_PROCESS if card.base_url is not None or card.kind == "vllm" else "its answers do not say"


def _active(answers: Sequence[Any]) -> list[Any]:
    """A batch's rows as energy is shared over them: together from the start, each until its own last token."""
    known = [answer for answer in answers if isinstance(answer, Completion)]
    latency_s = max((answer.timing.latency_s for answer in known), default=0.0)
    firsts = [answer.timing.ttft_s for answer in known]
    ttft_s = None if not firsts or None in firsts else min(max(t for t in firsts if t is not None), latency_s)
    prompts = [answer.usage.prompt_tokens or 0 if isinstance(answer, Completion) else 0 for answer in answers]
    tokens = [answer.usage.completion_tokens or 0 if isinstance(answer, Completion) else 0 for answer in answers]
    return batch_of(prompts, tokens, latency_s, ttft_s)
