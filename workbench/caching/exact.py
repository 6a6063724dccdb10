"""Answers that were given before to exactly the same question."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workbench.core.price import Strict


class ExactCacheConfig(Strict):
    """How many answers are kept and for how long."""

    max_entries: Annotated[int, Field(gt=0, description="answers kept; the longest unused goes first")] = 10_000
    ttl_s: Annotated[
        float | None, Field(gt=0, description="seconds from its making after which an answer is stale; null: never")
    ] = 3600.0
