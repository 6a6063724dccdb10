"""What it costs: local hardware, the price book and the price of an answer."""

from workbench.core.price import ComputePrice, ListedPrice, Price, TokenPrice
from workbench.economics.hardware import HOURS_PER_MONTH, HOURS_PER_YEAR, HardwareProfile, find_profile, load_profiles
from workbench.economics.listed import ListedModel
from workbench.economics.price_book import PriceBook, load_price_book
from workbench.economics.pricing import UnknownCost, check_usage, compute_cost_usd, price_record, priced, token_cost_usd

__all__ = [
    "HOURS_PER_MONTH",
    "HOURS_PER_YEAR",
    "ComputePrice",
    "HardwareProfile",
    "ListedModel",
    "ListedPrice",
    "Price",
    "PriceBook",
    "TokenPrice",
    "UnknownCost",
    "check_usage",
    "compute_cost_usd",
    "find_profile",
    "load_price_book",
    "load_profiles",
    "price_record",
    "priced",
    "token_cost_usd",
]
