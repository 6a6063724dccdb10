"""Grades the answers of a recording: by functions at once, by judges in one batch a judge, with what judging cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.validation import parse
from workbench.economics import HardwareProfile
from workbench.evaluation.graders.judge import Grade, JudgeConfig, JudgeGrader
from workbench.evaluation.graders.registry import GraderSpec, grade
from workbench.evaluation.items import Item
from workbench.evaluation.suite import Suite
from workbench.models import Model

Answered = tuple[Item, str]


class Grading:
    """The graders of one suite.

    Args:
        suite: says which grader each item has.
        judges: models that judge, by name.
        profiles: hardware by name, for the cost of judging.

    Raises:
        ConfigError: the suite names a judge that is not among `judges`.
    """

    def __init__(self, suite: Suite, judges: Mapping[str, Model], profiles: Mapping[str, HardwareProfile]) -> None:
        self._suite = suite
        specs = {spec.to_text(): spec for spec in map(suite.grader_of, suite) if spec.is_judge}
        self._judges = {text: _judge(spec, judges, profiles) for text, spec in specs.items()}

    async def grade(self, answered: Sequence[Answered]) -> list[Grade]:
        """A grade for each answer, in order. Functions run in a thread, so that answers under way keep their times."""
        judged: dict[str, list[int]] = {}
        by_function: list[int] = []
        for place, (item, _) in enumerate(answered):
            spec = self._suite.grader_of(item)
            (judged.setdefault(spec.to_text(), []) if spec.is_judge else by_function).append(place)
        grades = await asyncio.to_thread(self._by_function, answered, by_function) if by_function else {}
        for judge, places in judged.items():
            asked = [(answered[place][0].prompt, answered[place][1], answered[place][0].answer) for place in places]
            grades.update(zip(places, await self._judges[judge].grade_many(asked), strict=True))
        return [grades[place] for place in range(len(answered))]

    def _by_function(self, answered: Sequence[Answered], places: Sequence[int]) -> dict[int, Grade]:
        grades = {}
        for place in places:
            item, text = answered[place]
            spec = self._suite.grader_of(item)
            grades[place] = Grade(grade(spec.name, text, item.answer, **spec.options))
        return grades


def judge_names(suite: Suite) -> list[str]:
    """Names of the models that the suite wants as judges."""
    specs = [spec for spec in map(suite.grader_of, suite) if spec.is_judge]
    return sorted({str(spec.options["model"]) for spec in specs if "model" in spec.options})


def _judge(spec: GraderSpec, judges: Mapping[str, Model], profiles: Mapping[str, HardwareProfile]) -> JudgeGrader:
    options: dict[str, Any] = dict(spec.options)
    name = options.pop("model", None)
    if name is None:
        raise ConfigError("the grader 'judge' needs a model: judge:model=NAME")
    if name not in judges:
        raise ConfigError(f"unknown judge {name!r}: {did_you_mean(str(name), judges)}")
    return JudgeGrader(judges[name], parse(JudgeConfig, options, "grader judge"), profiles)
