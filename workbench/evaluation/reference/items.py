"""What the suite is made of: one drawn instance, one worded item, and the split that keeps them apart."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

Domain = Literal["text", "math"]
Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Instance:
    """One underlying problem before it is put into words.

    Args:
        task: kind of task, a key of `TASKS`.
        slots: what the wording's placeholders are filled with.
        answer: the one correct answer.
        difficulty: 1 (easy) to 3 (hard), from the instance itself.
        key: canonical form shared by every paraphrase, commuted and sibling form; it alone decides the split.
        chance: probability that a guess in the right form is right, 0..1.
    """

    task: str
    slots: dict[str, str]
    answer: str
    difficulty: int
    key: str
    chance: float = 0.0

    @property
    def split(self) -> Split:
        """The split this instance belongs to."""
        return split_of(self.key)


@dataclass(frozen=True, slots=True)
class ReferenceItem:
    """One prompt of the reference suite with its answer and where it came from.

    `group` is equal for all paraphrases and siblings of one canonical instance: resample by it in a bootstrap.
    `chance` is the hit rate of a guess in the right form, 0..1: use it to correct for lucky guesses.
    """

    prompt_id: str
    prompt: str
    answer: str
    task: str
    group: str
    difficulty: int
    domain: Domain
    wording_id: str
    is_held_out: bool
    chance: float
    split: Split

    def to_record(self) -> dict[str, Any]:
        """A flat, JSON-ready row; `id` repeats `prompt_id` for readers that expect that name."""
        return {"id": self.prompt_id, **asdict(self)}


def short_hash(text: str) -> str:
    """Twelve hex characters of blake2b, stable across platforms and Python versions."""
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def split_of(key: str) -> Split:
    """10 % test, 5 % dev, the rest train, from the canonical key alone."""
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") % 100
    if bucket < 10:
        return "test"
    return "dev" if bucket < 15 else "train"
