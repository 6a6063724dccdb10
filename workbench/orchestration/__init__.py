"""How several models answer together."""

from workbench.orchestration.pattern_config import (
    CHOSEN,
    FanOutConfig,
    PatternConfig,
    PipelineConfig,
    PipelineStepConfig,
    SingleConfig,
)

__all__ = ["CHOSEN", "FanOutConfig", "PatternConfig", "PipelineConfig", "PipelineStepConfig", "SingleConfig"]
