"""How verbs print: one JSON document on stdout with `--json`, tables for people otherwise, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from workbench.core import MissingExtra

if TYPE_CHECKING:
    from workbench.models import ModelCard

stderr = Console(stderr=True)
EVERY_S = 5.0


@contextlib.contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """A `progress(done, total)` on standard error: a spinner on a terminal, a line every few seconds elsewhere."""
    said_s = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= EVERY_S or done == total:
            said_s = time.monotonic()
            stderr.print(f"{what}: {done} of {total}", style="dim", highlight=False)

    if not stderr.is_terminal:
        yield line
        return
    with stderr.status(what) as status:
        yield lambda done, total: status.update(f"{what}: {done} of {total}")


def logged(log: Callable[[], str]) -> str | None:
    """The run that `log` makes; None, with a line on standard error, where tracking is not installed."""
    try:
        return log()
    except MissingExtra as exc:
        stderr.print(f"not logged: {exc}; or pass --no-track")
    except ModuleNotFoundError as exc:
        stderr.print(f"not logged: {exc.name} is missing; pip install 'llm-workbench[tracking]', or pass --no-track")
    return None


def print_json(document: Any) -> None:
    """The one JSON document of a `--json` call; NaN and infinities are refused, unknown is null."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table for people; None prints as a dash, floats with four significant digits, numbers flush right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def say_deprecated(cards: Mapping[str, ModelCard]) -> None:
    """A line on standard error for each model whose seller is going to switch it off, as its listed price says."""
    for name, card in cards.items():
        source = getattr(card.price, "source", None)
        if source is not None and source.is_deprecated:
            stderr.print(f"{name}: {source.listed} is deprecated, its seller switches it off", style="yellow")
