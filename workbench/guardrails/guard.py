"""What every guard is: a name, how far it must look ahead, and a judgement of one text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from workbench.guardrails.config import GuardConfig
from workbench.guardrails.verdict import Edit, Finding, Stage, Status, Verdict
from workbench.guardrails.view import View


@dataclass(frozen=True, slots=True)
class GuardContext:
    """What a guard may know besides the text.

    Args:
        stage: "inspect" for prompts, "check" for answers.
        turn: index of the message; None for answers.
        json_schema: the JSON Schema that the request asks for; None when free.
    """

    stage: Stage
    turn: int | None = None
    json_schema: dict[str, Any] | None = None


class Guard(Protocol):
    """A check of one text. It judges and never changes; state of a stream lives outside. `tests/conformance/test_guards.py`.

    Attributes:
        name: stands in verdicts and metrics.
        holdback: longest finding in normalised code points: a streamed text is safe up to this distance from its end, and a
            finding that is complete in a window stays one in every longer text; None when only the whole text can be judged.
    """

    name: str
    holdback: int | None

    @property
    def config(self) -> GuardConfig:
        """Its configuration."""
        ...

    def check(self, text: View, context: GuardContext) -> Verdict:
        """The judgement. A window of a longer text (`text.offset` > 0) is judged as part of it."""
        ...


def judged(
    guard: Guard,
    context: GuardContext,
    findings: tuple[Finding, ...] = (),
    edits: tuple[Edit, ...] = (),
    status: Status = "ok",
    reason: str = "",
) -> Verdict:
    """The verdict that follows from the findings: the guard's configured action if there are any, else allow."""
    return Verdict(
        guard=guard.name,
        stage=context.stage,
        action=guard.config.action if findings else "allow",
        status=status,
        policy_sha256=guard.config.sha256,
        findings=findings,
        edits=edits,
        turn=context.turn,
        is_shadow=guard.config.mode == "shadow",
        reason=reason,
    )


def failed(guard: Guard, context: GuardContext, status: Status, reason: str) -> Verdict:
    """The verdict of a guard that could not judge: what `on_failure` says."""
    return Verdict(
        guard=guard.name,
        stage=context.stage,
        action=guard.config.on_failure,
        status=status,
        policy_sha256=guard.config.sha256,
        turn=context.turn,
        is_shadow=guard.config.mode == "shadow",
        reason=reason,
    )
