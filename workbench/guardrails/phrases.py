"""Texts that hold one of a list of phrases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from workbench.guardrails.config import GuardConfig


class PhrasesConfig(GuardConfig):
    """Phrases to look for, whole words, without regard to case, spacing and invisible characters."""

    kind: Literal["phrases"]
    phrases: Annotated[tuple[str, ...], Field(min_length=1, description="the phrases, as people would write them")]
    replacement: Annotated[str, Field(description="what a rewriting guard puts in their place")] = "[removed]"
    owasp: Annotated[
        str | None, Field(pattern=r"^LLM\d\d$", description="risk of the OWASP list for LLM applications, e.g. LLM01")
    ] = None

    @field_validator("phrases")
    @classmethod
    def _are_not_empty(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        if any(not phrase.strip() for phrase in phrases):
            raise ValueError("an empty phrase is in every text; remove it")
        return phrases
