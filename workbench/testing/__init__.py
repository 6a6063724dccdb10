"""Doubles shipped for users: a scripted model, a clock, a local server that speaks the OpenAI protocol."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.testing.clock import FakeClock
from workbench.testing.scripted import ScriptedModel

if TYPE_CHECKING:
    from workbench.testing.stub_server import StubBehaviour, StubServer
    from workbench.testing.tiny_checkpoint import save_tiny_checkpoint

__all__ = [
    "FakeClock",
    "Fault",
    "FaultSchedule",
    "FaultyModel",
    "ScriptedModel",
    "StubBehaviour",
    "StubServer",
    "save_tiny_checkpoint",
]

HEAVY = {
    "StubBehaviour": "workbench.testing.stub_server",
    "StubServer": "workbench.testing.stub_server",
    "save_tiny_checkpoint": "workbench.testing.tiny_checkpoint",
}


def __getattr__(name: str) -> Any:
    """The doubles that bring a web server or torch are imported on first use."""
    if name in HEAVY:
        return getattr(importlib.import_module(HEAVY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
