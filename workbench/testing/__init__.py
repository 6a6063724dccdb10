"""Doubles shipped for users: a scripted model, a clock, local servers that speak OpenAI's and Anthropic's protocols."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.testing.clock import FakeClock
from workbench.testing.scripted import ScriptedModel

if TYPE_CHECKING:
    from workbench.testing.fake_vllm import fake_vllm_environment
    from workbench.testing.stub_anthropic import StubAnthropicBehaviour, StubAnthropicServer
    from workbench.testing.stub_server import StubBehaviour, StubServer
    from workbench.testing.tiny_checkpoint import save_tiny_checkpoint

__all__ = [
    "FakeClock",
    "Fault",
    "FaultSchedule",
    "FaultyModel",
    "ScriptedModel",
    "StubAnthropicBehaviour",
    "StubAnthropicServer",
    "StubBehaviour",
    "StubServer",
    "fake_vllm_environment",
    "save_tiny_checkpoint",
]

HEAVY = {
    "StubAnthropicBehaviour": "workbench.testing.stub_anthropic",
    "StubAnthropicServer": "workbench.testing.stub_anthropic",
    "fake_vllm_environment": "workbench.testing.fake_vllm",
    "StubBehaviour": "workbench.testing.stub_server",
    "StubServer": "workbench.testing.stub_server",
    "save_tiny_checkpoint": "workbench.testing.tiny_checkpoint",
}


def __getattr__(name: str) -> Any:
    """The doubles that bring a web server or torch are imported on first use."""
    if name in HEAVY:
        return getattr(importlib.import_module(HEAVY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
