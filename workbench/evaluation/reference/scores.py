"""What a checkpoint's answers are worth: hits, intervals, and an oracle that luck cannot inflate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.evaluation.reference.items import ReferenceItem
from workbench.evaluation.statistics import wilson_interval

Hits = Mapping[str, Sequence[bool]]
"""Model name -> one hit or miss per item, in the items' order."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of exact matches with its Wilson 95 % interval, and what guessing would reach, all 0..1."""

    n: int
    accuracy: float
    low: float
    high: float
    chance: float


def accuracy_by_task(items: Sequence[ReferenceItem], hits: Sequence[bool]) -> dict[str, Accuracy]:
    """One `Accuracy` a kind, in the suite's order."""
    rows: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for item, is_hit in zip(items, hits, strict=True):
        rows[item.task].append((is_hit, item.chance))
    found: dict[str, Accuracy] = {}
    for task, pairs in rows.items():
        n_hits = sum(is_hit for is_hit, _ in pairs)
        low, high = wilson_interval(n_hits, len(pairs))
        chance = sum(chance for _, chance in pairs) / len(pairs)
        found[task] = Accuracy(len(pairs), n_hits / len(pairs), low, high, chance)
    return found


def above_chance(accuracy: float, chance: float) -> float:
    """Accuracy with lucky guesses taken out: (accuracy - chance) / (1 - chance), not below 0."""
    return max(0.0, (accuracy - chance) / (1 - chance))


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean of at least one value."""
    listed = list(values)
    return sum(listed) / len(listed)


def lucky_oracle(hits: Hits) -> float:
    """Share of prompts that at least one model answered. Counts lucky guesses, so it is too high."""
    return mean(any(column) for column in zip(*hits.values(), strict=True))


def expected_oracle(items: Sequence[ReferenceItem], hits: Hits) -> float:
    """The oracle on expected scores, cross-fitted over (kind, difficulty) cells.

    The items of a cell are halved by canonical group. The model that did best on one half answers the other half, and
    the other way round. No prompt helps to choose its own model, so a lucky guess cannot raise the result; what is left
    is what knowing each model's expected score per cell is worth. It is a lower bound of any finer oracle.
    """
    cells: dict[tuple[str, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for index, item in enumerate(items):
        cells[item.task, item.difficulty][int(item.group, 16) % 2].append(index)
    won = sum(_crossed(hits, *halves) for halves in cells.values())
    return won / len(items)


def _crossed(hits: Hits, first: list[int], second: list[int]) -> int:
    return sum(_best_on(hits, tune, score) for tune, score in ((first, second), (second, first)))


def _best_on(hits: Hits, tune: list[int], score: list[int]) -> int:
    """Hits on `score` of the model that is best on `tune`; ties go to the model named first."""
    chosen = max(hits, key=lambda name: sum(hits[name][index] for index in tune))
    return sum(hits[chosen][index] for index in score)
