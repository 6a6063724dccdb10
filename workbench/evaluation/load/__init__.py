"""Load: what a model's users would feel at a given rate, and the highest rate at which they would still be content.

Names are imported on first use, because frames bring their table library with them.
"""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.evaluation.load.asking import read_prompts
    from workbench.evaluation.load.config import BenchConfig
    from workbench.evaluation.load.importing import import_bench
    from workbench.evaluation.load.requests import SCHEMA
    from workbench.evaluation.load.resources import ResourceWatch
    from workbench.evaluation.load.result import BenchResult
    from workbench.evaluation.load.running import LoadProgress, bench, bench_async
    from workbench.evaluation.load.search import RateSearch
    from workbench.evaluation.load.slo import SLO

_HOMES = {
    "BenchConfig": "config",
    "BenchResult": "result",
    "LoadProgress": "running",
    "bench": "running",
    "bench_async": "running",
    "RateSearch": "search",
    "import_bench": "importing",
    "ResourceWatch": "resources",
    "SCHEMA": "requests",
    "SLO": "slo",
    "read_prompts": "asking",
}

__all__ = [
    "SCHEMA",
    "SLO",
    "BenchConfig",
    "BenchResult",
    "LoadProgress",
    "RateSearch",
    "ResourceWatch",
    "bench",
    "bench_async",
    "import_bench",
    "read_prompts",
]


__getattr__ = lazy_names(__name__, _HOMES)
