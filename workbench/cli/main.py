"""The `workbench` command. One module of this package a verb; each has `register(app)` and imports what it needs when called."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import sys
import traceback
from typing import NoReturn

import typer

import workbench.cli
from workbench import __version__
from workbench.cli.interrupted import interrupt_behind
from workbench.core import WorkbenchError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="workbench",
    help="Which model should handle which request, what it may cost, and is any of it worth it: answered from measurements.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Options before any verb."""


@functools.cache
def _register_verbs() -> None:
    """Once a process: a program that runs the command line again and again must not carry every verb once a run."""
    for found in pkgutil.iter_modules(workbench.cli.__path__):
        register = getattr(importlib.import_module(f"workbench.cli.{found.name}"), "register", None)
        if register is not None:
            register(app)


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 bad usage or input, 3 the answer is no, 130 interrupted; a sentence on stderr says why."""
    _register_verbs()
    try:
        app()
    except WorkbenchError as exc:
        _stop(str(exc), exc.exit_code)
    except KeyboardInterrupt as exc:
        _stop(_interrupted(exc), EXIT_INTERRUPTED)
    except SystemExit as exc:
        interrupt = interrupt_behind(exc) if exc.code == EXIT_INTERRUPTED else None
        if interrupt is None:
            raise
        _stop(_interrupted(interrupt), EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (OSError, MemoryError) as exc:
        _stop(f"{type(exc).__name__}: {exc}", 1)


def _interrupted(interrupt: KeyboardInterrupt) -> str:
    return "; ".join(["interrupted", *map(str, interrupt.args)])


def _stop(message: str, code: int) -> NoReturn:
    if os.environ.get("WORKBENCH_TRACEBACK"):
        traceback.print_exc()
    typer.echo(f"workbench: {message}", err=True)
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
