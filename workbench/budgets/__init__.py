"""How much may be spent: rates and session budgets, reserved before and settled after."""

from workbench.budgets.rate import RateLimit, RateLimitConfig
from workbench.budgets.session import Reservation, SessionBudget, SessionBudgetConfig

__all__ = ["RateLimit", "RateLimitConfig", "Reservation", "SessionBudget", "SessionBudgetConfig"]
