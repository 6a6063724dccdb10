"""What is put around a prompt: a role, fixed examples and a wording."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from workbench.core.price import Strict


class Example(Strict):
    """One fixed example, shown as a turn of the conversation."""

    prompt: Annotated[str, Field(description="what a user asks; the template is put around it as well")]
    answer: Annotated[str, Field(description="what the assistant answers")]


class TemplateConfig(Strict):
    """How a request's last user message is worded for a model."""

    system: Annotated[str | None, Field(description="the role, as a system message; null: none")] = None
    template: Annotated[str, Field(description="wording with {prompt} where the user's text goes")] = "{prompt}"
    examples: Annotated[tuple[Example, ...], Field(description="fixed examples before the conversation")] = ()

    @field_validator("template")
    @classmethod
    def _has_prompt(cls, template: str) -> str:
        if "{prompt}" not in template:
            raise ValueError("a template needs {prompt} where the user's text goes")
        return template
