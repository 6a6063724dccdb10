"""What it costs: local hardware and the price of an answer."""

from workbench.core.price import ComputePrice, Price, TokenPrice
from workbench.economics.hardware import HardwareProfile, load_profiles
from workbench.economics.pricing import compute_cost_usd, priced, token_cost_usd

__all__ = [
    "ComputePrice",
    "HardwareProfile",
    "Price",
    "TokenPrice",
    "compute_cost_usd",
    "load_profiles",
    "priced",
    "token_cost_usd",
]
