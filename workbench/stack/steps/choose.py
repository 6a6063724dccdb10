"""Choose: the policy's model among those that may and can answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.budgets import SessionBudget
from workbench.core import BudgetExceeded, Clock, ConfigError, ContextOverflow, Request, Unavailable, Usage
from workbench.core.hashing import sha256_file, sha256_json
from workbench.core.naming import did_you_mean
from workbench.core.price import TokenPrice
from workbench.economics import HardwareProfile, token_cost_usd
from workbench.orchestration import CHOSEN, CascadeConfig, cascade_in_words
from workbench.routing import (
    BudgetPacer,
    Circumstances,
    Decision,
    FixedPolicy,
    LatencyAware,
    LiveState,
    Policy,
    Queries,
)
from workbench.routing.circumstances import draws_of
from workbench.routing.exploration import explored
from workbench.routing.objective_json import CostAwareConfig, HybridConfig
from workbench.routing.policy import AnyPolicy
from workbench.routing.queries import FloatArray
from workbench.routing.stickiness import Sessions, Ties
from workbench.stack.config import ChooseConfig, FixedPolicyConfig, LearnedPolicyConfig, StackConfig
from workbench.stack.journey import Journey
from workbench.stack.promises import named_models
from workbench.stack.steps.admit import n_calls
from workbench.stack.steps.compose import Composer
from workbench.stack.steps.worst_cost import most_usd


def load_policy(config: StackConfig, base_dir: Path) -> AnyPolicy:
    """The policy that the configuration names.

    Raises:
        ConfigError: no policy there, or it names a model that the configuration does not have.
        StoreError: it is damaged.
    """
    policy = config.choose.policy
    if isinstance(policy, FixedPolicyConfig):
        return FixedPolicy(policy.model)
    loaded = Policy.load(base_dir / policy.artifact)
    for name in loaded.models:
        if name not in config.models:
            raise ConfigError(
                f"choose.policy.artifact: the policy in {base_dir / policy.artifact} chooses among {', '.join(loaded.models)};"
                f" models has no {name!r}: {did_you_mean(name, config.models)}"
            )
    if policy.objective is None:
        return loaded
    if isinstance(loaded, FixedPolicy):
        raise ConfigError(
            f"choose.policy.objective: the policy in {base_dir / policy.artifact} is fixed to {loaded.model} and predicts nothing that"
            " an objective could weigh; leave the objective out, or save a learned policy"
        )
    return replace(loaded, objective=policy.objective.build(loaded.models))


def make_pacer(config: ChooseConfig, clock: Clock) -> BudgetPacer | None:
    """What keeps a period's budget; None without one."""
    objective = config.policy.objective if isinstance(config.policy, LearnedPolicyConfig) else None
    if not isinstance(objective, CostAwareConfig | HybridConfig) or objective.pacing is None:
        return None
    return BudgetPacer(objective.pacing, objective.exchange, clock)


def policy_sha256(config: ChooseConfig, base_dir: Path) -> str:
    """Hash of the policy's files; of its name where it is fixed."""
    if isinstance(config.policy, FixedPolicyConfig):
        return sha256_json(config.policy.model)
    folder = base_dir / config.policy.artifact
    return sha256_json({path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()})


