"""Who answers: one protocol, one card, several backends, and the lab that names them."""

from workbench.core.price import ComputePrice, Price, TokenPrice
from workbench.models.card import ModelCard
from workbench.models.faults import Fault, FaultSchedule, FaultyModel
from workbench.models.lab import Lab, load_lab
from workbench.models.loading import MODEL_KINDS, load_model
from workbench.models.model import Model

__all__ = [
    "MODEL_KINDS",
    "ComputePrice",
    "Fault",
    "FaultSchedule",
    "FaultyModel",
    "Lab",
    "Model",
    "ModelCard",
    "Price",
    "TokenPrice",
    "load_lab",
    "load_model",
]
