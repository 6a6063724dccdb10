"""Values and errors that every room shares. Imports nothing heavy."""

from workbench.core.clock import Clock, SystemClock
from workbench.core.completion import Completion, Delta, FinishReason, Timing, Usage
from workbench.core.errors import (
    BadResponse,
    Blocked,
    BudgetExceeded,
    ClusterError,
    ConfigError,
    ContextOverflow,
    InconsistentUsage,
    MissingExtra,
    ModelError,
    NotCertifiable,
    RateLimited,
    StoreError,
    TaskFailed,
    Unavailable,
    WorkbenchError,
)
from workbench.core.request import Message, Request, Role, Sampling
from workbench.core.trace import Step, Trace

__all__ = [
    "BadResponse",
    "Blocked",
    "BudgetExceeded",
    "Clock",
    "ClusterError",
    "Completion",
    "ConfigError",
    "ContextOverflow",
    "Delta",
    "FinishReason",
    "InconsistentUsage",
    "Message",
    "MissingExtra",
    "ModelError",
    "NotCertifiable",
    "RateLimited",
    "Request",
    "Role",
    "Sampling",
    "Step",
    "StoreError",
    "SystemClock",
    "TaskFailed",
    "Timing",
    "Trace",
    "Unavailable",
    "Usage",
    "WorkbenchError",
]
