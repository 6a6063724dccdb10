"""What is kept of an answer: graded, priced, on disk. The same for answers of this process and of a cluster's workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench.core import Completion
from workbench.economics import HardwareProfile, priced
from workbench.evaluation.graders.judge import Grade
from workbench.evaluation.grading import Grading
from workbench.evaluation.metering import Metering
from workbench.evaluation.plan import Cell
from workbench.evaluation.progress import Progress
from workbench.evaluation.recording import Recording
from workbench.models import ModelCard

MAX_ERROR_CHARS = 500


class DescribedError(Exception):
    """A model's failure in words that may be written down, described where its key is known."""


class Keeper:
    """Takes answers in; their rows are in the journal when `keep` returns.

    Args:
        recording: the journal.
        grading: the suite's graders.
        profiles: hardware by name, for local prices.
        progress: told of every group.
        metering: knows the energy of calls that were made here.
    """

    def __init__(
        self,
        recording: Recording,
        grading: Grading,
        profiles: Mapping[str, HardwareProfile],
        progress: Progress,
        metering: Metering,
    ) -> None:
        self.recording, self.grading, self.profiles = recording, grading, profiles
        self.progress, self.metering = progress, metering
        self.has_kept = False

    async def keep(
        self,
        name: str,
        card: ModelCard,
        answered: Sequence[tuple[Cell, Completion | Exception]],
        concurrency: int,
        node: str | None = None,
    ) -> None:
        """Grade, price and journal answers.

        Args:
            name: the model.
            card: the model's.
            answered: each cell with its answer or failure.
            concurrency: requests that the model had at a time, or the size of their batch.
            node: of the cluster that answered; None is this process.
        """
        self.has_kept = True
        texts = [(cell.item, clean(a.text)) for cell, a in answered if isinstance(a, Completion)]
        grades = iter(await self.grading.grade(texts))
        place = {} if node is None else {"node": node}
        rows = []
        for cell, answer in answered:
            row = {"prompt_id": cell.item.prompt_id, "model": name, "sample": cell.sample, "concurrency": concurrency}
            if isinstance(answer, Completion):
                self.metering.note_memory(name, answer)
                row |= _measured(priced(answer, card.price, self.profiles), next(grades))
            else:
                row |= {"error": describe_error(answer, card), "finish_reason": "error", "score": None}
            rows.append(row | {"energy_wh": self.metering.energy_wh(name, cell.key)} | place)
        await asyncio.to_thread(self.recording.add_rows, rows)
        self.progress.advance(name, len(rows), sum(row["error"] is not None for row in rows))


def _measured(answer: Completion, verdict: Grade) -> dict[str, Any]:
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
        "answer": clean(answer.text),
    }


def describe_error(error: Exception, card: ModelCard) -> str:
    """Class and message of a failure, without the model's key, shortened."""
    text = str(error) if isinstance(error, DescribedError) else f"{type(error).__name__}: {error}"
    key = os.environ.get(card.api_key.removeprefix("env:"), "") if card.api_key else ""
    return clean(text.replace(key, "[key]") if key else text)[:MAX_ERROR_CHARS]


def clean(text: str) -> str:
    """The text with halves of surrogate pairs replaced: servers send them, tables cannot hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")
