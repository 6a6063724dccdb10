"""A model that answers from Outcomes: what was measured once, again and again, with or without its waiting time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, cast

import polars as pl
from pydantic import Field

from workbench.core import (
    BadResponse,
    Clock,
    Completion,
    ConfigError,
    Delta,
    FinishReason,
    ModelError,
    Request,
    SystemClock,
    Timing,
    Unavailable,
    Usage,
)
from workbench.core.hashing import sha256_text
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard
from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.models.model import Model

NEEDED = ("prompt_id", "model", "answer")
PIECE = re.compile(r"\s*\S+|\s+")


class RecordedOptions(Strict):
    """Options of the kind `recorded`."""

    latency_scale: Annotated[float, Field(ge=0, description="share of the recorded time spent waiting; 0: instant")] = 1
    variant: Annotated[str | None, Field(description="prompt variant to answer from; null: all")] = None
    faults: Annotated[tuple[Fault, ...], Field(description="schedule of failures")] = ()


class RecordedModel:
    """Looks the prompt up by the hash of its text (the last user message) and replays the recorded answer.

    Several samples of a prompt take turns by the request's seed: seed s gives sample s modulo their number, no seed the first.
    The Completion carries the recorded seconds whatever `latency_scale` says, for they are what was measured; the scale decides
    only how long the replay waits.

    Args:
        name: its name in the configuration.
        card: `card.model` is an Outcomes folder, with `#model` where it holds several.
        clock: where the waiting is spent.

    Raises:
        ConfigError: no such folder, file, column or model.
    """

    def __init__(self, name: str, card: ModelCard, clock: Clock | None = None) -> None:
        self.name = name
        self.card = card
        self.options = parse(RecordedOptions, card.options, f"options of model {name!r}")
        self._clock = clock or SystemClock()
        folder, _, recorded_name = card.model.partition("#")
        self._rows = _rows_by_prompt(Path(folder), recorded_name, self.options.variant)

    async def complete(self, request: Request) -> Completion:
        """The recorded answer.

        Raises:
            BadResponse: the prompt was never recorded.
            Unavailable: the recording of this prompt is itself a failure.
        """
        start_s = self._clock.monotonic_s()
        row = self._row(request)
        await self._wait(row.get("latency_s"))
        return self._completion(row, self._clock.monotonic_s() - start_s)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Each as `complete`, waiting together."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The recorded answer word by word: the first after the recorded TTFT, the others evenly until the recorded latency."""
        start_s = self._clock.monotonic_s()
        row = self._row(request)
        pieces = PIECE.findall(row["answer"] or "")
        latency_s = row.get("latency_s") or 0.0
        ttft_s = min(row.get("ttft_s") or latency_s, latency_s)
        await self._wait(ttft_s)
        for index, piece in enumerate(pieces):
            if index:
                await self._wait((latency_s - ttft_s) / (len(pieces) - 1))
            yield Delta(piece)
        yield Delta("", self._completion(row, self._clock.monotonic_s() - start_s))

    def count_prompt_tokens(self, request: Request) -> int | None:
        """The recorded count; None for an unknown prompt."""
        rows = self._rows.get(sha256_text(request.prompt))
        return rows[0].get("prompt_tokens") if rows else None

    async def close(self) -> None:
        """Nothing to release."""

    def _row(self, request: Request) -> dict[str, Any]:
        rows = self._rows.get(sha256_text(request.prompt))
        if rows is None:
            raise BadResponse(
                f"the prompt (sha256 {sha256_text(request.prompt)[:12]}) is not among the {len(self._rows)} recorded ones; "
                "record it or ask a live model",
                model=self.name,
            )
        row = rows[(request.sampling.seed or 0) % len(rows)]
        if row.get("error"):
            raise Unavailable(f"the recorded answer is a failure: {row['error']}", model=self.name)
        return row

    async def _wait(self, recorded_s: float | None) -> None:
        await self._clock.sleep((recorded_s or 0.0) * self.options.latency_scale)

    def _completion(self, row: dict[str, Any], elapsed_s: float) -> Completion:
        latency_s = row.get("latency_s")
        return Completion(
            text=row["answer"] or "",
            model=self.name,
            finish_reason=cast(FinishReason, row.get("finish_reason") or "stop"),
            usage=Usage(**{field.name: row.get(field.name) for field in fields(Usage)}),
            timing=Timing(elapsed_s if latency_s is None else latency_s, row.get("ttft_s")),
            cost_usd=row.get("cost_usd"),
            compute_flop=row.get("compute_flop"),
            logprob=row.get("logprob"),
            memory_gib=row.get("memory_gib"),
        )


def open_recorded(name: str, card: ModelCard, clock: Clock | None = None) -> Model:
    """A recorded model, behind its fault schedule when the options hold one."""
    model = RecordedModel(name, card, clock)
    faults = model.options.faults
    return FaultyModel(model, FaultSchedule(faults), clock) if faults else model


def _rows_by_prompt(folder: Path, recorded_name: str, variant: str | None) -> dict[str, list[dict[str, Any]]]:
    """SHA-256 of a prompt's text → its rows in the order of variant and sample."""
    outcomes = _read(folder / "outcomes.parquet", NEEDED)
    prompts = _read(folder / "prompts.parquet", ("prompt_id", "prompt"))
    outcomes = outcomes.filter(pl.col("model") == _one_model(outcomes, recorded_name, folder))
    if variant is not None:
        outcomes = outcomes.filter(pl.col("variant") == variant)
    order = [column for column in ("prompt_id", "variant", "sample") if column in outcomes.columns]
    joined = outcomes.sort(order).join(prompts.select("prompt_id", "prompt"), on="prompt_id", maintain_order="left")
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in joined.iter_rows(named=True):
        rows.setdefault(sha256_text(row.pop("prompt")), []).append(row)
    return rows


def _read(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError as exc:
        raise ConfigError(f"no recorded answers at {path}; give an Outcomes folder as FOLDER or FOLDER#MODEL") from exc
    except (pl.exceptions.PolarsError, OSError) as exc:
        raise ConfigError(f"{path} is not a readable parquet file: {str(exc).splitlines()[0]}") from exc
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ConfigError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(frame.columns)}")
    return frame


def _one_model(outcomes: pl.DataFrame, recorded_name: str, folder: Path) -> str:
    names: list[str] = outcomes["model"].unique().to_list()
    if not recorded_name and len(names) == 1:
        return names[0]
    if recorded_name in names:
        return recorded_name
    if not recorded_name:
        raise ConfigError(
            f"{folder} holds several models: {', '.join(sorted(names))}; choose one as {folder}#{min(names)}"
        )
    raise ConfigError(f"{folder} has no answers of model {recorded_name!r}: {did_you_mean(recorded_name, names)}")
