"""Admit: who asks, how often, where it may be processed, and whether the budget allows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from workbench.budgets import RateLimit, SessionBudget
from workbench.core import Blocked, Clock, ConfigError, Request
from workbench.core.hashing import sha256_text
from workbench.models import ModelCard
from workbench.orchestration import CascadeConfig, FanOutConfig, PipelineConfig
from workbench.stack.config import AdmitConfig, StackConfig
from workbench.stack.journey import Journey
from workbench.stack.steps.compose import Composer


class Admission:
    """The first step.

    Args:
        config: of the whole stack.
        composer: counts what a prompt will take.
        clock: what tells the time.

    Raises:
        ConfigError: an API key's environment variable is not set, or two keys are the same.
    """

    def __init__(self, config: StackConfig, composer: Composer, clock: Clock) -> None:
        admit = config.admit
        self._config = admit
        self._cards: Mapping[str, ModelCard] = config.models
        self._composer = composer
        self._n_calls = n_calls(config)
        self._tenants = tenants_by_key_hash(admit)
        self._rate = RateLimit(admit.rate_limit, clock) if admit.rate_limit else None
        self.budget = SessionBudget(admit.session_budget) if admit.session_budget else None

    def run(self, journey: Journey, api_key: str | None) -> str:
        """Fill tenant, permitted models and reservation; returns the line for the trace.

        Raises:
            Blocked: unknown key, or a region where no model is.
            BudgetExceeded: too many requests, or too few tokens left.
        """
        request = replace(journey.request, tenant=self.tenant(journey.request, api_key))
        journey.request = request
        if self._rate is not None:
            self._rate.take(request.tenant)
        journey.permitted = self.permitted(request)
        because = f"tenant {request.tenant!r}"
        if request.region or self._config.allowed_regions is not None:
            because += f", {len(journey.permitted)} of {len(self._cards)} models in the region"
        if self.budget is not None:
            tokens = self._n_calls * self._composer.most_tokens(request, journey.permitted)
            session = request.session or f"request {request.request_id}"
            journey.reservation = self.budget.reserve(request.tenant, session, tokens)
            because += f", {tokens} tokens reserved"
        return because

    def tenant(self, request: Request, api_key: str | None) -> str:
        """Whose request it is. With keys configured the key alone decides.

        Raises:
            Blocked: keys are configured and this one is unknown or missing.
        """
        if self._tenants:
            tenant = self._tenants.get(sha256_text(api_key)) if api_key else None
            if tenant is None:
                what = "an unknown" if api_key else "no"
                raise Blocked(f"the request has {what} API key; send one of admit.api_keys", guard="identity")
            return tenant
        return self._config.default_tenant if request.tenant == "public" else request.tenant

    def permitted(self, request: Request) -> frozenset[str]:
        """Models that may process the request: in its region and in the allowed ones; a model of unknown region is in none.

        Raises:
            Blocked: there is none.
        """
        allowed = self._config.allowed_regions
        names = frozenset(
            name
            for name, card in self._cards.items()
            if (allowed is None or card.region in allowed) and (request.region is None or card.region == request.region)
        )
        if not names:
            regions = sorted({card.region for card in self._cards.values() if card.region})
            raise Blocked(
                f"no model may process a request of region {request.region!r}; models are in {', '.join(regions) or 'no stated region'}",
                guard="residency",
            )
        return names


def n_calls(config: StackConfig) -> int:
    """Calls of models that one request takes at most when nothing fails."""
    pattern = config.answer.pattern
    if isinstance(pattern, PipelineConfig):
        return len(pattern.steps)
    if isinstance(pattern, CascadeConfig):
        n_judged = len(pattern.models) - 1 if pattern.accept.kind == "judge" else 0
        return len(pattern.models) + n_judged
    return len(pattern.models) if isinstance(pattern, FanOutConfig) else 1


def tenants_by_key_hash(config: AdmitConfig) -> dict[str, str]:
    """Tenant by the SHA-256 of its key; comparing hashes tells nothing about keys by timing.

    Raises:
        ConfigError: a key is not in the environment, or two references hold the same one.
    """
    tenants: dict[str, str] = {}
    for reference, tenant in config.api_keys.items():
        name = reference.removeprefix("env:")
        key = os.environ.get(name)
        if not key:
            raise ConfigError(f"admit.api_keys: the environment variable {name} is not set; set it or remove the key")
        if sha256_text(key) in tenants:
            raise ConfigError(f"admit.api_keys: {name} holds the same key as another one; give each tenant its own")
        tenants[sha256_text(key)] = tenant
    return tenants
