"""An append-only record of what was decided for each request.

Every record holds the hash of the one before it, so that a changed or missing record in the middle shows. What this does not prove: that
nobody rewrote the whole file, or cut off its end; that takes checkpoints kept elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from workbench.core import Clock, ConfigError, StoreError
from workbench.core.hashing import sha256_json
from workbench.core.journal import Journal, read_journal
from workbench.core.price import Strict

VERSION = 1
FIRST = "0" * 64


class AuditConfig(Strict):
    """Where the log is and what happens when it cannot be written."""

    path: Annotated[str, Field(min_length=1, description="JSON lines; relative to the configuration's folder")]
    pseudonym_key: Annotated[
        str | None,
        Field(
            pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$",
            description="key of the tenants' pseudonyms by reference, env:NAME; null: a plain hash, which can be guessed",
        ),
    ] = None
    on_failure: Annotated[
        Literal["block", "degrade"],
        Field(description="when a record cannot be written: refuse the answer, or give it and say so"),
    ] = "block"


class AuditLog:
    """One hash-chained record an event; records that come together are synced to disk together, off the event loop.

    Args:
        config: the file and the pseudonyms' key.
        base_dir: what a relative path is relative to.
        clock: dates the records.

    Raises:
        ConfigError: the pseudonyms' key is not in the environment.
        StoreError: another process writes the file, or it is damaged.
    """

    def __init__(self, config: AuditConfig, base_dir: Path, clock: Clock) -> None:
        self.config = config
        self.path = base_dir / config.path
        self._clock = clock
        self._key = _secret(config.pseudonym_key)
        self._journal = Journal(self.path)
        self._seq, self._prev_hash = self._last()
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        if self._journal.recovered_bytes:
            self._journal.append([self._sealed({"event": "recovered", "lost_bytes": self._journal.recovered_bytes})])

    def pseudonym(self, name: str) -> str:
        """A stable name that does not tell the real one: HMAC-SHA-256 under the configured key, shortened."""
        if self._key is None:
            return hashlib.sha256(name.encode()).hexdigest()[:24]
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()[:24]

    async def append(self, record: dict[str, Any]) -> None:
        """Write a record; returns when it is on disk.

        Raises:
            StoreError: it could not be written, e.g. the disk is full; the log is as it was.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.ensure_future(self._write_waiting())
        await asyncio.shield(future)

    async def _write_waiting(self) -> None:
        """Groups of records, one sync a group, until nobody waits."""
        while self._waiting:
            group, self._waiting = self._waiting, []
            before = self._seq, self._prev_hash
            sealed = [self._sealed(record) for record, _ in group]
            try:
                await asyncio.to_thread(self._journal.append, sealed)
            except (StoreError, OSError, ValueError) as exc:
                self._seq, self._prev_hash = before
                for _, future in group:
                    if not future.done():
                        future.set_exception(exc if isinstance(exc, StoreError) else StoreError(f"{self.path}: {exc}"))
                        future.exception()  # a caller that was cancelled does not look
            else:
                for _, future in group:
                    if not future.done():
                        future.set_result(None)

    async def close(self) -> None:
        """Write what waits and release the file. Safe to call twice."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        self._journal.close()

    def _sealed(self, record: dict[str, Any]) -> dict[str, Any]:
        sealed = {
            "v": VERSION,
            "seq": self._seq + 1,
            "ts": self._clock.now().isoformat(),
            **record,
            "prev_hash": self._prev_hash,
        }
        self._seq, self._prev_hash = self._seq + 1, sha256_json(sealed)
        return sealed

    def _last(self) -> tuple[int, str]:
        """Number and hash of the last record; 0 and zeros in an empty log."""
        line = _last_line(self.path)
        if line is None:
            return 0, FIRST
        try:
            record = json.loads(line)
            version, seq = int(record["v"]), int(record["seq"])
        except (ValueError, KeyError, TypeError) as exc:
            self._journal.close()
            raise StoreError(f"{self.path} does not end with an audit record; move it away or name another") from exc
        if version > VERSION:
            self._journal.close()
            raise StoreError(f"{self.path} was written by a newer version ({version}); upgrade llm-workbench")
        return seq, sha256_json(record)


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether each record follows from the one before.

    Args:
        n_records: how many there are.
        first_bad: number of the first line that does not follow, from 1; None when all do.
    """

    n_records: int
    first_bad: int | None


def verify_chain(path: Path) -> ChainReport:
    """Check numbers and hashes of a log from its beginning."""
    n_records, prev_hash = 0, FIRST
    first_bad = None
    for record in read_journal(path):
        n_records += 1
        if first_bad is None and (record.get("seq") != n_records or record.get("prev_hash") != prev_hash):
            first_bad = n_records
        prev_hash = sha256_json(record)
    return ChainReport(n_records, first_bad)


def _last_line(path: Path, block: int = 65536) -> bytes | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        while size:
            file.seek(max(0, size - block))
            lines = file.read().splitlines()
            if len(lines) > 1 or block >= size:
                return lines[-1]
            block *= 4
    return None


def _secret(reference: str | None) -> bytes | None:
    if reference is None:
        return None
    name = reference.removeprefix("env:")
    value = os.environ.get(name)
    if not value:
        raise ConfigError(
            f"settle.audit.pseudonym_key: the environment variable {name} is not set; set it or leave the key out"
        )
    return value.encode()
