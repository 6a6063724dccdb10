"""The space file: what a sweep with several parameters may vary, checked once at the edge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import parse, read_yaml
from workbench.embedding import EMBEDDERS
from workbench.routing import predictor_kinds
from workbench.routing.calibration import METHODS

GOALS = ("score", "cost", "latency", "latency-p95")
KINDS = ("cost-aware", "capability", "hybrid")
EVERY_TASK = "*"
"""As a task's name in `floors`: every task of the Outcomes has a floor of its own, with this range."""

NUMBERS_OF: Mapping[str, tuple[str, ...]] = {
    "cost-aware": ("exchange",),
    "capability": ("floor", "floors"),
    "hybrid": ("exchange", "per_second", "floor", "floors", "slo_s", "cost_limit_usd"),
}
"""Objective → the numbers that it is made of."""
NEEDED = {"cost-aware": "exchange", "capability": "floor"}
"""Objective → the number without which it means nothing."""
LARGEST = 1e100
"""No number of a space is further from 0: utilities stay finite."""


def _not_a_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, a range or a list of numbers is expected, not yes or no")
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False), BeforeValidator(_not_a_truth)]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]


class RangeConfig(Strict):
    """All numbers from `low` to `high`, both included."""

    low: Annotated[Number, Field(description="least value")]
    high: Annotated[Number, Field(description="greatest value; equal to `low`, the number is fixed")]
    log: Annotated[bool, Field(description="drawn evenly over the logarithm: for what spans powers of ten")] = False
    step: Annotated[Number | None, Field(gt=0, description="only low, low + step, …; null: every number")] = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; exchange them")
        if self.log and self.low <= 0:
            raise ValueError(f"a range with log: true begins above 0, this one at {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("a range has a step or log: true, not both; list the values instead")
        return self


Choices = Annotated[tuple[Number | None, ...], Field(min_length=1)]


def _shape(value: Any) -> str:
    """Which of the forms of a parameter a value has, so that only that form's complaint is shown."""
    if isinstance(value, dict | RangeConfig):
        return "RangeConfig"
    return "tuple" if isinstance(value, list | tuple) else "float"


Domain = (
    Annotated[
        Annotated[Number, Tag("float")] | Annotated[RangeConfig, Tag("RangeConfig")] | Annotated[Choices, Tag("tuple")],
        Discriminator(_shape),
    ]
    | None
)
"""One number, a range, or a list of numbers; null among them switches a limit off."""


class SpaceConfig(Strict):
    """What is varied and what is wanted.

    A number belongs to every listed objective that has it: with `objective: [cost-aware, hybrid]` both have `exchange`.
    """

    schema_version: Annotated[Literal[1], Field(description="version of this format")]
    name: Annotated[str, Field(min_length=1, description="as printed and tracked")] = "space"
    goals: Annotated[
        tuple[Literal["score", "cost", "latency", "latency-p95"], ...],
        Field(description="score rises, the others fall; latencies only where they were measured"),
    ] = ("score", "cost")
    predictor: Annotated[Names, Field(description="a predictor, or several to choose from")] = ("stack",)
    embedder: Annotated[Names, Field(description="for predictors that read texts: static, minilm")] = ("static",)
    calibration: Annotated[
        Names, Field(description="none, isotonic, platt: fitted on held-out predictions of the tune split")
    ] = ("none",)
    objective: Annotated[Names, Field(description="cost-aware, capability, hybrid")]
    exchange: Annotated[Domain, Field(description="λ ≥ 0, score that one USD must buy")] = None
    per_second: Annotated[Domain, Field(description="μ ≥ 0, score that one second is worth")] = None
    floor: Annotated[Domain, Field(description="least predicted score; null: none")] = None
    floors: Annotated[
        dict[str, Domain], Field(description="task → its own floor; '*' gives every task of the Outcomes one")
    ] = {}
    slo_s: Annotated[Domain, Field(description="most predicted seconds; null: no limit")] = None
    cost_limit_usd: Annotated[Domain, Field(description="most predicted USD of one answer; null: no limit")] = None

    @field_validator("goals")
    @classmethod
    def _can_be_weighed(cls, goals: tuple[str, ...]) -> tuple[str, ...]:
        if "score" not in goals or len(goals) < 2:
            raise ValueError("goals are score and at least one of cost, latency, latency-p95")
        return _once("goals", goals)

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        _known("predictor", self.predictor, predictor_kinds())
        _known("embedder", self.embedder, EMBEDDERS.names())
        _known("calibration", self.calibration, ("none", *METHODS))
        _known("objective", self.objective, KINDS)
        self._check_numbers()
        return self

    def _check_numbers(self) -> None:
        used = {name for kind in self.objective for name in NUMBERS_OF[kind]}
        for name in ("exchange", "per_second", "floor", "floors", "slo_s", "cost_limit_usd"):
            given = self.floors if name == "floors" else getattr(self, name)
            if given not in (None, {}) and name not in used:
                owners = [kind for kind, names in NUMBERS_OF.items() if name in names]
                raise ValueError(f"{name} is a number of {' and '.join(owners)}, which objective does not list")
        for kind, name in NEEDED.items():
            if kind in self.objective and None in values_of(getattr(self, name)):
                raise ValueError(f"objective {kind} needs {name}: a number, a range or a list of numbers without null")
        for name in ("exchange", "per_second"):
            self._check_least(name, getattr(self, name), 0.0)
        for name in ("slo_s", "cost_limit_usd"):
            self._check_least(name, getattr(self, name), math.nextafter(0.0, 1.0))
        for task, domain in self.floors.items():
            if None in values_of(domain):
                raise ValueError(f"the floor of task {task!r} is null; leave the task out, `floor` holds for it then")

    def _check_least(self, name: str, domain: Domain, least: float) -> None:
        numbers = [value for value in values_of(domain) if value is not None]
        if numbers and min(numbers) < least:
            allowed = "0 or more" if least == 0 else "above 0, or null for no limit"
            raise ValueError(f"{name} goes down to {min(numbers):g}; it must be {allowed}")
        if name in ("exchange", "per_second") and domain is not None and None in values_of(domain):
            raise ValueError(f"{name} may not be null; 0 switches it off")


def values_of(domain: Domain) -> tuple[float | None, ...]:
    """The listed values, the one value, or both ends of a range."""
    if isinstance(domain, RangeConfig):
        return domain.low, domain.high
    return domain if isinstance(domain, tuple) else (domain,)


def load_space(path: Path) -> SpaceConfig:
    """The space of a YAML file.

    Raises:
        ConfigError: missing, empty, not YAML, or an entry that means nothing; unknown names come with the nearest known one.
    """
    data = read_yaml(path, "space")
    if not data:
        raise ConfigError(f"the space {path} is empty; give at least schema_version, objective and what is varied")
    return parse(SpaceConfig, data, str(path))


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in _once(what, tuple(names)):
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; {did_you_mean(name, known)}")


def _once(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} lists {name!r} twice; name each once")
    return names
