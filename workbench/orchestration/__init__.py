"""How several models answer together."""

from workbench.orchestration.answered import Answered, Ask, summed, total
from workbench.orchestration.cascade import (
    agreed,
    cascade_in_words,
    is_accepted,
    judgement,
    logprob_per_token,
    normalised_answer,
)
from workbench.orchestration.deadline import Deadline, DeadlinePassed, cancelled, each_in_time
from workbench.orchestration.pattern_config import (
    CHOSEN,
    CascadeConfig,
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
    "CascadeConfig",
    "Deadline",
    "DeadlinePassed",
    "FanOutConfig",
    "PatternConfig",
    "PipelineConfig",
    "PipelineStepConfig",
    "SingleConfig",
    "agreed",
    "answer_by",
    "cancelled",
    "cascade_in_words",
    "each_in_time",
    "is_accepted",
    "judgement",
    "logprob_per_token",
    "normalised_answer",
    "summed",
    "total",
]
