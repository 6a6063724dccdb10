"""Shards: the part of a recording that travels to a worker, and what the worker does with it.

A worker builds its model from the card, once a process, and asks it as a recording on this machine does: the same batches, the same
number of requests in flight. Keys are read from the worker's own environment; nothing that is sent holds one.
"""

from __future__ import annotations

import asyncio
import platform
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import __version__
from workbench.core import Completion, ConfigError, Request
from workbench.core.environment import hardware, versions
from workbench.core.hashing import sha256_json
from workbench.evaluation.keeping import DescribedError, describe_error
from workbench.evaluation.plan import Cell, Load, RecordConfig, load_of, request_of
from workbench.evaluation.weights import weights_hash
from workbench.models import Model, ModelCard, load_model
from workbench.models.loading import MODEL_KINDS

Answer = Completion | Exception


@dataclass(frozen=True, slots=True)
class Plan:
    """What every shard needs.

    Args:
        config: how the suite is asked.
        cards: name → card, with checkpoint folders as absolute paths.
        weights: name → hash of the weights that the recording is of; None where it is not known.
        kinds: model kind → "module:Class", so that a kind that was added here is known on the workers.
    """

    config: RecordConfig
    cards: Mapping[str, ModelCard]
    weights: Mapping[str, str | None] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: RecordConfig, cards: Mapping[str, ModelCard]) -> Plan:
        """The plan of models that are described by these cards here."""
        return cls(
            config,
            {name: _located(card) for name, card in cards.items()},
            {name: weights_hash(card) for name, card in cards.items()},
            {card.kind: MODEL_KINDS.target(card.kind) for card in cards.values()},
        )


@dataclass(frozen=True, slots=True)
class Shard:
    """Some answers of one model: whole batches, in the plan's order."""

    model: str
    batches: tuple[tuple[Cell, ...], ...]

    @property
    def cells(self) -> list[Cell]:
        """All of them."""
        return [cell for batch in self.batches for cell in batch]

    def __repr__(self) -> str:
        cells = self.cells
        return f"{len(cells)} answers of {self.model} from prompt {cells[0].item.prompt_id!r} on"


@dataclass(frozen=True, slots=True)
class ShardAnswers:
    """What a worker sends back: an answer or a described failure for each cell, in the shard's order, and where it was made."""

    answers: tuple[Answer, ...]
    node: str
    facts: Mapping[str, Any]


def shards_of(name: str, batches: Sequence[Sequence[Cell]], load: Load, size: int | None) -> list[Shard]:
    """Shards of about `size` answers. Local batches stay whole; without a size, a shard is a batch, or 8 for each request in flight."""
    wanted = size or (load.size if load.mode == "batch" else 8 * load.size)
    if load.mode == "concurrent":
        cells = [cell for batch in batches for cell in batch]
        return [Shard(name, (tuple(cells[i : i + wanted]),)) for i in range(0, len(cells), wanted)]
    per_shard = -(-wanted // load.size)
    whole = [tuple(batch) for batch in batches]
    return [Shard(name, tuple(whole[i : i + per_shard])) for i in range(0, len(whole), per_shard)]


def answer_shard(plan: Plan, shard: Shard) -> ShardAnswers:
    """On a worker: every cell's answer.

    Raises:
        ConfigError: the model cannot be built there (no such folder, no key), or has other weights than the recording.
    """
    opened = _opened(plan, shard.model)
    answers = opened.runner.run(_ask(opened.model, plan, shard))
    return ShardAnswers(tuple(answers), _node(), _facts())


async def _ask(model: Model, plan: Plan, shard: Shard) -> list[Answer]:
    card = plan.cards[shard.model]
    load = load_of(card, plan.config.concurrency)
    if load.mode == "concurrent":
        return await _keep_in_flight(model, [request_of(cell, plan.config, card) for cell in shard.cells], load, card)
    answers: list[Answer] = []
    for batch in shard.batches:
        requests = [request_of(cell, plan.config, card) for cell in batch]
        try:
            found: Sequence[Answer] = await model.complete_batch(requests)
        except Exception as exc:  # whatever a backend raises is these rows' failure, not the recording's
            found = [exc] * len(batch)
        answers += [_described(answer, card) for answer in found]
    return answers


async def _keep_in_flight(model: Model, requests: list[Request], load: Load, card: ModelCard) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(requests)
    waiting: Iterator[int] = iter(range(len(requests)))

    async def ask() -> None:
        for index in waiting:
            try:
                answers[index] = await model.complete(requests[index])
            except Exception as exc:  # as above
                answers[index] = _described(exc, card)

    await asyncio.gather(*(ask() for _ in range(min(load.size, len(requests)))))
    return [answer for answer in answers if answer is not None]


def _described(answer: Answer, card: ModelCard) -> Answer:
    """A failure in words, here, where the key that must not be in them is known."""
    return answer if isinstance(answer, Completion) else DescribedError(describe_error(answer, card))


@dataclass(frozen=True, slots=True)
class _Opened:
    model: Model
    runner: asyncio.Runner  # connections belong to its event loop


_models: dict[str, _Opened] = {}  # of this process


def _opened(plan: Plan, name: str) -> _Opened:
    """The model of this process, built at the first shard; models recorded one after the other do not stay in memory together."""
    card = plan.cards[name]
    key = sha256_json([name, card.model_dump(mode="json"), plan.weights.get(name)])
    if key not in _models:
        if not plan.config.parallel_models:
            close_models()
        for kind, target in plan.kinds.items():
            MODEL_KINDS.add(kind, target)
        _refuse_other_weights(name, card, plan.weights.get(name))
        _models[key] = _Opened(load_model(name, card), asyncio.Runner())
    return _models[key]


def close_models() -> None:
    """Close the models that this process built for shards."""
    while _models:
        _, opened = _models.popitem()
        opened.runner.run(opened.model.close())
        opened.runner.close()


def _refuse_other_weights(name: str, card: ModelCard, expected: str | None) -> None:
    found = None if expected is None else weights_hash(card)
    if found != expected and found is not None:
        raise ConfigError(
            f"model {name!r}: {card.model} on {socket.gethostname()} holds other weights ({found[:12]}) than where the recording was "
            f"started ({str(expected)[:12]}); copy the checkpoint there"
        )


def _located(card: ModelCard) -> ModelCard:
    """The card with its folder as an absolute path, because workers run in other folders."""
    folder, mark, rest = card.model.partition("#")
    if card.base_url is not None or not Path(folder).exists():
        return card
    return card.model_copy(update={"model": f"{Path(folder).resolve()}{mark}{rest}"})


def _node() -> str:
    """The cluster's id of this node, shortened; this machine's name outside a cluster."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return socket.gethostname()
    return str(ray.get_runtime_context().get_node_id())[:12]


def _facts() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "hardware": hardware(),
        "backends": versions(),
        "package_version": __version__,
        "system": platform.system(),
    }
