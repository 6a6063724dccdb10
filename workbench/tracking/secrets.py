"""Nothing secret goes into the store: what is logged is searched for the values of secrets first."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from workbench.core import StoreError

SECRET_NAME = re.compile(r"(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|WORKBENCH_KEY)", re.IGNORECASE)
CREDENTIALS_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@\"']+:[^/\s@\"']+@", re.IGNORECASE)
SHORTEST_SECRET = 8  # shorter values ("true", "1") stand everywhere by chance
TEXT_SUFFIXES = {".json", ".jsonl", ".yaml", ".yml", ".txt", ".md"}


def refuse_secrets(text: str, where: str, environment: Mapping[str, str] | None = None) -> None:
    """Raise if `text` holds the value of an environment variable that is named like a secret, or a URL with a password.

    Args:
        text: what would be stored.
        where: what it is, for the message.
        environment: variables to search for; None: the process's own.

    Raises:
        StoreError: it does; names the variable, never the value.

    Example:
        >>> refuse_secrets('{"api_key": "env:OPENAI_API_KEY"}', "card", {"OPENAI_API_KEY": "sk-0123456789"})
        >>> refuse_secrets('{"api_key": "sk-0123456789"}', "card", {"OPENAI_API_KEY": "sk-0123456789"})
        Traceback (most recent call last):
        workbench.core.errors.StoreError: card holds the value of OPENAI_API_KEY; write env:OPENAI_API_KEY in its place
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= SHORTEST_SECRET and SECRET_NAME.search(name) and value in text:
            raise StoreError(f"{where} holds the value of {name}; write env:{name} in its place")
    if CREDENTIALS_IN_URL.search(text):
        raise StoreError(f"{where} holds a URL with a password; take it out and refer to it as env:NAME")


def refuse_secrets_in_folder(folder: Path) -> None:
    """`refuse_secrets` for every text file of a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            refuse_secrets(path.read_text(encoding="utf-8", errors="replace"), str(path))
