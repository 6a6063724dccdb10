"""Texts that are too long, refused before anything reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workbench.guardrails.config import GuardConfig
from workbench.guardrails.guard import GuardContext, judged
from workbench.guardrails.verdict import Finding, Verdict
from workbench.guardrails.view import View


class LengthConfig(GuardConfig):
    """How long one message or answer may be."""

    kind: Literal["length"]
    action: Annotated[Literal["block", "review"], Field(description="what a longer text leads to")] = "block"
    max_chars: Annotated[int, Field(gt=0, description="Unicode code points of the text as it was sent")]


class LengthGuard:
    """Counts code points of the raw text, so that it costs nothing however long the text is.

    Args:
        config: the limit.
        name: stands in verdicts.
    """

    holdback: int | None = 1

    def __init__(self, config: LengthConfig, name: str = "length") -> None:
        self.config = config
        self.name = name

    def check(self, text: View, context: GuardContext) -> Verdict:
        """One finding, the first character too many, when the text is longer than allowed."""
        most = self.config.max_chars
        n_chars = text.offset + len(text.raw)
        if n_chars <= most:
            return judged(self, context)
        finding = Finding("too_long", None, None, most, most + 1)
        return judged(self, context, (finding,), reason=f"{n_chars} characters, {most} are allowed")
