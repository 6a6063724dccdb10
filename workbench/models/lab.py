"""`lab.yaml`: the models at hand, by name. Without one, the reference family is the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import read_config
from workbench.models.card import ModelCard
from workbench.models.family import family_cards

LAB_FILE = "lab.yaml"


class Lab(Strict):
    """What one works with."""

    models: Annotated[dict[str, ModelCard], Field(description="name → card")] = {}

    def card(self, name: str) -> ModelCard:
        """The card of a model.

        Raises:
            ConfigError: unknown name; suggests the nearest.

        Example:
            >>> Lab(models={"tiny": ModelCard(kind="transformers", model="reference:tiny")}).card("tiny").kind
            'transformers'
        """
        if name not in self.models:
            raise ConfigError(f"unknown model {name!r}: {did_you_mean(name, self.models)}")
        return self.models[name]


def load_lab(path: Path | None = None) -> Lab:
    """The lab of a file; without a path `lab.yaml` of the current folder, and without that the reference family.

    Checkpoint folders in it are relative to the current folder.

    Raises:
        ConfigError: the file is missing, not YAML, or has a wrong key or value; says which.
    """
    if path is None and Path(LAB_FILE).exists():
        path = Path(LAB_FILE)
    if path is None:
        return Lab(models=family_cards())
    return read_config(Lab, path, "lab file")
