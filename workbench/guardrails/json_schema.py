"""Answers that must be JSON of a given shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from workbench.guardrails.config import GuardConfig


class JsonSchemaConfig(GuardConfig):
    """Which JSON an answer must be."""

    kind: Literal["json_schema"]
    action: Annotated[Literal["block", "review"], Field(description="what another answer leads to")] = "block"
    deadline_s: Annotated[float | None, Field(gt=0, description="longest time; patterns in a schema can be slow")] = 1.0
    json_schema: Annotated[
        dict[str, Any] | None, Field(alias="schema", description="JSON Schema; null: the request's own, if it has one")
    ] = None
