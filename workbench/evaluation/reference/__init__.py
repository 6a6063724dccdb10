"""The reference family: a generated suite and small models trained on it from scratch.

The suite is plain Python and imports in milliseconds; training, evaluation and cards import torch on first use.
"""

from workbench.evaluation.reference.items import Instance, ReferenceItem, split_of
from workbench.evaluation.reference.suite import TASKS, Task, build_suite, draw_instance

__all__ = ["TASKS", "Instance", "ReferenceItem", "Task", "build_suite", "draw_instance", "split_of"]
