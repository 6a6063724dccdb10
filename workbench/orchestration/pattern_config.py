"""The patterns a stack can answer by, as configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

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


class LogprobAcceptConfig(Strict):
    """An answer is accepted when its model was sure of it."""

    kind: Literal["logprob"]
    threshold: Annotated[
        float, Field(le=0, description="least mean log-probability a token of the answer; -0.1 is surer than -1")
    ]


class AgreementAcceptConfig(Strict):
    """An answer is accepted when two models give it; the first two are asked at once."""

    kind: Literal["agreement"]


class JudgeAcceptConfig(Strict):
    """An answer is accepted when another model finds it good enough."""

    kind: Literal["judge"]
    model: Annotated[str, Field(description="who judges")]
    template: Annotated[
        str, Field(description="what it is asked: {prompt} is the user's text, {answer} what is judged")
    ] = "Question: {prompt}\nAnswer: {answer}\nIs the answer correct? Reply yes or no."
    threshold: Annotated[
        float, Field(description="least judgement in 0..1; yes is 1, no is 0, a number counts by scale")
    ] = 0.5
    scale: Annotated[float, Field(gt=0, description="the judge's best mark, where it replies with a number")] = 1.0
    max_tokens: Annotated[int, Field(gt=0, description="most tokens of a judgement")] = 8

    @field_validator("template")
    @classmethod
    def _sees_the_answer(cls, template: str) -> str:
        if "{answer}" not in template:
            raise ValueError("a judge's template needs {answer}; add {prompt} so that it knows the question")
        return template


AcceptConfig = Annotated[LogprobAcceptConfig | AgreementAcceptConfig | JudgeAcceptConfig, Field(discriminator="kind")]


class CascadeConfig(Strict):
    """Models answer one after another, the cheap first, until an answer is accepted; the last one's always is."""

    kind: Literal["cascade"]
    models: Annotated[
        tuple[str, ...], Field(min_length=2, description="names, cheap first; `chosen` is the one the policy chose")
    ]
    accept: Annotated[AcceptConfig, Field(description="logprob, agreement or judge: when an answer is good enough")]

    @model_validator(mode="after")
    def _can_agree(self) -> Self:
        if self.accept.kind == "agreement" and len(self.models) < 3:
            raise ValueError("agreement asks the first two models and escalates to a third; name at least three models")
        return self


PatternConfig = Annotated[SingleConfig | PipelineConfig | FanOutConfig | CascadeConfig, Field(discriminator="kind")]
