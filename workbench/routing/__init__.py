"""Which model answers a request, and why: predictors, objectives, policies, fallback chains."""

from workbench.routing.breaker import BreakerConfig, CircuitBreaker
from workbench.routing.circumstances import Circumstances
from workbench.routing.decision import Alternative, Decision
from workbench.routing.fallback import ChainConfig, FallbackChain
from workbench.routing.hedging import HedgeConfig, Hedger
from workbench.routing.hybrid import Hybrid
from workbench.routing.latency_aware import LatencyAware
from workbench.routing.live import LiveState
from workbench.routing.objectives import Capability, CostAware, FixedChoice, Objective
from workbench.routing.pacing import BudgetPacer, PacingConfig
from workbench.routing.policy import AnyPolicy, FixedPolicy, Policy
from workbench.routing.predictions import Predictions
from workbench.routing.predictors import LearnedPredictor, Predictor, make_predictor, predictor_kinds
from workbench.routing.queries import Queries
from workbench.routing.service_curve import ServiceCurve
from workbench.routing.stickiness import Sessions, StickinessConfig
from workbench.routing.store import load_policy, save_policy

__all__ = [
    "Alternative",
    "AnyPolicy",
    "BreakerConfig",
    "BudgetPacer",
    "Capability",
    "ChainConfig",
    "CircuitBreaker",
    "Circumstances",
    "CostAware",
    "Decision",
    "FallbackChain",
    "FixedChoice",
    "FixedPolicy",
    "HedgeConfig",
    "Hedger",
    "Hybrid",
    "LatencyAware",
    "LearnedPredictor",
    "LiveState",
    "Objective",
    "PacingConfig",
    "Policy",
    "Predictions",
    "Predictor",
    "Queries",
    "ServiceCurve",
    "Sessions",
    "StickinessConfig",
    "load_policy",
    "make_predictor",
    "predictor_kinds",
    "save_policy",
]
