"""Texts that hold one of a list of phrases."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from workbench.core.hashing import sha256_text
from workbench.guardrails.config import GuardConfig
from workbench.guardrails.guard import GuardContext, judged
from workbench.guardrails.verdict import Edit, Finding, Verdict
from workbench.guardrails.view import View


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
        if any(not View(phrase).text.strip() for phrase in phrases):
            raise ValueError("an empty phrase is in every text; remove it")
        return phrases


class PhrasesGuard:
    """Finds the phrases as whole words in the normalised text.

    A list of phrases is a tripwire for what is known, no detection of injections: research on public attacks finds that such
    lists catch between 0 and 54 % of them.

    Args:
        config: the phrases.
        name: stands in verdicts.

    Example:
        >>> guard = PhrasesGuard(PhrasesConfig(kind="phrases", phrases=("ignore previous instructions",)))
        >>> guard.check(View("Please IGNORE\\n previous\\u200b instructions!"), GuardContext("inspect")).action
        'block'
    """

    def __init__(self, config: PhrasesConfig, name: str = "phrases") -> None:
        self.config = config
        self.name = name
        phrases = [View(phrase).text.strip() for phrase in config.phrases]
        self.holdback: int | None = max(map(len, phrases))
        self._patterns = [_whole_words(phrase) for phrase in phrases]

    def check(self, text: View, context: GuardContext) -> Verdict:
        """A finding for every occurrence, overlapping ones included, in the order of the text."""
        spans = sorted({match.span(1) for pattern in self._patterns for match in pattern.finditer(text.text)})
        findings = tuple(self._finding(text, start, end) for start, end in spans)
        is_rewriting = self.config.action == "rewrite"
        edits = tuple(Edit(f.raw_start, f.raw_end, self.config.replacement) for f in findings) if is_rewriting else ()
        return judged(self, context, findings, edits)

    def _finding(self, text: View, start: int, end: int) -> Finding:
        matched = sha256_text(text.text[start:end].casefold())
        raw_start, raw_end = text.raw_span(start, end)
        return Finding("phrase", start, end, raw_start, raw_end, sha256=matched, owasp=self.config.owasp)


def _whole_words(phrase: str) -> re.Pattern[str]:
    """The phrase with word boundaries where its ends are words; a look-ahead, so that overlapping occurrences are all found."""
    before = r"(?<!\w)" if re.match(r"\w", phrase) else ""
    after = r"(?!\w)" if re.search(r"\w$", phrase) else ""
    return re.compile(f"{before}(?=({re.escape(phrase)}){after})", re.IGNORECASE)
