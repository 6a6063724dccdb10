"""A checkpoint answered by vLLM: by a server of one's own that ends with the model, or by one that runs already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from workbench.core import Clock, Completion, ConfigError, Delta, ModelError, Request, SystemClock, Unavailable
from workbench.models.batching import answer_concurrently
from workbench.models.card import ModelCard
from workbench.models.family import PREFIX, read_family
from workbench.models.openai_compatible import OpenAICompatibleModel
from workbench.models.vllm_options import vllm_options
from workbench.models.vllm_server import VLLMServer


class VLLMModel:
    """Answers through vLLM's OpenAI-compatible server; retries, deadlines and errors as `OpenAICompatibleModel`.

    Without `card.base_url` a server is started here, which takes half a minute to minutes, and stopped by `close()`, or when this process
    ends. As in the kind `transformers`, greedy is greedy whatever generation_config.json says, and white space before an answer is dropped.

    Args:
        name: its name in the configuration; a server of one's own serves the checkpoint under it.
        card: `card.model` is reference:NAME, a folder or a hub id; see `VLLMOptions` for `card.options`. With `card.base_url` it is the
            server's model id; reference:NAME and folders stand for `name` there, which is what `workbench models up` serves.
        clock: what tells the time.

    Raises:
        ConfigError: no vLLM environment, no such checkpoint, a wrong option, a key that is not set.
        Unavailable: the server ended before it was ready, or was not ready in time; quotes its log.
    """

    def __init__(self, name: str, card: ModelCard, clock: Clock | None = None) -> None:
        self.name = name
        self.card = card
        self._clock = clock or SystemClock()
        self.server = None if card.base_url else VLLMServer(name, card)
        url = card.base_url if self.server is None else self.server.url
        self.api_card = _api_card(name, card, str(url))
        self._api = OpenAICompatibleModel(name, self.api_card, self._clock)
        if self.server is not None:
            self.server.__enter__()

    async def complete(self, request: Request) -> Completion:
        """One answer; `ttft_s` runs to its first token.

        Raises:
            ModelError: as `OpenAICompatibleModel`; Unavailable quotes the server's log when it has died.
        """
        try:
            answer = await self._api.complete(request)
        except Unavailable as exc:
            raise await self._explained(exc) from exc
        return replace(answer, text=answer.text.lstrip())

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in the order asked, at most `card.batch_size` requests at a time; vLLM batches them as they come."""
        return await answer_concurrently(self.complete, requests, self.card.batch_size)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """Pieces as the server sends them; `ttft_s` runs to the first visible one."""
        start_s, dropped, visible_s = self._clock.monotonic_s(), False, None
        try:
            async for delta in self._api.stream(request):
                text = delta.text if visible_s is not None else delta.text.lstrip()
                if text and visible_s is None:
                    visible_s = self._clock.monotonic_s() - start_s
                dropped = dropped or (visible_s is None and bool(delta.text))
                if text or delta.completion:
                    yield Delta(text, _dressed(delta.completion, visible_s if dropped else None))
        except Unavailable as exc:
            raise await self._explained(exc) from exc

    def count_prompt_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def close(self) -> None:
        """Close the connections and stop the server that was started here."""
        await self._api.close()
        if self.server is not None:
            await asyncio.to_thread(self.server.stop)

    async def _explained(self, error: Unavailable) -> Unavailable:
        """The error itself while the server lives or was stopped on purpose; how it died otherwise."""
        if self.server is None or self.server.is_stopped or not await asyncio.to_thread(self.server.has_ended):
            return error
        return self.server.failure("its vLLM server has died")


def _dressed(completion: Completion | None, visible_s: float | None) -> Completion | None:
    """The answer without leading white space; with the time of its first visible piece where pieces before it were dropped."""
    if completion is None:
        return None
    timing = completion.timing
    if visible_s is not None and timing.ttft_s is not None:
        timing = replace(timing, ttft_s=min(visible_s, timing.latency_s))
    return replace(completion, text=completion.text.lstrip(), timing=timing)


def _api_card(name: str, card: ModelCard, url: str) -> ModelCard:
    options = vllm_options(name, card)
    passed_on = {"stream": options.stream, "extra_body": options.extra_body}
    known = {"kind": "openai-compatible", "base_url": url, "model": _served_name(name, card), "options": passed_on}
    return card.model_copy(update={**known, "flop_per_token": card.flop_per_token or _flop_per_token(card.model)})


def _served_name(name: str, card: ModelCard) -> str:
    is_checkpoint = card.model.startswith(PREFIX) or Path(card.model).expanduser().is_dir()
    return card.model if card.base_url and not is_checkpoint else name


def _flop_per_token(model: str) -> float | None:
    """Known for the reference family; other checkpoints need `flop_per_token` on their card."""
    if not model.startswith(PREFIX):
        return None
    try:
        return read_family().member(model.removeprefix(PREFIX)).forward_flops_per_token
    except ConfigError:
        return None
