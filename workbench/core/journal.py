"""An append-only journal of JSON lines that survives being killed at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import portalocker

from workbench.core.errors import StoreError


class Journal:
    """One JSON object a line; a line that was torn by a crash is cut off at opening, everything before it is kept.

    `append` returns after the operating system has the data on disk (fdatasync), one sync for the whole group.
    One writer at a time: a second one is refused.

    Args:
        path: the file; created with its folder.

    Raises:
        StoreError: it cannot be written, another process writes it, the disk is full, or a line in the middle is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        except OSError as exc:
            raise StoreError(f"cannot write {path}: {exc.strerror}; give another folder") from exc
        try:
            portalocker.lock(self._file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.exceptions.LockException as exc:
            self._file.close()
            raise StoreError(
                f"{path} is being written by another process; wait for it or choose another folder"
            ) from exc
        self.recovered_bytes = self._cut_torn_line()

    def _cut_torn_line(self) -> int:
        size = self._file.seek(0, os.SEEK_END)
        keep = _end_of_last_line(self._file, size)
        if keep < size:
            os.ftruncate(self._file.fileno(), keep)
        return size - keep

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the records as a group and sync once.

        Raises:
            StoreError: the disk is full; the journal is as it was before the call.
        """
        lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
        data = memoryview("".join(lines).encode("utf-8", "surrogatepass"))
        end = self._file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fdatasync(self._file.fileno())
        except OSError as exc:
            os.ftruncate(self._file.fileno(), end)
            raise StoreError(f"cannot append to {self.path}: {exc.strerror}; what was there is kept") from exc

    def close(self) -> None:
        """Release the file and its lock."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, in order; nothing if it does not exist. A torn last line is left out.

    Raises:
        StoreError: a damaged line that is not the last one.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line.decode("utf-8", "surrogatepass"))
            except ValueError as exc:
                raise StoreError(
                    f"{path}, line {number} is damaged; restore it from a copy or remove the line"
                ) from exc


def _end_of_last_line(file: BinaryIO, size: int, block: int = 65536) -> int:
    """Offset just behind the last newline, 0 if there is none."""
    end = size
    while end:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
