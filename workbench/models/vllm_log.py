"""What vLLM says of itself in its log: memory, capacity, and why it ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TELLING_LINES = 8
LONGEST_LINE = 300
PREFIX = re.compile(r"^\([^)]*pid=\d+\)\s?")
LEVEL = re.compile(r"^(?:[A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\]\s?")
TELLING = re.compile(
    r"\b[A-Za-z_]*(?:Error|Exception)\b|\berror: |\b(?:Killed|OOM|No space left|Address already in use|out of memory)\b"
)
NUMBER = r"([\d,.]*\d)"


@dataclass(frozen=True)
class VLLMReport:
    """What a server reported when it started. None where its log does not say (the CPU build tells no weights).

    Args:
        version: of vLLM.
        weights_gib: memory of the weights, in GiB.
        kv_cache_gib: memory of the KV cache, in GiB.
        kv_cache_tokens: tokens that the KV cache holds.
        max_model_len: longest prompt and answer together, in tokens.
        max_concurrency: requests of that length that fit at the same time.
        dtype: compute type.
        start_s: seconds from start to ready.
    """

    version: str | None = None
    weights_gib: float | None = None
    kv_cache_gib: float | None = None
    kv_cache_tokens: int | None = None
    max_model_len: int | None = None
    max_concurrency: float | None = None
    dtype: str | None = None
    start_s: float | None = None


def read_report(log: str, start_s: float | None = None, version: str | None = None) -> VLLMReport:
    """The report of a log's text.

    Example:
        >>> read_report("GPU KV cache size: 174,720 tokens, Maximum concurrency for 512 tokens per request: 341.25x").kv_cache_tokens
        174720
    """
    tokens = _number(log, rf"KV cache size: {NUMBER} tokens")
    window = _number(log, rf"Using max model len {NUMBER}")
    return VLLMReport(
        version=version or _text(log, r"\(v(\d[\w.+]*)\) with config"),
        weights_gib=_number(log, rf"Model loading took {NUMBER} GiB")
        or _number(log, rf"model weights take {NUMBER}\s?GiB"),
        kv_cache_gib=_number(log, rf"Available KV cache memory: {NUMBER} GiB")
        or _number(log, rf"(?:Explicitly|Auto) set \({NUMBER}/[\d.]+\) GiB for KV cache"),
        kv_cache_tokens=None if tokens is None else int(tokens),
        max_model_len=None if window is None else int(window),
        max_concurrency=_number(log, rf"Maximum concurrency for [\d,]+ tokens per request: {NUMBER}x"),
        dtype=_text(log, r"\bdtype=torch\.(\w+)"),
        start_s=start_s,
    )


def telling_lines(log: str, n: int = TELLING_LINES) -> list[str]:
    """The last lines that name an error, without vLLM's prefixes; the last lines at all where none does."""
    lines = [line for line in map(_bare, log.splitlines()) if line and not line.startswith(("File ", "^^", "~~"))]
    errors = [line for line in lines if TELLING.search(line)]
    return list(dict.fromkeys(errors))[-n:] if errors else lines[-n:]


def read_from(path: Path, start: int) -> str:
    """A log file from byte `start` to its end; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def quoted(lines: Sequence[str]) -> str:
    """Lines as part of an error message."""
    return "".join(f"\n    {line}" for line in lines) or "\n    (the log is empty)"


def _bare(line: str) -> str:
    line = LEVEL.sub("", PREFIX.sub("", line)).strip()
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "…"


def _text(log: str, pattern: str) -> str | None:
    found = re.search(pattern, log)
    return found.group(1) if found else None


def _number(log: str, pattern: str) -> float | None:
    found = _text(log, pattern)
    return None if found is None else float(found.replace(",", ""))
