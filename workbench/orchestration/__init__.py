"""How several models answer together."""

from workbench.orchestration.answered import Answered, Ask, summed, total
from workbench.orchestration.deadline import Deadline, DeadlinePassed, cancelled, each_in_time
from workbench.orchestration.pattern_config import (
    CHOSEN,
    FanOutConfig,
    PatternConfig,
    PipelineConfig,
    PipelineStepConfig,
    SingleConfig,
)
from workbench.orchestration.patterns import answer_by

__all__ = [
    "CHOSEN",
    "Answered",
    "Ask",
    "Deadline",
    "DeadlinePassed",
    "FanOutConfig",
    "PatternConfig",
    "PipelineConfig",
    "PipelineStepConfig",
    "SingleConfig",
    "answer_by",
    "cancelled",
    "each_in_time",
    "summed",
    "total",
]
