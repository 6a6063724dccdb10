"""Who answers: one protocol, one card, several backends."""

from workbench.core.price import ComputePrice, Price, TokenPrice
from workbench.models.card import ModelCard
from workbench.models.model import Model

__all__ = ["ComputePrice", "Model", "ModelCard", "Price", "TokenPrice"]
