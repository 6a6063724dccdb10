"""Suites, graders, the recorder and statistics: what every model really does, measured once.

Names are imported on first use, because suites and Outcomes bring their table libraries with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.evaluation.graders import GraderSpec, JudgeConfig, JudgeGrader, grade, metric
    from workbench.evaluation.items import Item
    from workbench.evaluation.manifest import Manifest
    from workbench.evaluation.outcomes import PROMPT_SCHEMA, SCHEMA, Matrix, Outcomes
    from workbench.evaluation.statistics import Estimate
    from workbench.evaluation.suite import Suite

_HOMES = {
    "Estimate": "statistics",
    "GraderSpec": "graders",
    "Item": "items",
    "JudgeConfig": "graders",
    "JudgeGrader": "graders",
    "Manifest": "manifest",
    "Matrix": "outcomes",
    "Outcomes": "outcomes",
    "PROMPT_SCHEMA": "outcomes",
    "SCHEMA": "outcomes",
    "Suite": "suite",
    "grade": "graders",
    "metric": "graders",
}

__all__ = [
    "PROMPT_SCHEMA",
    "SCHEMA",
    "Estimate",
    "GraderSpec",
    "Item",
    "JudgeConfig",
    "JudgeGrader",
    "Manifest",
    "Matrix",
    "Outcomes",
    "Suite",
    "grade",
    "metric",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
