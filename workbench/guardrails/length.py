"""Texts that are too long, refused before anything reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workbench.guardrails.config import GuardConfig


class LengthConfig(GuardConfig):
    """How long one message or answer may be."""

    kind: Literal["length"]
    action: Annotated[Literal["block", "review"], Field(description="what a longer text leads to")] = "block"
    max_chars: Annotated[int, Field(gt=0, description="Unicode code points of the text as it was sent")]
