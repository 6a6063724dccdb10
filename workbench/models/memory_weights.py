"""How many numbers a checkpoint's weight files hold, read from their headers alone."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import ConfigError
from workbench.core.files import read_json

BYTES_OF: dict[str, float] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
FLOATING = frozenset({"F64", "F32", "F16", "BF16"})
TIED = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """What the weight files hold.

    Args:
        n_floating: numbers in floating-point tensors, which are cast to the type that the model computes in.
        other_bytes: of tensors that are kept as they are (quantised weights, integers).
        n_tensors: how many.
    """

    n_floating: int
    other_bytes: int
    n_tensors: int

    def bytes_as(self, bytes_per_number: float) -> int:
        """Bytes in memory when floating-point tensors have that many a number."""
        return round(self.n_floating * bytes_per_number) + self.other_bytes


def stored_weights(folder: Path, *, is_tied: bool) -> StoredWeights | None:
    """The weights of a checkpoint folder; None when the weight files are not (all) there.

    Args:
        folder: with `model.safetensors`, or shards and their index.
        is_tied: a stored copy of the embedding as output head is then not counted again.

    Raises:
        ConfigError: a file whose header is damaged.
    """
    files = _files(folder)
    if not files or not all(path.is_file() for path in files):
        return None
    floating = others = n_tensors = 0
    for name, kind, n_numbers in (tensor for path in files for tensor in _tensors(path)):
        if is_tied and name == TIED:
            continue
        n_tensors += 1
        if kind in FLOATING:
            floating += n_numbers
        else:
            others += math.ceil(n_numbers * BYTES_OF.get(kind, 1))
    return StoredWeights(floating, others, n_tensors)


def _files(folder: Path) -> list[Path]:
    """The files that the library would load: some folders hold the same weights a second time in another form."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        found = read_json(index, "index of the weights")
        names = found.get("weight_map", {}) if isinstance(found, dict) else {}
        return [folder / name for name in sorted(set(names.values()))]
    return [folder / "model.safetensors"]


def _tensors(path: Path) -> Iterator[tuple[str, str, int]]:
    """Name, type and size of each tensor. Source: the safetensors format (8 bytes of length, a JSON header, the data)."""
    for name, described in _header(path).items():
        if name != "__metadata__":
            yield name, described["dtype"], math.prod(described["shape"])


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
    except (struct.error, ValueError) as exc:
        raise ConfigError(f"{path} is not a safetensors file or was cut short; copy the checkpoint again") from exc
    return header
