"""Graders by name, with their options, as a suite's rows and the command line write them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.core import ConfigError
from workbench.core.hashing import canonical_json
from workbench.core.naming import did_you_mean
from workbench.core.registry import Registry

_HOME = "workbench.evaluation.graders"
GRADERS = Registry(
    "grader",
    {
        "choice": f"{_HOME}.text:grade_choice",
        "contains": f"{_HOME}.text:grade_contains",
        "exact": f"{_HOME}.text:grade_exact",
        "json": f"{_HOME}.structured:grade_json",
        "normalised": f"{_HOME}.text:grade_normalised",
        "numeric": f"{_HOME}.number:grade_numeric",
        "regex": f"{_HOME}.text:grade_regex",
        "token_f1": f"{_HOME}.text:grade_token_f1",
    },
)
CHECKS = Registry(
    "grader check",
    {
        "choice": f"{_HOME}.text:check_choice",
        "json": f"{_HOME}.structured:check_json",
        "numeric": f"{_HOME}.number:check_numeric",
        "regex": f"{_HOME}.text:check_regex",
    },
)
JUDGE = "judge"
JUDGE_OPTIONS = frozenset({"model", "rubric", "instructions"})


@dataclass(frozen=True, slots=True)
class GraderSpec:
    """A grader's name and options. Written as `numeric`, `numeric:tolerance=0.01` or `{"name": "numeric", "tolerance": 0.01}`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, written: Any) -> GraderSpec:
        """A spec from its written form.

        Raises:
            ConfigError: unknown grader or option; suggests the nearest.

        Example:
            >>> GraderSpec.parse("numeric:tolerance=0.5").options
            {'tolerance': 0.5}
        """
        spec = cls(*_parts(written))
        known = JUDGE_OPTIONS if spec.name == JUDGE else _options_of(spec.name)
        for option in spec.options:
            if option not in known:
                raise ConfigError(
                    f"unknown option {option!r} of the grader {spec.name!r}: {did_you_mean(option, known)}"
                )
        return spec

    @property
    def is_judge(self) -> bool:
        """Whether a model grades, rather than a function."""
        return self.name == JUDGE

    def to_text(self) -> str:
        """The written form: the bare name, or canonical JSON when there are options."""
        return canonical_json({"name": self.name, **self.options}) if self.options else self.name

    def check(self, reference: str | None) -> None:
        """Raise ConfigError where this grader cannot work with the reference (None: there is no answer)."""
        if self.is_judge:
            return
        if reference is None and not self.works_without_answer:
            raise ConfigError(f"there is no answer, and the grader {self.name!r} needs one")
        if self.name in CHECKS.names():
            CHECKS.load(self.name)(reference, **self.options)

    @property
    def works_without_answer(self) -> bool:
        """Whether rows need no reference answer."""
        needed = {"json": "schema", "regex": "pattern"}.get(self.name)
        return self.is_judge or (needed is not None and needed in self.options)


def grade(name: str, answer: str, reference: str | None, **options: Any) -> float:
    """Score of one answer, 0..1; the same whatever was graded before.

    Raises:
        ConfigError: unknown grader, or a reference it cannot use. No answer raises.

    Example:
        >>> grade("numeric", "That makes 18 eggs.", "18"), grade("exact", "no", "yes")
        (1.0, 0.0)
    """
    function: Callable[..., float] = GRADERS.load(name)
    return function(answer, reference, **options)


def _options_of(name: str) -> list[str]:
    if name not in [*GRADERS.names(), JUDGE]:
        raise ConfigError(f"unknown grader {name!r}: {did_you_mean(name, [*GRADERS.names(), JUDGE])}")
    return [
        option for option in inspect.signature(GRADERS.load(name)).parameters if option not in ("answer", "reference")
    ]


def _parts(written: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(written, GraderSpec):
        return written.name, dict(written.options)
    if isinstance(written, str) and written.lstrip().startswith("{"):
        try:
            written = json.loads(written)
        except json.JSONDecodeError as exc:
            raise ConfigError(f"the grader {written!r} is not JSON: {exc.msg}") from exc
    if isinstance(written, Mapping):
        if not isinstance(written.get("name"), str):
            raise ConfigError(f"the grader {dict(written)!r} has no 'name'")
        return written["name"], {key: value for key, value in written.items() if key != "name"}
    if not isinstance(written, str):
        raise ConfigError(f"a grader is a name or an object with a name, found {written!r}")
    name, _, options = written.partition(":")
    return name.strip(), dict(_option(part) for part in options.split(",") if part.strip())


def _option(part: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not equals:
        raise ConfigError(f"the grader option {part!r} must be written name=value")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value.strip()
