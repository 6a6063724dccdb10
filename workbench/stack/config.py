"""The one configuration of a stack: what sweeps tune, releases hold and the gateway serves.

One section a step of the way of a request, in order: admit, inspect, recall, choose, compose, answer, check, settle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from workbench.audit import AuditConfig
from workbench.budgets import RateLimitConfig, SessionBudgetConfig
from workbench.caching import ExactCacheConfig
from workbench.core import ConfigError
from workbench.core.files import write_text
from workbench.core.hashing import sha256_json
from workbench.core.price import Strict
from workbench.core.validation import parse, read_yaml
from workbench.guardrails import JsonSchemaConfig, LengthConfig, PhrasesConfig
from workbench.models import ModelCard
from workbench.orchestration import PatternConfig, SingleConfig
from workbench.prompts import TemplateConfig
from workbench.routing.exploration import ExplorationConfig
from workbench.routing.fallback import ChainConfig
from workbench.routing.objective_json import ObjectiveConfig
from workbench.routing.stickiness import StickinessConfig

SCHEMA_VERSION = 1

Secret = Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$", description="a secret by reference: env:NAME")]
InputGuard = Annotated[LengthConfig | PhrasesConfig, Field(discriminator="kind")]
OutputGuard = Annotated[LengthConfig | PhrasesConfig | JsonSchemaConfig, Field(discriminator="kind")]


class AdmitConfig(Strict):
    """Who may ask, how often, how much and where it may be processed."""

    default_tenant: Annotated[str, Field(min_length=1, description="tenant of requests without a key")] = "public"
    api_keys: Annotated[
        dict[Secret, str], Field(description="key by reference → tenant; empty: no key is asked for")
    ] = {}
    rate_limit: Annotated[RateLimitConfig | None, Field(description="per tenant, in process; null: none")] = None
    session_budget: Annotated[SessionBudgetConfig | None, Field(description="per session; null: none")] = None
    allowed_regions: Annotated[
        tuple[str, ...] | None, Field(description="where requests may be processed; null: anywhere")
    ] = None


class InspectConfig(Strict):
    """What is looked at before a model sees it."""

    normalise: Annotated[Literal["NFKC", "NFC"], Field(description="Unicode form that guards read")] = "NFKC"
    guards: Annotated[tuple[InputGuard, ...], Field(description="in order, the cheap ones first")] = ()


class RecallConfig(Strict):
    """Which answers are given again without asking a model."""

    exact: Annotated[
        ExactCacheConfig | None, Field(description="the same question of the same tenant; null: no cache")
    ] = None


class FixedPolicyConfig(Strict):
    """Always the same model."""

    kind: Literal["fixed"]
    model: Annotated[str, Field(description="its name in `models`")]


class LearnedPolicyConfig(Strict):
    """A policy that a sweep chose and saved."""

    kind: Literal["learned"]
    artifact: Annotated[
        str, Field(min_length=1, description="folder of the saved policy, relative to the configuration's")
    ]
    objective: Annotated[
        ObjectiveConfig | None,
        Field(description="how its predictions become a choice; null: as the sweep saved it"),
    ] = None


class ChooseConfig(Strict):
    """Which model answers."""

    policy: Annotated[FixedPolicyConfig | LearnedPolicyConfig, Field(discriminator="kind")]
    fallbacks: Annotated[
        tuple[str, ...], Field(description="tried in order when the chosen one fails; the last one must be local")
    ] = ()
    sessions: Annotated[
        StickinessConfig | None,
        Field(
            description="conversations stay with a model as long as its warm prefix cache is worth it; null: no memory"
        ),
    ] = None
    explore: Annotated[
        ExplorationConfig | None,
        Field(
            description="a share of requests is answered by a model drawn by lot and logged with its propensity; null: none"
        ),
    ] = None
    while_left: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(description="model → share of the session's budget that must be left for it to be asked; others: any"),
    ] = {}


class ComposeConfig(Strict):
    """What the model receives."""

    default: Annotated[TemplateConfig, Field(description="for tasks not named below")] = TemplateConfig()
    by_task: Annotated[dict[str, TemplateConfig], Field(description="task → template")] = {}
    max_answer_tokens: Annotated[
        int, Field(gt=0, description="most tokens of an answer, whatever the request says")
    ] = 128


class AnswerConfig(Strict):
    """How the answer comes about."""

    pattern: Annotated[PatternConfig, Field(description="single, pipeline, fan_out or cascade")] = SingleConfig(
        kind="single"
    )
    deadline_s: Annotated[
        float | None,
        Field(gt=0, description="seconds for the whole answer, fallbacks included; null: the request's own"),
    ] = 60.0
    chain: Annotated[
        ChainConfig,
        Field(description="how the chosen model and choose.fallbacks share the deadline; circuits; hedging"),
    ] = ChainConfig()


class CheckConfig(Strict):
    """What is looked at before the caller sees it."""

    guards: Annotated[tuple[OutputGuard, ...], Field(description="in order, the cheap ones first")] = ()
    stream: Annotated[
        Literal["auto", "pass_through"],
        Field(
            description="auto: a streamed answer is held back as far as the guards need, to its end if they must;"
            " pass_through: the promise that text flows while it is written, refused when a guard cannot keep it"
        ),
    ] = "auto"


class SettleConfig(Strict):
    """What is kept of a request."""

    audit: Annotated[AuditConfig | None, Field(description="append-only log, one record a request; null: none")] = None


class StackConfig(Strict):
    """The whole way of a request. What cannot hold its promise is refused here, not at the first request."""

    schema_version: Annotated[Literal[1], Field(description="version of this layout")]
    name: Annotated[str, Field(min_length=1, description="what people call it")]
    models: Annotated[dict[str, ModelCard], Field(min_length=1, description="name → what is known about the model")]
    admit: AdmitConfig = AdmitConfig()
    inspect: InspectConfig = InspectConfig()
    recall: RecallConfig = RecallConfig()
    choose: ChooseConfig
    compose: ComposeConfig = ComposeConfig()
    answer: AnswerConfig = AnswerConfig()
    check: CheckConfig = CheckConfig()
    settle: SettleConfig = SettleConfig()

    @model_validator(mode="after")
    def _holds_its_promises(self) -> Self:
        from workbench.stack.promises import check_promises

        check_promises(self)
        return self

    @classmethod
    def from_data(cls, data: Any, where: str) -> StackConfig:
        """A configuration from parsed YAML or JSON; `where` begins the messages.

        Raises:
            ConfigError: a newer layout, an unknown key or name, a wrong value, or a promise that cannot be held.
        """
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ConfigError(
                f"{where}: schema_version {version} was written by a newer version, this one reads {SCHEMA_VERSION};"
                " upgrade: pip install -U llm-workbench"
            )
        try:
            return parse(cls, data, where)
        except ConfigError as exc:
            if exc.__cause__ is not None:  # a finding of pydantic, which `parse` has placed
                raise
            raise ConfigError(f"{where}: {exc}") from exc

    @classmethod
    def load(cls, path: Path) -> StackConfig:
        """The configuration in a YAML file.

        Raises:
            ConfigError: see `from_data`; also a missing file or one that is not YAML.
        """
        return cls.from_data(read_yaml(path, "stack configuration"), str(path))

    def dump(self, path: Path) -> None:
        """Write YAML that `load` reads back to an equal configuration; whole or not at all.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        import yaml

        write_text(path, yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=120))

    def to_data(self) -> dict[str, Any]:
        """Plain values, every default spelt out: what stands in the YAML and under the hash."""
        return _sorted_sets(self.model_dump(mode="json", by_alias=True))

    def sha256(self) -> str:
        """Hash of the whole configuration, as audit records and evidence state it.

        Where and when a listed price was looked up is left out: the same price found tomorrow is the same configuration.
        """
        data = self.to_data()
        for card in data["models"].values():
            (card["price"] or {}).pop("source", None)
        return sha256_json(data)


def _sorted_sets(data: dict[str, Any]) -> dict[str, Any]:
    """Capabilities are a set; their order must not change the hash."""
    for card in data["models"].values():
        card["capabilities"] = sorted(card["capabilities"])
    return data
