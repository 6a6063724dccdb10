"""Ctrl-C: a verb says what it leaves behind, and the command line tells it in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def leaving(what: Callable[[], str]) -> Iterator[None]:
    """Within the block an interrupt carries what is kept and how to go on; `workbench.cli.main` prints it.

    Args:
        what: says so when it is asked, after the block has ended.
    """
    try:
        yield
    except KeyboardInterrupt as exc:
        raise KeyboardInterrupt(what()) from exc


def interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that an error comes from, the latest where there are several; None where there is none.

    typer turns an interrupt into an exit with the code 130, without a word.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error
