"""Sweeps of spaces with several parameters: exact where one threshold is left, searched elsewhere, judged on rows nobody tuned on."""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.tuning.space.file import SpaceConfig, load_space
    from workbench.tuning.space.plan import Basis, Configuration, Plan
    from workbench.tuning.space.result import SpaceResult
    from workbench.tuning.space.scoring import Scorer
    from workbench.tuning.space.sweep import space_sweep

_HOMES = {
    "Basis": "plan",
    "Configuration": "plan",
    "Plan": "plan",
    "Scorer": "scoring",
    "SpaceConfig": "file",
    "SpaceResult": "result",
    "load_space": "file",
    "space_sweep": "sweep",
}

__all__ = [
    "Basis",
    "Configuration",
    "Plan",
    "Scorer",
    "SpaceConfig",
    "SpaceResult",
    "load_space",
    "space_sweep",
]


__getattr__ = lazy_names(__name__, _HOMES)
