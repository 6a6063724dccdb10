"""The five models of the family: shape, data and schedule of each, keyed to steps and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.evaluation.reference.items import Domain

HEAD_WIDTH = 32
"""Kept at 32, with widths in multiples of it: smaller heads are not in vLLM's CPU list."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is trained.

    Args:
        name: folder name of the checkpoint.
        width: hidden size, a multiple of 32.
        layers: decoder layers.
        domains: kinds it is trained on; one domain makes a specialist.
        steps: optimizer steps.
        tokens_per_batch: upper bound of padded tokens in a step.
        muon_lr: peak learning rate of the matrices in the layers.
        adam_lr: peak learning rate of embeddings and norms.
        context_weight: weight of the loss on tokens that are not answers, at the start; falls to 0 at `context_until`.
        context_until: share of the steps after which only answers count.
        seed: of initial weights and of the stream.
        parent: model whose finished weights this one starts from, or None for a fresh start. A deeper child repeats
            each parent layer, the repeats silenced, so that it computes the same as its parent at first.
        on_facts: train on `facts_mixture_for` instead of `mixture_for`.
        is_planted: start with the copying circuit in place (see `initialisation`).
        rope_theta: base of the rotary frequencies; small, because contexts are short.
    """

    name: str
    width: int
    layers: int
    domains: tuple[Domain, ...]
    steps: int
    tokens_per_batch: int = 2048
    muon_lr: float = 0.02
    adam_lr: float = 0.003
    context_weight: float = 0.1
    context_until: float = 0.15
    seed: int = 0
    parent: str | None = None
    rope_theta: float = 1000.0
    is_planted: bool = False
    on_facts: bool = False

    @property
    def feed_forward_width(self) -> int:
        """8/3 of the width, rounded to a multiple of 32."""
        return round(self.width * 8 / 3 / 32) * 32


_PLANTED: dict[str, Any] = {"context_weight": 0.0, "rope_theta": 10_000.0, "is_planted": True}
_CHILD: dict[str, Any] = {"muon_lr": 0.015, "adam_lr": 0.002, "seed": 1, "context_weight": 0.0}
_CHILD_ON_FACTS: dict[str, Any] = _CHILD | {"rope_theta": 10_000.0, "on_facts": True}

_CHILD_AGAIN: dict[str, Any] = _CHILD | {"rope_theta": 10_000.0, "seed": 2}

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("tiny", 64, 2, ("text", "math"), 3500, parent="tiny-draft", **_CHILD_AGAIN),
        Recipe("small", 128, 3, ("text", "math"), 3500, parent="small-draft", **_CHILD_AGAIN),
        Recipe("base", 128, 6, ("text", "math"), 2200, parent="base-facts", **_CHILD_AGAIN),
        Recipe("math", 128, 3, ("math",), 2000, parent="math-draft", **_CHILD),
        Recipe("text", 128, 3, ("text",), 1700, parent="text-facts", **_CHILD_AGAIN),
        Recipe("base-facts", 128, 6, ("text", "math"), 1200, parent="small-draft", **_CHILD_ON_FACTS),
        Recipe("text-facts", 128, 3, ("text",), 1300, parent="text-draft", **_CHILD_ON_FACTS),
        Recipe("tiny-draft", 64, 2, ("text", "math"), 4500, **_PLANTED),
        Recipe("text-draft", 128, 3, ("text",), 3500, **_PLANTED),
        Recipe("small-draft", 128, 3, ("text", "math"), 1800, **_PLANTED),
        Recipe("math-draft", 128, 3, ("math",), 3400),
    )
}
"""Every training run. A child starts from its parent's weights; a draft is trained only to be a parent."""

FAMILY: tuple[str, ...] = ("tiny", "small", "base", "math", "text")
"""The models that are shipped, in the order of a report."""


def in_training_order(names: Sequence[str]) -> list[Recipe]:
    """The named recipes, each after its parent; ancestors that they need are added.

    Raises:
        KeyError: an unknown name.
    """
    ordered: dict[str, Recipe] = {}

    def add(recipe: Recipe) -> None:
        if recipe.parent and recipe.parent not in ordered:
            add(RECIPES[recipe.parent])
        ordered[recipe.name] = recipe

    for name in names:
        add(RECIPES[name])
    return list(ordered.values())
