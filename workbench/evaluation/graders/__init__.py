"""Graders: functions from (answer, reference) to a score in 0..1, and a judge that asks a model."""

from typing import Any

from workbench.evaluation.graders.judge import Grade, JudgeConfig, JudgeGrader, parse_judgement
from workbench.evaluation.graders.registry import GRADERS, GraderSpec, grade

__all__ = ["GRADERS", "Grade", "GraderSpec", "JudgeConfig", "JudgeGrader", "grade", "metric", "parse_judgement"]


def __getattr__(name: str) -> Any:
    if name != "metric":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from workbench.evaluation.graders.metrics import metric

    return metric
