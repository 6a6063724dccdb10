"""The training stream: batches of encoded conversations, a function of seed and position only.

Nothing is stored: batch 12,345 of a seed can be made again at any time, which is what makes runs resumable and data
hashes checkable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.reference.conversations import Mixture, draw_conversation
from workbench.evaluation.reference.tokenizer import MAX_POSITIONS, PAD_ID, encode_conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK_CONVERSATIONS = 2048
"""Conversations sorted by length together: more waste less padding, fewer mix lengths better."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded conversations.

    Args:
        ids: token ids, shape (sequences, tokens).
        is_answer: which ids the loss is on, same shape.
        n_tokens: tokens without padding.
    """

    ids: NDArray[np.int64]
    is_answer: NDArray[np.bool_]
    n_tokens: int


def _pad(rows: list[tuple[list[int], list[bool]]]) -> Batch:
    longest = max(len(ids) for ids, _ in rows)
    ids = np.full((len(rows), longest), PAD_ID, np.int64)
    is_answer = np.zeros((len(rows), longest), np.bool_)
    for row, (row_ids, flags) in enumerate(rows):
        ids[row, : len(row_ids)] = row_ids
        is_answer[row, : len(row_ids)] = flags
    return Batch(ids, is_answer, sum(len(row_ids) for row_ids, _ in rows))


def _cut(rows: list[tuple[list[int], list[bool]]], tokens_per_batch: int) -> list[Batch]:
    """Rows sorted by length, cut where the padded size would exceed the budget."""
    batches: list[Batch] = []
    pending: list[tuple[list[int], list[bool]]] = []
    for row in rows:
        if pending and (len(pending) + 1) * len(row[0]) > tokens_per_batch:
            batches.append(_pad(pending))
            pending = []
        pending.append(row)
    return [*batches, _pad(pending)]


def chunk(
    tokenizer: PreTrainedTokenizerFast, mixture: Mixture, seed: int, number: int, tokens_per_batch: int
) -> list[Batch]:
    """The batches of one chunk, in shuffled order."""
    rng = Random(f"stream-{seed}-{number}")
    conversations = [draw_conversation(mixture, rng) for _ in range(CHUNK_CONVERSATIONS)]
    rows = [row for row in (encode_conversation(tokenizer, c) for c in conversations) if len(row[0]) <= MAX_POSITIONS]
    batches = _cut(sorted(rows, key=lambda row: len(row[0])), tokens_per_batch)
    rng.shuffle(batches)
    return batches


def batches(
    tokenizer: PreTrainedTokenizerFast, mixture: Mixture, seed: int, tokens_per_batch: int, start: int = 0
) -> Iterator[Batch]:
    """Batches without end, from position `start` on."""
    number, skipped = 0, 0
    while True:
        made = chunk(tokenizer, mixture, seed, number, tokens_per_batch)
        yield from made[max(0, start - skipped) :]
        skipped += len(made)
        number += 1


def data_sha256(tokenizer: PreTrainedTokenizerFast, mixture: Mixture, seed: int) -> str:
    """A fingerprint of the stream: the sha256 of its first chunk's token ids."""
    digest = hashlib.sha256()
    for batch in chunk(tokenizer, mixture, seed, 0, 4096):
        digest.update(batch.ids.tobytes())
    return digest.hexdigest()
