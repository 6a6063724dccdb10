"""Compose: the prompt as the model receives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from workbench.core import Request
from workbench.models import Model
from workbench.prompts import Composed, TemplateConfig, compose, fit
from workbench.stack.config import StackConfig

TOKENS_PER_MESSAGE = 8  # a chat template's marks around a message, where tokens cannot be counted


class Composer:
    """Wording, role, examples and context window.

    Args:
        config: of the whole stack.
        models: by name; they count tokens.
    """

    def __init__(self, config: StackConfig, models: Mapping[str, Model]) -> None:
        self._config = config.compose
        self._cards = config.models
        self._models = models

    def draft(self, request: Request, is_step: bool = False) -> Request:
        """The composed request, whatever its length. A step of a pipeline has its own wording and keeps only the role."""
        template = self._template(request)
        if is_step:
            template = TemplateConfig(system=template.system)
        return compose(request, template, self._config.max_answer_tokens)

    def for_model(self, request: Request, name: str, is_step: bool = False) -> Composed:
        """The request as the model receives it, the oldest turns left out where they do not fit.

        Raises:
            ContextOverflow: the last turn alone does not fit.
        """
        n_examples = 0 if is_step else len(self._template(request).examples)
        count, window = self._models[name].count_prompt_tokens, self._cards[name].context_window
        return fit(self.draft(request, is_step), count, window, name, n_examples)

    def prompt_tokens(self, draft: Request, name: str) -> int | None:
        """Tokens of a draft for one model; None when it cannot count them."""
        return self._models[name].count_prompt_tokens(draft)

    def most_tokens(self, request: Request, names: Collection[str]) -> int:
        """Most tokens one call can take at any of the models: prompt and answer; bytes where nobody can count."""
        draft = self.draft(request)
        counts = [self.prompt_tokens(draft, name) for name in names if name in self._models]
        known = [count for count in counts if count is not None]
        return max(known, default=_most_tokens_by_bytes(draft)) + draft.sampling.max_tokens

    def _template(self, request: Request) -> TemplateConfig:
        return self._config.by_task.get(request.task or "", self._config.default)


def _most_tokens_by_bytes(request: Request) -> int:
    """A token covers at least one byte."""
    return sum(len(m.content.encode("utf-8", "surrogatepass")) + TOKENS_PER_MESSAGE for m in request.messages)
