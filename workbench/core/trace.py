"""The explanation of one request: each step, how long it took and why it did what it did. No prompt text inside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from workbench.core.clock import Clock


@dataclass(slots=True)
class Step:
    """One step of the way of a request.

    Args:
        name: admit, inspect, recall, choose, compose, answer, check or settle.
        because: one line that says what was done and why.
        duration_s: seconds, monotonic.
        data: facts for machines, JSON-serialisable; hashes, counts and names, never texts.
    """

    name: str
    because: str = ""
    duration_s: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """The steps of one request, in order. Prints as a table in a terminal and in a notebook."""

    request_id: str
    steps: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, name: str, clock: Clock) -> Iterator[Step]:
        """Time one step; it is kept also when it raises, with the error's class in `because`."""
        step = Step(name)
        self.steps.append(step)
        start_s = clock.monotonic_s()
        try:
            yield step
        except Exception as exc:
            step.because = step.because or f"{type(exc).__name__}: {exc}"
            raise
        finally:
            step.duration_s = clock.monotonic_s() - start_s

    def find(self, name: str) -> Step | None:
        """The last step of that name, None if it was not reached."""
        return next((s for s in reversed(self.steps) if s.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        steps = [{"name": s.name, "because": s.because, "duration_s": s.duration_s, "data": s.data} for s in self.steps]
        return {"request_id": self.request_id, "steps": steps}

    def __str__(self) -> str:
        return "\n".join(f"{s.name:<8} {1000 * s.duration_s:8.2f} ms  {s.because}" for s in self.steps)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(s.name)}</td><td style='text-align:right'>{1000 * s.duration_s:.2f}</td>"
            f"<td style='text-align:left'>{escape(s.because)}</td></tr>"
            for s in self.steps
        )
        return f"<table><thead><tr><th>step</th><th>ms</th><th>because</th></tr></thead><tbody>{rows}</tbody></table>"
