"""What is to be asked, in which order and how many at a time. The same plan for the same settings, whatever was asked before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from workbench.core import ConfigError, Request, Sampling
from workbench.evaluation.items import Item
from workbench.evaluation.suite import Suite
from workbench.models import ModelCard

SERVER_CONCURRENCY = 8
BEHIND_SERVERS = frozenset({"recorded", "anthropic", "vllm"})  # also without a base_url


@dataclass(frozen=True, slots=True)
class RecordConfig:
    """How a suite is asked.

    Args:
        sampling: how answers are drawn; greedy by default, because measured answers should repeat.
        samples: answers to each prompt; more than one needs a temperature above 0.
        seed: every cell's own seed is derived from it, where answers are drawn at random.
        concurrency: requests in flight (servers) or in a batch (local models). None: 8, and the card's batch size.
        limit: most prompts, taking the tasks in turn; None is all.
        parallel_models: whether models are measured at the same time; they disturb each other's seconds.
        retry_failures: whether cells whose model failed are asked again.
        fresh: whether an earlier recording in the folder is thrown away.
    """

    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    seed: int = 0
    concurrency: int | None = None
    limit: int | None = None
    parallel_models: bool = False
    retry_failures: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"samples must be at least 1, found {self.samples}")
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigError(f"concurrency must be at least 1, found {self.concurrency}")


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests a model has at a time, and whether they go as one batch."""

    mode: Literal["batch", "concurrent"]
    size: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer to be measured."""

    item: Item
    sample: int

    @property
    def key(self) -> tuple[str, int]:
        """Prompt and sample."""
        return self.item.prompt_id, self.sample


def load_of(card: ModelCard, concurrency: int | None) -> Load:
    """Local models answer batches; servers and recorded answers get a steady number of requests in flight."""
    if card.base_url is None and card.kind not in BEHIND_SERVERS:
        return Load("batch", min(card.batch_size, concurrency or card.batch_size))
    return Load("concurrent", concurrency or SERVER_CONCURRENCY)


def planned_batches(suite: Suite, config: RecordConfig, load: Load) -> Iterator[list[Cell]]:
    """Every cell once, in groups of the load's size.

    Groups are cut from the whole plan and not from what is left of it, so a resumed recording forms the same batches as an
    undisturbed one. Local batches hold prompts of like length, the longest first: little padding, memory trouble at once, and an
    estimate of the time left that is rather too long.
    """
    items = list(suite) if config.limit is None else suite.head(config.limit)
    if load.mode == "batch":
        items.sort(key=lambda item: -sum(len(message.content) for message in item.messages))
    cells = [Cell(item, sample) for sample in range(config.samples) for item in items]
    return (cells[start : start + load.size] for start in range(0, len(cells), load.size))


def n_cells(suite: Suite, config: RecordConfig) -> int:
    """How many cells a model's plan has."""
    return config.samples * (len(suite) if config.limit is None else min(config.limit, len(suite)))


def request_of(cell: Cell, config: RecordConfig, card: ModelCard) -> Request:
    """The request of a cell. Greedy answers carry no seed; drawn ones a seed of their own, or they would share their luck."""
    sampling = config.sampling
    if card.kind == "recorded":  # it counts samples by the seed
        sampling = replace(sampling, seed=cell.sample)
    elif sampling.temperature > 0:
        sampling = replace(sampling, seed=seed_of(config.seed, cell.item.prompt_id, cell.sample))
    return cell.item.request(sampling, cell.sample)


def seed_of(seed: int, prompt_id: str, sample: int) -> int:
    """31 bits from the recording's seed and the cell, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{prompt_id}/{sample}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def check_samples(config: RecordConfig, cards: Sequence[ModelCard]) -> None:
    """Refuse to ask a greedy model the same thing twice.

    Raises:
        ConfigError: several samples at temperature 0.
    """
    drawn = [card for card in cards if card.kind != "recorded"]
    if config.samples > 1 and config.sampling.temperature == 0 and drawn:
        raise ConfigError(
            f"{config.samples} samples at temperature 0 would be the same answer {config.samples} times; "
            "set a temperature above 0 or ask for one sample"
        )
