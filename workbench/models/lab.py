"""`lab.yaml`: the models at hand, by name. Without one, the reference family is the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.core.price import Strict
from workbench.core.validation import parse, read_yaml
from workbench.models.card import ModelCard
from workbench.models.family import family_cards

LAB_FILE = "lab.yaml"


class Lab(Strict):
    """What one works with."""

    prices: Annotated[
        Path | None,
        Field(description="file of prices that come before the price book's, for cards with a listed price"),
    ] = None
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

    Checkpoint folders and the file of prices in it are relative to the current folder. Listed prices are those of today; a card holds
    what was found and where.

    Raises:
        ConfigError: the file is missing, not YAML, or has a wrong key or value, or a listed price is not found; says which.
    """
    if path is None and Path(LAB_FILE).exists():
        path = Path(LAB_FILE)
    if path is None:
        return Lab(models=family_cards())
    data = read_yaml(path, "lab file")
    return parse(Lab, {} if data is None else _with_overrides(data, str(path)), str(path))


def _with_overrides(data: Any, where: str) -> Any:
    """The file's content with its listed prices looked up in its own file of prices first."""
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("prices"), str)
        or not isinstance(data.get("models"), dict)
    ):
        return data  # no such file, or no lab, which pydantic says better
    from workbench.economics.price_book import load_price_book, look_up

    book = load_price_book(Path(data["prices"]))

    def card(name: str, values: Any) -> Any:
        price = values.get("price") if isinstance(values, dict) else None
        if not isinstance(price, dict) or "listed" not in price:
            return values
        try:
            return {**values, "price": look_up(price, book)}
        except ValueError as exc:
            raise ConfigError(f"{where}: models.{name}.price: {exc}") from exc

    return {**data, "models": {name: card(name, values) for name, values in data["models"].items()}}
