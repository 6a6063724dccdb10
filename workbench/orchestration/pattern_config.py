"""The patterns a stack can answer by, as configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from workbench.core.price import Strict

CHOSEN = "chosen"


class SingleConfig(Strict):
    """The chosen model answers."""

    kind: Literal["single"]


class PipelineStepConfig(Strict):
    """One step: a model and what it is asked."""

    model: Annotated[str, Field(description="a model's name, or `chosen`: the one the policy chose")] = CHOSEN
    template: Annotated[
        str, Field(description="what it is asked: {prompt} is the user's text, {previous} the step before")
    ]
    max_tokens: Annotated[
        int | None, Field(gt=0, description="most tokens of this step's answer; null: the request's")
    ] = None

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if "{prompt}" not in template and "{previous}" not in template:
            raise ValueError("a step's template needs {prompt} or {previous}")
        return template


class PipelineConfig(Strict):
    """Models answer one after another, each seeing the answer before."""

    kind: Literal["pipeline"]
    steps: Annotated[
        tuple[PipelineStepConfig, ...], Field(min_length=1, description="in order; the last one's answer counts")
    ]

    @field_validator("steps")
    @classmethod
    def _begins_with_prompt(cls, steps: tuple[PipelineStepConfig, ...]) -> tuple[PipelineStepConfig, ...]:
        if "{previous}" in steps[0].template:
            raise ValueError("the first step has no {previous}; use {prompt}")
        return steps


class FanOutConfig(Strict):
    """Several models answer at once and their answers are joined."""

    kind: Literal["fan_out"]
    models: Annotated[
        tuple[str, ...], Field(min_length=2, description="names, or `chosen`; order decides ties after the chosen one")
    ]
    join: Annotated[
        Literal["first_valid", "majority", "best_logprob"],
        Field(
            description="first_valid: the first to arrive; majority: the most frequent answer, normalised;"
            " best_logprob: the highest log-probability a token"
        ),
    ] = "majority"
    quorum: Annotated[int, Field(gt=0, description="fewest answers that will do; fewer fail the request")] = 1
    deadline_s: Annotated[
        float | None,
        Field(gt=0, description="seconds after which late models are left out; null: the request's deadline"),
    ] = None


PatternConfig = Annotated[SingleConfig | PipelineConfig | FanOutConfig, Field(discriminator="kind")]
