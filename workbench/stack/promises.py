"""What a configuration promises and could not keep: found at load, with the key's path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.orchestration import CHOSEN, CascadeConfig, FanOutConfig, PipelineConfig

if TYPE_CHECKING:
    from workbench.models import ModelCard
    from workbench.stack.config import StackConfig

LOCAL_KINDS = frozenset({"transformers", "recorded"})


def check_promises(config: StackConfig) -> None:
    """Check what no single field can know.

    Raises:
        ConfigError: one sentence that begins with the key's path.
    """
    for path, name in named_models(config):
        _is_known(config, path, name)
        _is_in_region(config, path, name)
        _has_room(config, path, name)
    _ends_locally(config)
    _chain_has_time(config)
    _somebody_hedges(config)
    _money_can_be_counted(config)
    _sessions_can_stay(config)
    _patterns_add_up(config)
    _guards_are_told_apart(config)
    _stream_can_flow(config)


def named_models(config: StackConfig) -> Iterator[tuple[str, str]]:
    """Key path and name of every model that the configuration names outside `models`."""
    if config.choose.policy.kind == "fixed":
        yield "choose.policy.model", config.choose.policy.model
    for index, name in enumerate(config.choose.fallbacks):
        yield f"choose.fallbacks[{index}]", name
    for name in config.choose.while_left:
        yield f"choose.while_left.{name}", name
    hedge = config.answer.chain.hedge
    if hedge is not None and hedge.model is not None:
        yield "answer.chain.hedge.model", hedge.model
    pattern = config.answer.pattern
    if isinstance(pattern, PipelineConfig):
        for index, step in enumerate(pattern.steps):
            if step.model != CHOSEN:
                yield f"answer.pattern.steps[{index}].model", step.model
    if isinstance(pattern, FanOutConfig | CascadeConfig):
        for index, name in enumerate(pattern.models):
            if name != CHOSEN:
                yield f"answer.pattern.models[{index}]", name
    if isinstance(pattern, CascadeConfig) and pattern.accept.kind == "judge":
        yield "answer.pattern.accept.model", pattern.accept.model


def is_local(card: ModelCard) -> bool:
    """Whether the model answers on this machine, without a network."""
    is_served_here = card.kind == "vllm" and card.base_url is None
    return card.kind in LOCAL_KINDS or is_served_here or card.region == "local"


def _is_known(config: StackConfig, path: str, name: str) -> None:
    if name not in config.models:
        raise ConfigError(f"{path}: unknown model {name!r}; {did_you_mean(name, config.models)}")


def _is_in_region(config: StackConfig, path: str, name: str) -> None:
    allowed, region = config.admit.allowed_regions, config.models[name].region
    if allowed is not None and region not in allowed:
        where = f"is in region {region!r}" if region else "does not say its region"
        raise ConfigError(
            f"{path}: model {name!r} {where}, admit.allowed_regions has {', '.join(allowed) or 'none'};"
            " allow the region or name another model"
        )


def _has_room(config: StackConfig, path: str, name: str) -> None:
    window, answer = config.models[name].context_window, config.compose.max_answer_tokens
    if window is not None and answer >= window:
        raise ConfigError(
            f"{path}: model {name!r} has a context window of {window} tokens, which compose.max_answer_tokens ({answer}) fills;"
            " allow shorter answers"
        )


def _ends_locally(config: StackConfig) -> None:
    fallbacks = config.choose.fallbacks
    if fallbacks and not is_local(config.models[fallbacks[-1]]):
        local = sorted(name for name, card in config.models.items() if is_local(card))
        raise ConfigError(
            f"choose.fallbacks[{len(fallbacks) - 1}]: the chain ends with {fallbacks[-1]!r}, which is not local and fails with the"
            f" network; end it with a local model ({', '.join(local) or 'none is in models'}) or leave fallbacks empty"
        )


def _chain_has_time(config: StackConfig) -> None:
    reserve_s, deadline_s = config.answer.chain.reserve_s, config.answer.deadline_s
    if reserve_s is not None and deadline_s is not None and reserve_s >= deadline_s and config.choose.fallbacks:
        raise ConfigError(
            f"answer.chain.reserve_s: {reserve_s:g} s kept for the last of the chain leave nothing of answer.deadline_s"
            f" ({deadline_s:g} s) for the model that was chosen; keep less"
        )


def _somebody_hedges(config: StackConfig) -> None:
    hedge = config.answer.chain.hedge
    if hedge is not None and hedge.model is None and not config.choose.fallbacks:
        raise ConfigError(
            "answer.chain.hedge: nobody can be asked beside a slow model; name one in answer.chain.hedge.model or in choose.fallbacks"
        )


def _money_can_be_counted(config: StackConfig) -> None:
    budget = config.admit.session_budget
    if config.choose.while_left and budget is None:
        raise ConfigError(
            "choose.while_left: shares of a session's budget, but admit.session_budget is null; set one, best in usd"
        )
    if budget is not None and budget.usd is not None:
        for name, card in config.models.items():
            if card.price is None:
                raise ConfigError(
                    f"admit.session_budget.usd: models.{name}.price is null, so nobody could tell what a session has spent; give a price"
                )


def _sessions_can_stay(config: StackConfig) -> None:
    if config.choose.explore is not None and config.choose.policy.kind == "fixed":
        raise ConfigError(
            "choose.explore: a fixed policy knows one model, so there is nothing to draw; leave it out or use a learned policy"
        )
    if config.choose.sessions is not None and config.choose.policy.kind == "fixed":
        raise ConfigError(
            "choose.sessions: a fixed policy never switches, so there is nothing to stay with; leave it out or use a learned policy"
        )
    pattern = config.answer.pattern
    is_judged = isinstance(pattern, CascadeConfig) and pattern.accept.kind == "judge"
    if config.choose.sessions is not None and (is_judged or isinstance(pattern, PipelineConfig)):
        raise ConfigError(
            f"choose.sessions: with the pattern {pattern.kind} models see other prompts than the conversation, so nobody's prefix cache"
            " is known; leave it out or answer by single, fan_out or a cascade without a judge"
        )


def _patterns_add_up(config: StackConfig) -> None:
    pattern = config.answer.pattern
    if CHOSEN in config.models:
        raise ConfigError(f"models.{CHOSEN}: {CHOSEN!r} means the model that the policy chose; give it another name")
    if isinstance(pattern, CascadeConfig) and pattern.accept.kind == "logprob":
        _are_sure(config, pattern.models[:-1], "answer.pattern.accept: logprob looks at log-probabilities")
    if not isinstance(pattern, FanOutConfig):
        return
    if pattern.quorum > len(pattern.models):
        raise ConfigError(
            f"answer.pattern.quorum: {pattern.quorum} answers can never come from {len(pattern.models)} models"
        )
    if pattern.join == "best_logprob":
        _are_sure(config, pattern.models, "answer.pattern.join: best_logprob compares log-probabilities")


def _are_sure(config: StackConfig, names: tuple[str, ...], what: str) -> None:
    """Whether the models that will be asked for log-probabilities have them."""
    for name in names:
        if name != CHOSEN and not config.models[name].logprobs:
            raise ConfigError(f"{what}, models.{name}.logprobs is false; set it to true if the model can")


def _guards_are_told_apart(config: StackConfig) -> None:
    for section, guards in (("inspect", config.inspect.guards), ("check", config.check.guards)):
        names = [guard.name for guard in guards if guard.name]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigError(f"{section}.guards: two guards are called {twice!r}; verdicts must tell them apart")


def _stream_can_flow(config: StackConfig) -> None:
    if config.check.stream != "pass_through":
        return
    for index, guard in enumerate(config.check.guards):
        needs_whole = guard.kind == "json_schema" or guard.action == "rewrite"
        if needs_whole and guard.mode == "enforce":
            what = "rewrites" if guard.action == "rewrite" else "judges whole answers"
            raise ConfigError(
                f"check.stream: pass_through promises text while it is written, but check.guards[{index}] ({guard.kind}) {what};"
                " use stream: auto"
            )