class Choice:
    """The step that picks a model. It sees the prompt as it was sent, as the sweep did, not as it will be worded.

    Args:
        config: of the whole stack.
        policy: decides.
        composer: counts what the worded prompt takes.
        profiles: hardware by name, for the cost limit.
        live: which circuits are open.
        budget: of sessions; None without.
        pacer: of the period's budget; None without.
        sessions: which models know a conversation; None without.
    """

    def __init__(
        self,
        config: StackConfig,
        policy: AnyPolicy,
        composer: Composer,
        profiles: Mapping[str, HardwareProfile],
        live: LiveState,
        budget: SessionBudget | None,
        pacer: BudgetPacer | None,
        sessions: Sessions | None = None,
    ) -> None:
        self._cards = config.models
        self._fallbacks = config.choose.fallbacks
        self._policy = policy
        self._composer = composer
        self._profiles = profiles
        self._live = live
        self._budget = budget
        self._pacer = pacer
        self.sessions = sessions
        self._explore = config.choose.explore
        self._pattern = config.answer.pattern
        objective = policy.objective if isinstance(policy, Policy) else None
        self._wants_ttft = isinstance(objective, LatencyAware) and objective.measure == "ttft"
        self._while_left = config.choose.while_left
        self._n_calls = n_calls(config) * (2 if config.answer.chain.hedge else 1)
        self._named = tuple(dict.fromkeys(name for _, name in named_models(config)))

    def run(self, journey: Journey) -> Decision:
        """The decision; where the policy's models cannot answer, the first fallback that can.

        A model whose circuit is open is passed over as long as another one can answer.

        Raises:
            ContextOverflow: no model's window holds the prompt.
            BudgetExceeded: no model is cheap enough.
            ConfigError: no model is meant for the task.
        """
        request = journey.request
        names = tuple(dict.fromkeys((*self._policy.models, *self._fallbacks)))
        reasons = self._ineligible(journey, names)
        self._hold(journey, reasons)
        reasons = self._or_unwell(journey, reasons)
        eligible = np.array([[reasons[name] is None for name in self._policy.models]])
        ties = self._ties(request)
        given = self._circumstances(journey, ties)
        decision = self._policy.decide(Queries.from_requests([request]), eligible, given)[0]
        if decision.model is None:
            decision = self._fallback(decision, reasons)
        elif ties is not None and (tied := ties.because(decision.model, self._policy.models)):
            decision = replace(decision, because=f"{decision.because}; {tied}")
        if (
            self._explore is not None and request.use_cache
        ):  # a request that wants no stored answer is a check: it is not played with
            able = [name for name in self._policy.models if reasons[name] is None]
            decision = explored(decision, able, self._explore.share, request.request_id)
        return self._with_left_out(self._as_answered(decision), reasons)

    def _as_answered(self, decision: Decision) -> Decision:
        """The decision with a line that says what happens: a cascade asks models in its own order, the policy's or not."""
        if not isinstance(self._pattern, CascadeConfig) or decision.model is None:
            return decision
        order = cascade_in_words(self._pattern, decision.model)
        because = f"{order}; {decision.because}" if CHOSEN in self._pattern.models else order
        return replace(decision, because=because)

    def _fallback(self, decision: Decision, reasons: dict[str, Exception | None]) -> Decision:
        """The first fallback that can answer."""
        for name in self._fallbacks:
            if reasons[name] is None:
                return Decision(name, f"{name}: {decision.because}; the first fallback that can answer")
        refused = next((reason for reason in reasons.values() if reason is not None), None)
        raise refused or Unavailable(decision.because, model=", ".join(self._policy.models))

    def _ties(self, request: Request) -> Ties | None:
        """What binds the request to the models of its session; None without sessions."""
        if self.sessions is None or request.session is None:
            return None
        return self.sessions.ties(request, self._policy.models, self._cache_saves_usd)

    def _cache_saves_usd(self, name: str, n_tokens: int) -> float:
        """What reading so many prompt tokens from the model's cache saves; 0 where its price knows no cached tokens."""
        price = self._cards[name].price
        if not isinstance(price, TokenPrice):
            return 0.0
        whole, cached = (token_cost_usd(Usage(n_tokens, 0, cached_tokens=n), price) for n in (0, n_tokens))
        return max(0.0, whole - cached) if whole is not None and cached is not None else 0.0

    def _circumstances(self, journey: Journey, ties: Ties | None) -> Circumstances:
        """Load, money and chance at this moment, as one row."""
        models, request = self._policy.models, journey.request
        return Circumstances(
            tasks=(request.task,),
            in_flight=np.array([self._live.in_flight(models)], np.float64),
            recent_s=np.array([self._live.recent_s(models, self._wants_ttft)]),
            discount_usd=None if ties is None else ties.discount_usd,
            bonus=None if ties is None else ties.bonus,
            exchange=None if self._pacer is None else np.array([self._pacer.exchange()]),
            left_usd=self._left_usd(journey),
            draws=draws_of((request.request_id,)),
        )

    def _left_usd(self, journey: Journey) -> FloatArray | None:
        """What is left of the period's and of the session's budget, whichever is less; None without either."""
        left: list[float | None] = [None if self._pacer is None else self._pacer.left_usd()]
        if self._budget is not None and journey.reservation is not None:
            left.append(self._budget.left_usd(journey.reservation))
        known = [usd for usd in left if usd is not None]
        return np.array([min(known)]) if known else None

    def _with_left_out(self, decision: Decision, reasons: dict[str, Exception | None]) -> Decision:
        """The decision, with the models that the session can no longer afford in its line."""
        left_out = [str(reason) for reason in reasons.values() if isinstance(reason, BudgetExceeded)]
        return replace(decision, because="; ".join([decision.because, *left_out])) if left_out else decision

    def _hold(self, journey: Journey, reasons: dict[str, Exception | None]) -> None:
        """Set the session's money aside for the dearest model that may be asked, and note the ones it cannot afford."""
        draft = self._composer.draft(journey.request)
        others = {name: self._not_in_budget(name, journey, draft) for name in self._named if name not in reasons}
        every = {**reasons, **others}
        journey.unaffordable = frozenset(name for name, why in every.items() if isinstance(why, BudgetExceeded))
        if self._budget is None or self._budget.config.usd is None or journey.reservation is None:
            return
        names = [name for name, why in every.items() if why is None]
        costs = [self._most_usd(name, draft) for name in names]
        self._budget.hold_usd(journey.reservation, max((cost for cost in costs if cost is not None), default=0.0))

    def _most_usd(self, name: str, draft: Request) -> float | None:
        """What all calls of a request cost at most, were they all of this model."""
        tokens = self._composer.prompt_tokens(draft, name)
        usd = most_usd(name, self._cards[name], tokens, draft.sampling.max_tokens, self._profiles)
        return None if usd is None else usd * self._n_calls

    def _ineligible(self, journey: Journey, names: tuple[str, ...]) -> dict[str, Exception | None]:
        """Why each model cannot answer; None where it can."""
        draft = self._composer.draft(journey.request)
        reasons: dict[str, Exception | None] = {}
        for name in names:
            tokens = self._composer.prompt_tokens(draft, name) if self._needs_count(name, draft) else None
            reasons[name] = (
                self._outside(name, journey)
                or self._not_meant(name, journey.request)
                or self._too_long(name, draft, tokens)
                or self._too_dear(name, draft, tokens)
                or self._not_in_budget(name, journey, draft)
            )
        return self._or_shortened(journey.request, reasons)

    def _or_unwell(self, journey: Journey, reasons: dict[str, Exception | None]) -> dict[str, Exception | None]:
        """The same, with models whose circuit is open left out too, unless nobody would be left."""
        able = [name for name, reason in reasons.items() if reason is None]
        open_now = [name for name in able if not self._live.may_answer(name)]
        if not open_now or len(open_now) == len(able):
            return reasons
        journey.degraded = True
        journey.skipped += open_now
        journey.failures += [f"model {name!r}: {self._live.why_not(name)}" for name in open_now]
        return {**reasons, **{name: Unavailable(self._live.why_not(name), model=name) for name in open_now}}

    def _needs_count(self, name: str, draft: Request) -> bool:
        return self._cards[name].context_window is not None or draft.cost_limit_usd is not None

    def _outside(self, name: str, journey: Journey) -> Exception | None:
        if name in journey.permitted:
            return None
        return ConfigError(f"model {name!r} is outside the request's regions; add one inside as a fallback")

    def _not_meant(self, name: str, request: Request) -> Exception | None:
        abilities = self._cards[name].capabilities
        if request.task is None or not abilities or request.task in abilities:
            return None
        return ConfigError(
            f"model {name!r} is not meant for task {request.task!r}: it lists {', '.join(sorted(abilities))}"
        )

    def _too_long(self, name: str, draft: Request, tokens: int | None) -> Exception | None:
        window, answer = self._cards[name].context_window, draft.sampling.max_tokens
        if window is None or tokens is None or tokens + answer <= window:
            return None
        return ContextOverflow(model=name, prompt_tokens=tokens, context_window=window, answer_tokens=answer)

    def _too_dear(self, name: str, draft: Request, tokens: int | None) -> Exception | None:
        """Judged by the longest answer; a model whose cost cannot be told is too dear for any limit."""
        limit = draft.cost_limit_usd
        if limit is None:
            return None
        cost_usd = most_usd(name, self._cards[name], tokens, draft.sampling.max_tokens, self._profiles)
        if cost_usd is not None and cost_usd <= limit:
            return None
        what = "an unknown cost" if cost_usd is None else f"up to {cost_usd:.3g} USD"
        return BudgetExceeded(f"model {name!r} would take {what}, the request allows {limit:.3g} USD", scope="request")

    def _not_in_budget(self, name: str, journey: Journey, draft: Request) -> Exception | None:
        """Whether the session can afford the model: the share that must be left for it, and the money for its longest answer."""
        if self._budget is None or journey.reservation is None:
            return None
        needed, share = self._while_left.get(name, 0.0), self._budget.share_left(journey.reservation)
        if share < needed:
            return BudgetExceeded(
                f"model {name!r} is asked while {needed:.0%} of the session's budget are left, {share:.0%} are",
                scope="session",
            )
        left_usd = self._budget.left_usd(journey.reservation)
        if left_usd is None:
            return None
        usd = self._most_usd(name, draft)
        if usd is not None and usd <= left_usd:
            return None
        what = "an unknown cost" if usd is None else f"up to {usd:.3g} USD"
        return BudgetExceeded(
            f"model {name!r} would take {what}, the session has {left_usd:.3g} USD left", scope="session"
        )

    def _or_shortened(self, request: Request, reasons: dict[str, Exception | None]) -> dict[str, Exception | None]:
        """Where no model holds the whole conversation, those count that hold it without its oldest turns."""
        if any(reason is None for reason in reasons.values()):
            return reasons
        for name, reason in reasons.items():
            if isinstance(reason, ContextOverflow):
                try:
                    self._composer.for_model(request, name)
                except ContextOverflow:
                    continue
                reasons[name] = None
        return reasons
