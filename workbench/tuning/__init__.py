"""Sweeps over recorded Outcomes: every threshold, on three splits, with intervals and a verdict.

Names are imported on first use, because a matrix brings its table library with it.
"""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.tuning.cascade import CascadeResult, cascade_sweep
    from workbench.tuning.evidence import Comparison, SweepVerdict
    from workbench.tuning.frontier import Frontier, Switches, capability_switches, cost_aware_switches
    from workbench.tuning.matrix import OutcomeMatrix
    from workbench.tuning.metrics import aiq, apgr, call_curve, cpt
    from workbench.tuning.result import Band, SweepResult
    from workbench.tuning.split import Split, three_way_split
    from workbench.tuning.sweeps import SweepConfig, sweep, sweep_matrix

_HOMES = {
    "Band": "result",
    "CascadeResult": "cascade",
    "Comparison": "evidence",
    "Frontier": "frontier",
    "OutcomeMatrix": "matrix",
    "Split": "split",
    "SweepConfig": "sweeps",
    "SweepResult": "result",
    "SweepVerdict": "evidence",
    "Switches": "frontier",
    "aiq": "metrics",
    "apgr": "metrics",
    "call_curve": "metrics",
    "capability_switches": "frontier",
    "cascade_sweep": "cascade",
    "cost_aware_switches": "frontier",
    "cpt": "metrics",
    "sweep": "sweeps",
    "sweep_matrix": "sweeps",
    "three_way_split": "split",
}

__all__ = [
    "Band",
    "CascadeResult",
    "Comparison",
    "Frontier",
    "OutcomeMatrix",
    "Split",
    "SweepConfig",
    "SweepResult",
    "SweepVerdict",
    "Switches",
    "aiq",
    "apgr",
    "call_curve",
    "capability_switches",
    "cascade_sweep",
    "cost_aware_switches",
    "cpt",
    "sweep",
    "sweep_matrix",
    "three_way_split",
]


__getattr__ = lazy_names(__name__, _HOMES)
