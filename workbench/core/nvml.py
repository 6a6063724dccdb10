"""NVIDIA's management library where it is there, and one sentence why not where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Nvml:
    """The initialised library and the GPUs this process may use.

    Args:
        library: the module `pynvml`, or one with the same functions.
        gpus: name → handle, e.g. {"gpu0": …}; the number is NVML's own, which counts all GPUs of the machine in PCI order.
    """

    library: Any
    gpus: Mapping[str, Any]


def open_nvml(library: Any = None, visible: str | None = None) -> Nvml | str:
    """NVML with the GPUs that are visible, or the reason why there are none.

    Args:
        library: stands in for the module `pynvml`; None imports it.
        visible: as CUDA_VISIBLE_DEVICES: numbers or UUIDs with commas; None is every GPU.
    """
    library = _installed() if library is None else library
    if library is None:
        return "nvidia-ml-py is not installed: pip install 'llm-workbench[gpu]'"
    try:
        library.nvmlInit()
        gpus = dict(_handles(library, _names(visible)))
    except (library.NVMLError, ValueError) as exc:
        return f"NVML: {exc}"
    return Nvml(library, gpus) if gpus else "NVML: no GPU is visible"


def _installed() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _names(visible: str | None) -> Sequence[str] | None:
    if visible is None:
        return None
    return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]


def _handles(library: Any, names: Sequence[str] | None) -> list[tuple[str, Any]]:
    if names is None:
        names = [str(index) for index in range(library.nvmlDeviceGetCount())]
    return [(f"gpu{name}" if name.isdigit() else name, _handle(library, name)) for name in names]


def _handle(library: Any, name: str) -> Any:
    if name.isdigit():
        return library.nvmlDeviceGetHandleByIndex(int(name))
    if not name.startswith(("GPU-", "MIG-")):
        raise ValueError(f"{name!r} in CUDA_VISIBLE_DEVICES is neither a number nor a UUID")
    return library.nvmlDeviceGetHandleByUUID(name)
