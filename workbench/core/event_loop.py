"""Running asynchronous work from code that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_anywhere(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end also where an event loop is running already, as in a notebook.

    Example:
        >>> run_anywhere(asyncio.sleep(0, "done"))
        'done'
    """
    return outside_event_loops(lambda: asyncio.run(work))


def outside_event_loops(call: Callable[[], T]) -> T:
    """What a call returns that starts event loops: called here, where Ctrl-C reaches it, or in a thread beside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(max_workers=1) as other_thread:
        return other_thread.submit(call).result()
