"""A release: one configuration with the evidence for it, in a folder that can be carried, served and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import Clock, ConfigError, StoreError, SystemClock
from workbench.release.candidate import Candidate, messages_of, read_rows
from workbench.release.evidence import Claim, Evidence
from workbench.release.folder import building, check_seal
from workbench.release.latency import PilotConfig, latency_claim
from workbench.release.pilot import run_pilot
from workbench.routing import FixedPolicy
from workbench.stack import StackConfig

if TYPE_CHECKING:
    import polars as pl

    from workbench.models import ModelCard

STACK, EVIDENCE, POLICY, REPORT, PILOT = "stack.yaml", "evidence.json", "policy", "report.parquet", "pilot.parquet"
PILOT_ROWS_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A release that was made or loaded; its files are as they were sealed.

    Args:
        folder: where it lies.
        config: the stack.
        evidence: what it claims.
        report: the untouched split, see `REPORT_COLUMNS` in `workbench.release.candidate`.
        pilot: prompts outside the report split, for warming up.
    """

    folder: Path
    config: StackConfig
    evidence: Evidence
    report: pl.DataFrame
    pilot: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Release:
        """The release in a folder.

        Raises:
            ConfigError: there is none.
            StoreError: a file is missing, was changed or added, or was made by a newer version; names it.
        """
        if not folder.is_dir():
            raise ConfigError(f"no release at {folder}; make one with: workbench release create")
        check_seal(folder)
        for name in (STACK, EVIDENCE, REPORT, PILOT):
            if not (folder / name).is_file():
                raise StoreError(f"release {folder} has no {name}; create it again, or restore a copy")
        return cls(
            folder=folder,
            config=StackConfig.load(folder / STACK),
            evidence=Evidence.load(folder / EVIDENCE),
            report=read_rows(folder / REPORT),
            pilot=read_rows(folder / PILOT),
        )
