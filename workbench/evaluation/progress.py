"""How far a recording is: a bar with rate and time left on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from workbench.core import Clock, SystemClock

EVERY_S = 5.0


class Progress(Protocol):
    """What a recording reports to."""

    def start(self, model: str, total: int, done: int) -> None:
        """A model begins; `done` cells were recorded before."""
        ...

    def advance(self, model: str, n: int, failed: int) -> None:
        """So many more cells are recorded, of which so many failed."""
        ...

    def finish(self, model: str) -> None:
        """A model has answered everything."""
        ...


class Silent:
    """Reports nothing."""

    def start(self, model: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, model: str, n: int, failed: int) -> None:
        """Nothing."""

    def finish(self, model: str) -> None:
        """Nothing."""


class Lines:
    """A line a model every few seconds and one at its end, for logs and pipes.

    Args:
        write: takes one line; standard error by default.
        clock: what tells the time.
        every_s: seconds between two lines of a model.
    """

    def __init__(
        self, write: Callable[[str], Any] | None = None, clock: Clock | None = None, every_s: float = EVERY_S
    ) -> None:
        self._write = write or _to_stderr
        self._clock = clock or SystemClock()
        self._every_s = every_s
        self._models: dict[str, _Count] = {}

    def start(self, model: str, total: int, done: int) -> None:
        """Note the start; says where an earlier recording is taken up."""
        now_s = self._clock.monotonic_s()
        self._models[model] = _Count(total, done, now_s)
        if done:
            self._write(f"{model}: {done} of {total} were recorded before")

    def advance(self, model: str, n: int, failed: int) -> None:
        """Count, and say so when a line is due."""
        count, now_s = self._models[model], self._clock.monotonic_s()
        count.add(n, failed)
        if now_s - count.said_s >= self._every_s and not count.is_complete:
            count.said_s = now_s
            self._write(count.line(model, now_s))

    def finish(self, model: str) -> None:
        """Say how it went."""
        self._write(self._models[model].line(model, self._clock.monotonic_s()))


class _Count:
    def __init__(self, total: int, done: int, now_s: float) -> None:
        self.total, self.before, self.new, self.failed = total, done, 0, 0
        self.start_s = self.said_s = now_s

    def add(self, n: int, failed: int) -> None:
        self.new += n
        self.failed += failed

    @property
    def is_complete(self) -> bool:
        return self.before + self.new >= self.total

    def line(self, model: str, now_s: float) -> str:
        elapsed_s, done = now_s - self.start_s, self.before + self.new
        failed = f", {self.failed} failed" if self.failed else ""
        text = f"{model}: {done} of {self.total}{failed}"
        if not self.new or elapsed_s <= 0:
            return text
        rate = self.new / elapsed_s
        left = (
            f", {format_s((self.total - done) / rate)} left" if done < self.total else f", took {format_s(elapsed_s)}"
        )
        return f"{text}, {rate:.1f}/s{left}"


class Bars:
    """One bar a model on a terminal.

    Args:
        console: rich console on standard error.
    """

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[failures]}"),
        )
        self._bars = RichProgress(*columns, console=console, speed_estimate_period=60)
        self._tasks: dict[str, Any] = {}

    def start(self, model: str, total: int, done: int) -> None:
        """Show the model's bar."""
        self._bars.start()
        self._tasks[model] = self._bars.add_task(model, total=total, completed=done, rate="", failures="", failed=0)

    def advance(self, model: str, n: int, failed: int) -> None:
        """Move the bar."""
        task = self._bars.tasks[self._tasks[model]]
        failed += task.fields["failed"]
        rate = f"{task.speed:.1f}/s" if task.speed else ""
        self._bars.update(task.id, advance=n, rate=rate, failed=failed, failures=f"{failed} failed" if failed else "")

    def finish(self, model: str) -> None:
        """Leave the bar as it is; the last one to finish gives the terminal back."""
        if all(task.finished for task in self._bars.tasks):
            self._bars.stop()


def progress_for(stream: TextIO, console: Any) -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if stream.isatty() else Lines()


def format_s(duration_s: float) -> str:
    """Seconds for people.

    Example:
        >>> format_s(5.2), format_s(75), format_s(7300)
        ('5 s', '1 min 15 s', '2 h 1 min')
    """
    seconds = round(duration_s)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
