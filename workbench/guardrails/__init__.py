"""What may pass in and out: verdicts, guards, and the release of streamed text."""

from workbench.guardrails.config import GuardConfig
from workbench.guardrails.json_schema import JsonSchemaConfig
from workbench.guardrails.length import LengthConfig
from workbench.guardrails.phrases import PhrasesConfig

__all__ = ["GuardConfig", "JsonSchemaConfig", "LengthConfig", "PhrasesConfig"]
