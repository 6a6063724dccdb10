"""Outcomes from elsewhere: one's own table, and published matrices, in the same frame with nulls where they know nothing."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.registry import Registry
from workbench.evaluation.outcomes import Outcomes

FORMATS = Registry(
    "format of outcomes",
    {
        "long": "workbench.evaluation.importers.long:import_long",
        "routellm": "workbench.evaluation.importers.routellm:import_routellm",
        "routerarena": "workbench.evaluation.importers.routerarena:import_routerarena",
    },
)

__all__ = ["FORMATS", "import_from"]


def import_from(format_name: str, path: Path, **options: Any) -> Outcomes:
    """Outcomes of a file or folder in a known format.

    Args:
        format_name: a name in `FORMATS`.
        path: the table, or the folder of the published data.
        options: of that format's importer.

    Raises:
        ConfigError: unknown format or option, missing files, or rows that contradict each other.
    """
    importer = FORMATS.load(format_name)
    known = [name for name in inspect.signature(importer).parameters if name != "path"]
    for option in options:
        if option not in known:
            raise ConfigError(f"the format {format_name!r} has no option {option!r}: {did_you_mean(option, known)}")
    outcomes: Outcomes = importer(path, **options)
    return outcomes
