"""A server's processes: started in a session of their own, ended together, and never outliving the process that started them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.models import vllm_watchdog
from workbench.models.vllm_watchdog import end_session, session_pids

FORGOTTEN_PATIENCE_S = 5.0


class ServerProcess:
    """A command and everything that it starts.

    Its output goes to a file. It has a session of its own, so that Ctrl-C in a terminal reaches only who started it, who then ends it in
    order. A watchdog beside it ends it when this process disappears without having done so, and so does forgetting the object.

    Args:
        command: the program and its arguments.
        environ: its environment, whole.
        log_path: where its output is appended.

    Raises:
        OSError: the program or the log file cannot be opened.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log_path: Path) -> None:
        self._lock = threading.Lock()
        self._watchdog = _watchdog()
        try:
            with log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except BaseException:
            _tell(self._watchdog, "\nnothing to watch\n", is_last=True)
            raise
        _tell(self._watchdog, f"{self._process.pid}\n")
        self._forgotten = weakref.finalize(self, _end, self._process, self._watchdog, FORGOTTEN_PATIENCE_S, os.getpid())

    @property
    def pid(self) -> int:
        """The first process, leader of the session and of its process group."""
        return self._process.pid

    def pids(self) -> list[int]:
        """Every living process of the session."""
        return session_pids(self.pid)

    def exit_code(self) -> int | None:
        """What the first process ended with, negative for a signal; None while it lives."""
        return self._process.poll()

    def stop(self, patience_s: float) -> None:
        """End all of it: asked first, killed after `patience_s` seconds. A second call does nothing."""
        with self._lock:
            _end(self._process, self._watchdog, patience_s, os.getpid())
            self._forgotten.detach()


def _end(
    process: subprocess.Popen[bytes], watchdog: subprocess.Popen[str], patience_s: float, starter_pid: int
) -> None:
    """End the session and call the watchdog off. A forked child that forgets its copy of the object does nothing."""
    if os.getpid() != starter_pid:
        return
    if process.poll() is None or session_pids(process.pid):
        end_session(process.pid, patience_s)
    process.wait()
    _tell(watchdog, "stopped in good order\n", is_last=True)


def _watchdog() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", vllm_watchdog.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )


def _tell(watchdog: subprocess.Popen[str], words: str, *, is_last: bool = False) -> None:
    pipe = watchdog.stdin
    if pipe is None or pipe.closed:
        return
    with contextlib.suppress(BrokenPipeError):
        pipe.write(words)
        pipe.flush()
    if is_last:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        watchdog.wait()
