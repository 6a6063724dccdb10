"""What a policy may know about requests before they are answered, as a batch; a live request is a batch of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError, Request

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """A batch of n requests as predictors see them.

    Args:
        texts: the text that will be answered (the last user message), one a request.
        tasks: kind of task where the caller knows it, else None.
        prompt_tokens: shape (n,), tokens of the whole prompt; None when not counted, NaN where unknown.
        groups: paraphrase group where known. Only fitting looks at it: cross-validation never splits a group.

    Raises:
        ConfigError: the parts differ in length.

    Example:
        >>> batch = Queries.of(["2 + 2?", "Who wrote Hamlet?"], tasks=["add", None])
        >>> len(batch), batch[1:].texts
        (2, ('Who wrote Hamlet?',))
    """

    texts: tuple[str, ...]
    tasks: tuple[str | None, ...]
    prompt_tokens: FloatArray | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.texts)
        for name in ("tasks", "prompt_tokens", "groups"):
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise ConfigError(
                    f"a batch of {n} texts has {len(part)} {name}; give one a text, or None where unknown"
                )

    @classmethod
    def of(cls, texts: Iterable[str], tasks: Iterable[str | None] | None = None, **known: Any) -> Self:
        """A batch from any iterables; tasks are unknown when not given."""
        texts = tuple(texts)
        return cls(texts, (None,) * len(texts) if tasks is None else tuple(tasks), **known)

    @classmethod
    def from_requests(cls, requests: Iterable[Request]) -> Self:
        """The batch of these requests, in order; token counts are unknown."""
        requests = tuple(requests)
        return cls(tuple(r.prompt for r in requests), tuple(r.task for r in requests))

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice | npt.NDArray[Any] | list[int]) -> Self:
        """The requests at a slice, an array of row numbers or a boolean mask, as a batch."""
        index = np.arange(len(self))[rows].tolist()
        return type(self)(
            tuple(self.texts[i] for i in index),
            tuple(self.tasks[i] for i in index),
            None if self.prompt_tokens is None else self.prompt_tokens[index],
            None if self.groups is None else tuple(self.groups[i] for i in index),
        )
