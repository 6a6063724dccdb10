"""Answers that must be JSON of a given shape."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field

from workbench.core import ConfigError, MissingExtra
from workbench.core.hashing import canonical_json
from workbench.guardrails.config import GuardConfig
from workbench.guardrails.guard import GuardContext, judged
from workbench.guardrails.verdict import Finding, Verdict
from workbench.guardrails.view import View


class JsonSchemaConfig(GuardConfig):
    """Which JSON an answer must be."""

    kind: Literal["json_schema"]
    action: Annotated[Literal["block", "review"], Field(description="what another answer leads to")] = "block"
    deadline_s: Annotated[float | None, Field(gt=0, description="longest time; patterns in a schema can be slow")] = 1.0
    json_schema: Annotated[
        dict[str, Any] | None, Field(alias="schema", description="JSON Schema; null: the request's own, if it has one")
    ] = None


class JsonSchemaGuard:
    """Parses the answer and validates it; needs the whole answer.

    Args:
        config: the schema, if it is not the request's.
        name: stands in verdicts.

    Raises:
        ConfigError: the configured schema is not a valid JSON Schema.
        MissingExtra: jsonschema-rs is not installed.
    """

    holdback: int | None = None

    def __init__(self, config: JsonSchemaConfig, name: str = "json_schema") -> None:
        self.config = config
        self.name = name
        if config.json_schema is not None:
            compiled(config.json_schema)

    def check(self, text: View, context: GuardContext) -> Verdict:
        """Skipped without a schema; else the first place that breaks it."""
        schema = self.config.json_schema if self.config.json_schema is not None else context.json_schema
        if schema is None:
            return judged(self, context, status="skipped", reason="no schema is asked for")
        try:
            value = json.loads(text.raw, parse_constant=_refuse)
        except json.JSONDecodeError as exc:
            return self._broken(context, "not_json", exc.pos, text)
        except (ValueError, RecursionError):
            return self._broken(context, "not_json", 0, text)
        error = next(iter(compiled(schema).iter_errors(value)), None)
        if error is None:
            return judged(self, context)
        return self._broken(context, f"schema.{error.schema_path[-1] if error.schema_path else 'false'}", 0, text)

    def _broken(self, context: GuardContext, kind: str, start: int, text: View) -> Verdict:
        finding = Finding(kind, None, None, start, len(text.raw))
        return judged(self, context, (finding,), reason=f"the answer is not what the schema asks for ({kind})")


def compiled(schema: dict[str, Any]) -> Any:
    """A validator of the schema. Patterns run in linear time and references never leave the schema.

    Raises:
        ConfigError: not a valid JSON Schema.
        MissingExtra: jsonschema-rs is not installed.
    """
    return _compiled(canonical_json(schema))


@lru_cache(maxsize=256)
def _compiled(schema: str) -> Any:
    try:
        import jsonschema_rs
    except ModuleNotFoundError as exc:
        raise MissingExtra("the json_schema guard", "gateway") from exc
    try:
        return jsonschema_rs.validator_for(
            json.loads(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as exc:
        what = str(exc).split("\n")[0][:200]
        raise ConfigError(f"the JSON Schema of the answer is not valid: {what}; correct it or leave it out") from exc


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
