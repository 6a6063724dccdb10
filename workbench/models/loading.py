"""From a card to something that answers. Backends are imported on first use."""

from __future__ import annotations

from workbench.core import Clock, SystemClock
from workbench.core.registry import Registry
from workbench.models.card import ModelCard
from workbench.models.model import Model

# A backend is a callable `(name, card, clock) -> Model`. Another one is added with `MODEL_KINDS.add(kind, "module:Class")`.
MODEL_KINDS = Registry(
    "model kind",
    {
        "transformers": "workbench.models.transformers_model:TransformersModel",
        "openai-compatible": "workbench.models.openai_compatible:OpenAICompatibleModel",
        "anthropic": "workbench.models.anthropic_model:AnthropicModel",
        "vllm": "workbench.models.vllm_model:VLLMModel",
        "recorded": "workbench.models.recorded:open_recorded",
        "stack": "workbench.stack.as_model:StackModel",
    },
    extras={"transformers": "hf", "openai-compatible": "api", "anthropic": "api", "vllm": "api"},
)


def load_model(name: str, card: ModelCard, clock: Clock | None = None) -> Model:
    """The model that `card` describes, ready to answer (a local checkpoint is in memory).

    Args:
        name: its name in the configuration; stands in every answer and error.
        card: what is known about it.
        clock: what tells the time; the machine's own clocks when None.

    Raises:
        ConfigError: unknown kind, missing or damaged checkpoint, missing key, wrong option.
        MissingExtra: the backend's libraries are not installed.
    """
    model: Model = MODEL_KINDS.load(card.kind)(name, card, clock or SystemClock())
    return model
