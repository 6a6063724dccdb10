"""Doubles shipped for users: a scripted model, a clock, a local server that speaks the OpenAI protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.testing.clock import FakeClock
from workbench.testing.scripted import ScriptedModel

if TYPE_CHECKING:
    from workbench.testing.stub_server import StubServer

__all__ = ["FakeClock", "Fault", "FaultSchedule", "FaultyModel", "ScriptedModel", "StubServer"]


def __getattr__(name: str) -> Any:
    if name == "StubServer":  # brings starlette and uvicorn
        from workbench.testing.stub_server import StubServer

        return StubServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
