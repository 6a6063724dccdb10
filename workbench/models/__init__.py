"""Who answers: one protocol, one card, several backends."""

from workbench.models.card import ComputePrice, ModelCard, Price, TokenPrice
from workbench.models.model import Model

__all__ = ["ComputePrice", "Model", "ModelCard", "Price", "TokenPrice"]
