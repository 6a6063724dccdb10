"""What it costs: local hardware, energy, the price book and the price of an answer."""

from workbench.core.price import ComputePrice, ListedPrice, Price, TokenPrice
from workbench.economics.energy import CombinedMeter, EnergyMeter, NoMeter, open_meter
from workbench.economics.energy_shares import ActiveRequest, EnergyShares, batch_of, share_by_token_steps, share_energy
from workbench.economics.hardware import HOURS_PER_MONTH, HOURS_PER_YEAR, HardwareProfile, find_profile, load_profiles
from workbench.economics.listed import ListedModel
from workbench.economics.price_book import PriceBook, load_price_book
from workbench.economics.pricing import UnknownCost, check_usage, compute_cost_usd, price_record, priced, token_cost_usd

__all__ = [
    "HOURS_PER_MONTH",
    "HOURS_PER_YEAR",
    "ActiveRequest",
    "CombinedMeter",
    "ComputePrice",
    "EnergyMeter",
    "EnergyShares",
    "HardwareProfile",
    "ListedModel",
    "ListedPrice",
    "NoMeter",
    "Price",
    "PriceBook",
    "TokenPrice",
    "UnknownCost",
    "batch_of",
    "check_usage",
    "compute_cost_usd",
    "find_profile",
    "load_price_book",
    "load_profiles",
    "open_meter",
    "price_record",
    "priced",
    "share_by_token_steps",
    "share_energy",
    "token_cost_usd",
]
