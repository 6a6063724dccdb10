"""What may pass in and out: verdicts, guards, and the release of streamed text."""

from workbench.guardrails.chain import GUARD_KINDS, GuardChain, blocking, make_guards, raise_if_blocked
from workbench.guardrails.config import GuardConfig
from workbench.guardrails.guard import Guard, GuardContext
from workbench.guardrails.json_schema import JsonSchemaConfig, JsonSchemaGuard
from workbench.guardrails.length import LengthConfig, LengthGuard
from workbench.guardrails.phrases import PhrasesConfig, PhrasesGuard
from workbench.guardrails.release import StreamRelease, holds_whole
from workbench.guardrails.verdict import Action, Edit, Finding, Stage, Status, Verdict, combined, rewritten
from workbench.guardrails.view import NormalForm, View

__all__ = [
    "GUARD_KINDS",
    "Action",
    "Edit",
    "Finding",
    "Guard",
    "GuardChain",
    "GuardConfig",
    "GuardContext",
    "JsonSchemaConfig",
    "JsonSchemaGuard",
    "LengthConfig",
    "LengthGuard",
    "NormalForm",
    "PhrasesConfig",
    "PhrasesGuard",
    "Stage",
    "Status",
    "StreamRelease",
    "Verdict",
    "View",
    "blocking",
    "combined",
    "holds_whole",
    "make_guards",
    "raise_if_blocked",
    "rewritten",
]
