"""What a bench leaves: a document, a row a request, a manifest; and the folder that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, write_json
from workbench.core.journal import read_journal
from workbench.evaluation.frames import write_parquet
from workbench.evaluation.load.recovery import recovered
from workbench.evaluation.load.requests import read_requests

DOCUMENT, REQUESTS, MANIFEST, JOURNAL = "bench.json", "requests.parquet", "manifest.json", "journal.jsonl"
SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class BenchResult:
    """One load and what it measured.

    Args:
        document: every figure with its interval, and why what is null is null; what `workbench bench --json` prints.
        requests: one row a request, see `workbench.evaluation.load.requests.SCHEMA`.
        manifest: what was measured, on what, when.
    """

    document: Mapping[str, Any]
    requests: pl.DataFrame
    manifest: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write `bench.json`, `requests.parquet` and `manifest.json`, each whole or not at all.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        write_parquet(self.requests, folder / REQUESTS)
        write_json(folder / MANIFEST, dict(self.manifest))
        write_json(folder / DOCUMENT, dict(self.document))  # last: a folder that has it has everything

    @classmethod
    def read(cls, folder: Path) -> BenchResult:
        """The result in a folder; of a run that was killed, what its journal holds, marked incomplete.

        Raises:
            ConfigError: no such folder, or no bench in it.
            StoreError: written by a newer version of this package.
        """
        if not folder.is_dir():
            raise ConfigError(f"no bench folder at {folder}; `workbench bench NAME --out DIR` writes one")
        if (folder / DOCUMENT).exists():
            document = _checked(read_json(folder / DOCUMENT, "bench"), folder)
            return cls(document, read_requests(folder / REQUESTS), read_json(folder / MANIFEST, "manifest"))
        if (folder / JOURNAL).exists():
            return cls(*recovered(list(read_journal(folder / JOURNAL)), str(folder)))
        raise ConfigError(f"{folder} holds no bench: neither {DOCUMENT} nor {JOURNAL} is in it")


def _checked(document: Any, folder: Path) -> dict[str, Any]:
    if not isinstance(document, dict) or "latency_s" not in document:
        raise ConfigError(f"{folder / DOCUMENT} is not the document of a bench")
    version = document.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreError(
            f"{folder} was made by a newer version of the workbench (schema_version {version}; this one reads up to "
            f"{SCHEMA_VERSION}): upgrade llm-workbench"
        )
    return document
