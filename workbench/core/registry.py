"""Names to classes, imported on first use, so that naming a part never loads another part's libraries."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from workbench.core.errors import ConfigError, MissingExtra
from workbench.core.naming import did_you_mean


class Registry:
    """A table from a configuration name to `"module:Class"`.

    Args:
        subject: what is registered, in the singular, for messages ("model kind").
        entries: name → "module:attribute".
        extras: name → the package extra that brings its libraries.
    """

    def __init__(self, subject: str, entries: Mapping[str, str], extras: Mapping[str, str] | None = None) -> None:
        self.subject = subject
        self._entries = dict(entries)
        self._extras = dict(extras or {})

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._entries)

    def add(self, name: str, target: str) -> None:
        """Register `name` for `"module:attribute"`; the seam for plug-ins."""
        self._entries[name] = target

    def target(self, name: str) -> str:
        """What `name` stands for, so that another process can register it too.

        Raises:
            ConfigError: unknown name; suggests the nearest.
        """
        if name not in self._entries:
            raise ConfigError(f"unknown {self.subject} {name!r}: {did_you_mean(name, self._entries)}")
        return self._entries[name]

    def load(self, name: str) -> Any:
        """The object behind `name`.

        Raises:
            ConfigError: unknown name; suggests the nearest.
            MissingExtra: its libraries are not installed.
        """
        module, _, attribute = self.target(name).partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as exc:
            if name in self._extras and not (exc.name or "").startswith("workbench"):
                raise MissingExtra(f"{self.subject} {name!r}", self._extras[name]) from exc
            raise
