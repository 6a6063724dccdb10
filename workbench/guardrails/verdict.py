"""What a guard answers: an action, a status apart from it, and findings that hold no text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["allow", "rewrite", "review", "block"]
Status = Literal["ok", "error", "timeout", "skipped", "unverified"]
Stage = Literal["inspect", "check"]

SEVERITY: dict[Action, int] = {"allow": 0, "rewrite": 1, "review": 2, "block": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that a guard objects to.

    Args:
        kind: what it is: "phrase", "too_long", "not_json", "schema.required", …
        start: first code point in the normalised text; None where the guard judges the whole.
        end: code point behind it in the normalised text.
        raw_start: first code point in the text as sent.
        raw_end: code point behind it in the text as sent.
        score: calibrated probability that the finding is right; None where the guard only says yes.
        sha256: hash of the matched normalised text; None where there is none.
        owasp: risk of the OWASP list for LLM applications, e.g. "LLM01".
    """

    kind: str
    start: int | None
    end: int | None
    raw_start: int
    raw_end: int
    score: float | None = None
    sha256: str | None = None
    owasp: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace raw code points `start` to `end` by `replacement`, a constant of the configuration."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guard's judgement of one text.

    Args:
        guard: the guard's name.
        stage: "inspect" for prompts, "check" for answers.
        action: what the guard asks for.
        status: whether the guard could do its work; what a failure leads to is already in `action`.
        findings: places, without their text.
        edits: what a rewriting guard would change, in raw code points.
        policy_sha256: hash of the guard's configuration.
        threshold: score above which it acts; None for guards without one.
        threshold_provenance: where the threshold was derived (a run id); None when it was typed.
        turn: index of the message judged; None for answers.
        latency_s: seconds the judgement took.
        is_shadow: recorded, never acted upon.
        reason: one line for people, without text of the request; set when the status is not ok.

    Raises:
        ValueError: edits without the action "rewrite", or the other way round.
    """

    guard: str
    stage: Stage
    action: Action
    status: Status
    policy_sha256: str
    findings: tuple[Finding, ...] = ()
    edits: tuple[Edit, ...] = ()
    threshold: float | None = None
    threshold_provenance: str | None = None
    turn: int | None = None
    latency_s: float = 0.0
    is_shadow: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if bool(self.edits) != (self.action == "rewrite"):
            raise ValueError(f"guard {self.guard!r} has {len(self.edits)} edits with action {self.action!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values; no text of a prompt or an answer is inside."""
        return asdict(self)

    def __str__(self) -> str:
        where = f" in turn {self.turn}" if self.turn is not None else ""
        kinds = sorted({finding.kind for finding in self.findings})
        why = self.reason or (f"{len(self.findings)} x {', '.join(kinds)}" if kinds else "nothing found")
        return f"{self.guard}{' (shadow)' if self.is_shadow else ''}: {self.action}{where}, {why}"


def combined(verdicts: Iterable[Verdict]) -> Action:
    """The strictest action of all guards that are not in shadow: block, then review, rewrite, allow."""
    return max((v.action for v in verdicts if not v.is_shadow), key=SEVERITY.__getitem__, default="allow")


def rewritten(raw: str, verdicts: Iterable[Verdict]) -> str:
    """The text with all edits of guards that are not in shadow; edits that overlap become one, worded by the first.

    Example:
        >>> edits = (Edit(0, 3, "[x]"), Edit(2, 5, "[y]"))
        >>> rewritten("abcdefg", [Verdict("g", "check", "rewrite", "ok", "", edits=edits)])
        '[x]fg'
    """
    edits = sorted(
        (edit for v in verdicts if not v.is_shadow for edit in v.edits), key=lambda edit: (edit.start, -edit.end)
    )
    text, done = "", 0
    for edit in edits:
        if edit.start >= done:
            text += raw[done : edit.start] + edit.replacement
        done = max(done, edit.end)
    return text + raw[done:]
