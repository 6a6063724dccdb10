"""Ends a server when the process that started it is gone, however it ended (SIGKILL included).

Runs as a script of its own beside the server and uses the standard library alone. Its standard input is a pipe from the process that
started the server: the server's session arrives as a number, then either a line (stopped in good order) or the end of the pipe (gone).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PATIENCE_S = 10.0
ORPHANS_PATIENCE_S = 2.0
KILLED_PATIENCE_S = 60.0
POLL_S = 0.05
PROC = Path("/proc")


def session_pids(session: int) -> list[int]:
    """Living processes of a session, its leader first; where there is no /proc, the leader alone.

    A server's engine and workers stay in the session of its first process, also when that one is gone.
    """
    if not PROC.is_dir():
        return [session] if _is_alive(session) else []
    return sorted(pid for pid, its_session in _sessions() if its_session == session)


def end_session(session: int, patience_s: float = PATIENCE_S) -> None:
    """Ask the first process to stop (it ends its children in order), then those it left behind, then kill whatever is still there.

    Returns when all are gone: a killed process leaves only when the kernel gets to it, on a busy machine many milliseconds later.
    """
    try:
        _signal([session], signal.SIGTERM)
        _wait_while(lambda: session in session_pids(session), patience_s)
        _signal(session_pids(session), signal.SIGTERM)
        _wait_while(lambda: bool(session_pids(session)), min(patience_s, ORPHANS_PATIENCE_S))
    finally:  # also when Ctrl-C cuts the waiting short
        _wait_while(lambda: _kill(session), KILLED_PATIENCE_S)


def _kill(session: int) -> bool:
    """Kill what is there, also what was started since the last look; False when there is nothing left."""
    pids = session_pids(session)
    _signal(pids, signal.SIGKILL)
    return bool(pids)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _wait_while(fact: Callable[[], bool], patience_s: float) -> None:
    give_up_s = time.monotonic() + patience_s
    while fact() and time.monotonic() < give_up_s:
        time.sleep(POLL_S)


def _sessions() -> Iterator[tuple[int, int]]:
    """(process, session) of every process that is not a zombie."""
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile
            # pid (name) state parent group session …; the name may hold spaces and brackets
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                yield int(entry.name), int(session)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Wait for the pipe; at its end without a word, end the session that was named on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    session = sys.stdin.readline().strip()
    if session and not sys.stdin.readline():
        end_session(int(session))


if __name__ == "__main__":
    main()
