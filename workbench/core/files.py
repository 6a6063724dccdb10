"""Writing files so that a crash, a full disk or a second writer never leaves half a file in place of a good one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.core.errors import ConfigError, StoreError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over `path`, on failure removed.

    Raises:
        StoreError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as exc:
        raise StoreError(f"cannot write {path}: {exc.strerror}; free space or choose another folder") from exc
    beside = Path(name)
    try:
        yield beside
        _sync(beside)
        beside.chmod(0o644)
        beside.replace(path)
        _sync(path.parent)
    except OSError as exc:
        raise StoreError(f"cannot write {path}: {exc.strerror or exc}; the previous file is untouched") from exc
    finally:
        beside.unlink(missing_ok=True)


def check_folder(folder: Path, named: str) -> None:
    """Make sure before long work that files can be written into a folder later; nothing is left behind.

    The folder may not exist yet. It is tried for real, in its nearest ancestor that exists: permissions alone do not tell of read-only
    mounts, of /proc, or of a file where a folder should be, and to the superuser everything looks writable.

    Args:
        folder: will be made when something is written.
        named: the option that named it, for the message.

    Raises:
        ConfigError: nothing can be written there; says why.
    """
    try:
        _try_long_name(folder)
        place = _nearest(folder)
        if not place.is_dir():
            raise ConfigError(
                f"{named} {folder}: {place} is {'a file' if place.is_file() else 'no folder'}; name a folder"
            )
        handle, name = tempfile.mkstemp(prefix=".writable.", dir=place)
        os.close(handle)
        Path(name).unlink()
    except OSError as exc:
        raise ConfigError(f"{named} {folder} cannot be written: {exc.strerror or exc}; give another folder") from exc


def check_file(path: Path, named: str) -> None:
    """The same for a file that is written or gone on with later.

    Raises:
        ConfigError: it is a folder, cannot be changed, or its folder cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{named} {path} is a folder; give a file in it")
    check_folder(path.parent, named)
    try:
        _try_long_name(path)
        if path.exists():
            path.open("ab").close()
    except OSError as exc:
        raise ConfigError(f"{named} {path} cannot be written: {exc.strerror or exc}; give another file") from exc


def _try_long_name(path: Path) -> None:
    """Raise OSError where the path itself is impossible (a name that is too long)."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest ancestor that exists; a dangling link exists."""
    whole = folder if folder.is_absolute() else Path.cwd() / folder
    return next(place for place in (whole, *whole.parents) if os.path.lexists(place))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path, what: str = "file") -> str:
    """A text file's content, without a byte-order mark and with `\\n` line ends.

    Raises:
        ConfigError: missing, a folder, not readable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise ConfigError(f"no {what} at {path}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{what} {path} is not UTF-8 text (byte {exc.start}); save it as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(f"cannot read {what} {path}: {exc.strerror}") from exc


def read_json(path: Path, what: str = "file") -> Any:
    """Parsed JSON.

    Raises:
        ConfigError: missing or not JSON; says where.
    """
    try:
        return json.loads(read_text(path, what))
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{what} {path} is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc


def read_jsonl(path: Path, what: str = "file") -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each non-empty line; any mixture of line ends is accepted.

    Raises:
        ConfigError: a line that is not a JSON object; says which.
    """
    for number, line in enumerate(read_text(path, what).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as exc:
            raise ConfigError(f"{what} {path}, line {number}: not JSON ({exc.msg})") from exc
        if not isinstance(value, dict):
            raise ConfigError(f"{what} {path}, line {number}: a JSON object is expected, found {type(value).__name__}")
        yield number, value
