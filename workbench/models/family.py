"""The reference family on disk: which checkpoints ship, and whether their bytes are the ones that were measured."""

from __future__ import annotations

import functools
import json
import struct
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from workbench.core import ConfigError
from workbench.core.data import data_folder
from workbench.core.files import read_json
from workbench.core.hashing import sha256_file
from workbench.core.naming import did_you_mean
from workbench.core.price import ComputePrice
from workbench.core.validation import parse
from workbench.models.card import ModelCard

PREFIX = "reference:"
HARDWARE = "cpu-2core"
SCHEMA_VERSION = 1


class Member(BaseModel):
    """What `family.json` must say of a model; it says more (size, domains), which is not read here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    folder: Annotated[str, Field(description="beside family.json")]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of model.safetensors")]
    forward_flops_per_token: Annotated[float, Field(gt=0)]


class Family(BaseModel):
    """`data/reference/family.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Annotated[int, Field(le=SCHEMA_VERSION, description="a higher one is of a newer package")]
    models: tuple[Member, ...]

    def member(self, name: str) -> Member:
        """The member of that name.

        Raises:
            ConfigError: unknown; suggests the nearest.
        """
        members = {member.name: member for member in self.models}
        if name not in members:
            raise ConfigError(f"unknown reference model {name!r}: {did_you_mean(name, members)}")
        return members[name]


def family_folder() -> Path:
    """Where the shipped checkpoints are."""
    return data_folder() / "reference"


def read_family() -> Family:
    """The family that ships.

    Raises:
        ConfigError: there is none, or its description is damaged.
    """
    path = family_folder() / "family.json"
    if not path.exists():
        raise ConfigError(
            f"the reference family is not there ({path} is missing); train it with `make models`, or name your own models in lab.yaml"
        )
    return parse(Family, read_json(path, "family description"), str(path))


def family_cards() -> dict[str, ModelCard]:
    """A card for each member: local, priced by its compute, with the context window of its checkpoint."""
    return {member.name: _card(member) for member in read_family().models}


def _card(member: Member) -> ModelCard:
    return ModelCard(
        kind="transformers",
        model=PREFIX + member.name,
        context_window=context_window(family_folder() / member.folder),
        price=ComputePrice(hardware=HARDWARE),
        flop_per_token=member.forward_flops_per_token,
        region="local",
        # Matrices this small gain nothing from a second thread, and on a busy machine threads wait for each other.
        options={"threads": 1},
    )


def context_window(folder: Path) -> int | None:
    """Positions that a checkpoint's configuration allows; None when it does not say."""
    config = read_json(folder / "config.json", "checkpoint configuration")
    window = config.get("max_position_embeddings")
    return window if isinstance(window, int) else None


@functools.cache
def reference_checkpoint(name: str) -> Path:
    """The folder of a family member, its weights verified (once a process).

    Raises:
        ConfigError: unknown name, missing or damaged files.
    """
    member = read_family().member(name)
    folder = family_folder() / member.folder
    check_checkpoint(folder)
    weights = folder / "model.safetensors"
    found, expected = sha256_file(weights), member.weights_sha256
    if found != expected:
        raise ConfigError(
            f"{weights} is not the checkpoint that was measured (sha256 {found[:12]}…, family.json says {expected[:12]}…); "
            "check it out again or retrain with `make models`"
        )
    return folder


def checkpoint_source(model: str) -> str:
    """Where a card's checkpoint is: a verified folder of the family, a folder that was looked at, or a hub id.

    Raises:
        ConfigError: no such folder or family member, or its files are missing or damaged.
    """
    if model.startswith(PREFIX):
        return str(reference_checkpoint(model.removeprefix(PREFIX)))
    folder = Path(model).expanduser()
    if folder.is_dir():
        check_checkpoint(folder)
        return str(folder)
    if folder.exists() or model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ConfigError(f"no checkpoint folder at {model}; give reference:NAME, a folder, or a hub id as OWNER/NAME")
    return model


def check_checkpoint(folder: Path) -> None:
    """See that a checkpoint folder has a configuration and weights, and that no weight file was cut short.

    Raises:
        ConfigError: says which file and what is wrong with it.
    """
    read_json(folder / "config.json", "checkpoint configuration")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and not any(folder.glob("*.bin")):
        raise ConfigError(f"{folder} has a config.json but no weights (*.safetensors); copy the whole checkpoint")
    for path in weights:
        _check_length(path)


def _check_length(path: Path) -> None:
    """A safetensors file says how long it is: 8 bytes, the header's length, the header, the tensors it lists."""
    actual = path.stat().st_size
    expected = _promised_length(path, actual)
    if expected is None or actual < expected:
        promise = "its header is not readable" if expected is None else f"its header promises {expected:,}"
        raise ConfigError(f"{path} was cut short: it has {actual:,} bytes, {promise}; copy the checkpoint again")


def _promised_length(path: Path, actual: int) -> int | None:
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            return None
        (header_length,) = struct.unpack("<Q", head)
        if header_length > actual:
            return 8 + int(header_length)
        try:
            header: dict[str, Any] = json.loads(file.read(header_length))
        except ValueError:
            return None
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + int(header_length) + max(ends, default=0)
