"""Suites, graders, the recorder and statistics: what every model really does, measured once.

Names are imported on first use, because suites and Outcomes bring their table libraries with them.
"""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.evaluation.engine import Engine, LocalEngine, make_engine
    from workbench.evaluation.graders import GraderSpec, JudgeConfig, JudgeGrader, grade, metric
    from workbench.evaluation.items import Item
    from workbench.evaluation.load import SLO, BenchConfig, BenchResult, bench, bench_async
    from workbench.evaluation.manifest import Manifest
    from workbench.evaluation.outcomes import PROMPT_SCHEMA, SCHEMA, Matrix, Outcomes
    from workbench.evaluation.plan import RecordConfig
    from workbench.evaluation.progress import Bars, Lines, Progress
    from workbench.evaluation.recorder import record, record_async
    from workbench.evaluation.recorder_ray import record_on
    from workbench.evaluation.statistics import Estimate
    from workbench.evaluation.suite import Suite
    from workbench.evaluation.summary import ModelSummary, summarise

_HOMES = {
    "BenchConfig": "load",
    "BenchResult": "load",
    "SLO": "load",
    "bench": "load",
    "bench_async": "load",
    "Engine": "engine",
    "LocalEngine": "engine",
    "make_engine": "engine",
    "Estimate": "statistics",
    "GraderSpec": "graders",
    "Item": "items",
    "JudgeConfig": "graders",
    "JudgeGrader": "graders",
    "Manifest": "manifest",
    "Matrix": "outcomes",
    "Outcomes": "outcomes",
    "PROMPT_SCHEMA": "outcomes",
    "Progress": "progress",
    "Bars": "progress",
    "Lines": "progress",
    "RecordConfig": "plan",
    "SCHEMA": "outcomes",
    "Suite": "suite",
    "grade": "graders",
    "metric": "graders",
    "record": "recorder",
    "record_async": "recorder",
    "record_on": "recorder_ray",
    "ModelSummary": "summary",
    "summarise": "summary",
}

__all__ = [
    "PROMPT_SCHEMA",
    "SCHEMA",
    "SLO",
    "Bars",
    "BenchConfig",
    "BenchResult",
    "Engine",
    "Estimate",
    "GraderSpec",
    "Item",
    "JudgeConfig",
    "JudgeGrader",
    "Lines",
    "LocalEngine",
    "Manifest",
    "Matrix",
    "ModelSummary",
    "Outcomes",
    "Progress",
    "RecordConfig",
    "Suite",
    "bench",
    "bench_async",
    "grade",
    "make_engine",
    "metric",
    "record",
    "record_async",
    "record_on",
    "summarise",
]


__getattr__ = lazy_names(__name__, _HOMES)
