"""An environment that looks like vLLM's, whose `vllm serve` starts at once and misbehaves on request."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

from workbench.testing import fake_vllm_serve

How = Literal["well", "dies", "silent", "stubborn", "orphans"]
"""`dies` before it is ready, is `silent` for ever, is `stubborn` about being stopped, leaves `orphans` behind."""


def fake_vllm_environment(
    folder: Path, how: How = "well", *, version: str | None = "0.32.0+cpu", package: str = "vllm"
) -> Path:
    """A virtual environment's folder with a `vllm` command and the package's metadata.

    The server answers with the prompt in capitals, a space before it. The prompt "die" ends it.

    Args:
        folder: made here.
        how: the server behaves.
        version: in the metadata; None leaves the metadata out.
        package: name in the metadata.

    Returns:
        The folder, for `options.environment`.
    """
    command = folder / "bin" / "vllm"
    command.parent.mkdir(parents=True)
    words = [sys.executable, "-S", str(fake_vllm_serve.__file__), how]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    entry = folder / "lib" / "python3.11" / "site-packages" / f"{package.replace('-', '_')}-{version}.dist-info"
    if version is not None:
        entry.mkdir(parents=True)
        (entry / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    return folder
