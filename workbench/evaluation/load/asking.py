"""Which prompt each request of a load asks, and how: shuffled once by the seed, then in turn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.core import ConfigError, Request
from workbench.core.hashing import sha256_json
from workbench.evaluation.items import Item, item_from_row
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.plan import seed_of
from workbench.evaluation.sources import read_rows
from workbench.models import ModelCard


class Asking:
    """Request number → prompt and request.

    Args:
        prompts: texts or items; a suite gives its items. Answers and graders are not needed.
        config: seed and sampling.
        card: of the model; recorded ones choose their sample by the seed.

    Raises:
        ConfigError: no prompts.
    """

    def __init__(self, prompts: Iterable[Item | str], config: BenchConfig, card: ModelCard) -> None:
        self.items = [_item(prompt, number) for number, prompt in enumerate(prompts, start=1)]
        if not self.items:
            raise ConfigError("a bench needs at least one prompt; give texts, a suite or a file of prompts")
        self._order = np.random.default_rng([config.seed, 1]).permutation(len(self.items)).tolist()
        self._config, self._card = config, card

    def __call__(self, number: int) -> tuple[Item, Request]:
        """The prompt of a request, and the request."""
        turn, place = divmod(number, len(self.items))
        item, sampling = self.items[self._order[place]], self._config.sampling
        if self._card.kind == "recorded":
            sampling = replace(sampling, seed=turn)
        elif sampling.temperature > 0:
            sampling = replace(sampling, seed=seed_of(self._config.seed, item.prompt_id, number))
        return item, item.request(sampling, number)

    def facts(self) -> dict[str, Any]:
        """How many prompts, and the hash of all that they ask; it does not depend on their order."""
        contents = sorted((item.prompt_id, [[m.role, m.content] for m in item.messages]) for item in self.items)
        return {"n": len(self.items), "hash": sha256_json([list(content) for content in contents])}


def read_prompts(source: str) -> list[Item]:
    """Prompts of a file, `reference`, or a Hub data set, as `Suite.load` reads them; answers are not needed.

    Raises:
        ConfigError: nothing of that name, an unknown format, a row without a prompt.
    """
    return [item_from_row(row, where) for where, row in read_rows(source)]


def _item(prompt: Item | str, number: int) -> Item:
    return item_from_row({"prompt": prompt}, f"prompt {number}") if isinstance(prompt, str) else prompt
