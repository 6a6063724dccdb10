"""A checkpoint in this process, by the transformers library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from workbench.core import (
    BadResponse,
    Clock,
    Completion,
    ContextOverflow,
    Delta,
    ModelError,
    Request,
    Sampling,
    SystemClock,
    Timing,
    Unavailable,
    Usage,
)
from workbench.models.card import ModelCard
from workbench.models.checkpoint import Checkpoint, open_checkpoint
from workbench.models.generation import Row, TokenTap, Watch, decode, generate_rows
from workbench.models.memory_calls import peaks_of, used_gib
from workbench.models.visible_text import cut_at_stop, visible_part

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request made ready: its place in the call, its tokens, how it is drawn."""

    index: int
    token_ids: list[int]
    sampling: Sampling


class TransformersModel:
    """Generates in a thread of its own, one batch at a time, so that the event loop stays free.

    Answers are counted with the token that ends them; `logprob` is the sum over the same tokens at temperature 1. In float32 a greedy or
    seeded answer is the same alone and in a batch. There is no prefix cache between calls, so cached tokens are unknown. JSON Schemas
    do not constrain the draw. White space before an answer is dropped. `memory_gib` is the most the process had resident while the batch
    was generated (on a GPU: what torch had allocated), other models of the process included; `memory_baseline_gib` is what it had before
    this model was loaded.

    Args:
        name: its name in the configuration.
        card: `card.model` is reference:NAME, a folder or a hub id; see `TransformersOptions` for `card.options`.
        clock: what tells the time.

    Raises:
        ConfigError: the checkpoint is missing, damaged or has no chat template.
    """

    def __init__(self, name: str, card: ModelCard, clock: Clock | None = None) -> None:
        self.name = name
        self.card = card
        self._clock = clock or SystemClock()
        self._baseline_gib = used_gib(card.device)
        self._peaks = peaks_of(card.device)
        self._checkpoint: Checkpoint | None = open_checkpoint(name, card)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"model-{name}")

    async def complete(self, request: Request) -> Completion:
        """One answer; `ttft_s` runs to the first generated token, waiting for earlier requests included.

        Raises:
            ContextOverflow: prompt and answer do not fit the window.
            BadResponse: the chat template refuses the messages.
            Unavailable: the deadline passed, memory ran out, or the model is closed.
        """
        start_s = self._clock.monotonic_s()
        watch = self._watch(start_s, request.deadline_s)

        def answer() -> Completion:
            prompt = self._prompts([request])[0]
            if isinstance(prompt, ModelError):
                raise prompt
            return self._batch([prompt], watch, start_s)[0]

        return await self._in_worker(answer, watch)

    async def complete_batch(self, requests: Sequence[Request]) -> list[Completion | ModelError]:
        """Answers in batches of `card.batch_size`, similar lengths together.

        A row's latency is the wall time of its batch: it is not back before the others. Deadlines are not looked at.
        """
        watch = self._watch(self._clock.monotonic_s(), None)
        prompts = await self._in_worker(lambda: self._prompts(requests), watch)
        results: list[Any] = list(prompts)
        for batch in _batches([p for p in prompts if isinstance(p, Prompt)], self.card.batch_size):
            for prompt, answer in zip(batch, await self._batch_or_error(batch), strict=True):
                results[prompt.index] = answer
        return results

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """Pieces that together are exactly the text of the last one's Completion; errors as `complete`."""
        start_s = self._clock.monotonic_s()
        watch = self._watch(start_s, request.deadline_s)
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[str | None] = asyncio.Queue()
        work = asyncio.ensure_future(
            self._in_worker(lambda: self._streamed(request, watch, start_s, _put_into(arrived, loop, watch)), watch)
        )
        work.add_done_callback(lambda _: arrived.put_nowait(None))
        sent, ttft_s = 0, None
        try:
            while (visible := await arrived.get()) is not None:
                if len(visible) > sent:
                    ttft_s = self._clock.monotonic_s() - start_s if ttft_s is None else ttft_s
                    yield Delta(visible[sent:])
                    sent = len(visible)
            completion = await work
            if ttft_s is not None:
                completion = replace(completion, timing=replace(completion.timing, ttft_s=ttft_s))
            yield Delta(completion.text[sent:], completion)
        finally:
            watch.is_stopped = True
            work.cancel()

    def count_prompt_tokens(self, request: Request) -> int | None:
        """Tokens of the prompt with the chat template."""
        return len(self._encode([self._render(request)])[0])

    async def close(self) -> None:
        """Forget the weights; requests under way are answered first."""
        self._worker.shutdown(wait=False)
        self._checkpoint = None

    def _streamed(self, request: Request, watch: Watch, start_s: float, show: Callable[[str], None]) -> Completion:
        prompt = self._prompts([request])[0]
        if isinstance(prompt, ModelError):
            raise prompt
        tokenizer, stops = self._opened.tokenizer, request.sampling.stop
        tap = TokenTap(lambda tokens: show(visible_part(decode(tokenizer, [tokens])[0], stops)))
        return self._batch([prompt], watch, start_s, tap)[0]

    async def _batch_or_error(self, batch: list[Prompt]) -> Sequence[Completion | ModelError]:
        watch = self._watch(0.0, None)

        def answer() -> list[Completion]:
            return self._batch(batch, watch, self._clock.monotonic_s())

        try:
            return await self._in_worker(answer, watch)
        except ModelError as exc:
            return [exc] * len(batch)

    def _batch(
        self, batch: list[Prompt], watch: Watch, start_s: float, tap: TokenTap | None = None
    ) -> list[Completion]:
        """Generate and dress the rows; runs in the worker thread."""
        checkpoint, call = self._opened, self._peaks.begin()
        try:
            rows = generate_rows(checkpoint, [p.token_ids for p in batch], [p.sampling for p in batch], watch, tap)
        finally:
            memory_gib = self._peaks.end(call)
        if watch.is_late:
            raise Unavailable(f"the deadline passed after {len(rows[0].token_ids)} tokens", model=self.name)
        texts = decode(checkpoint.tokenizer, [row.token_ids for row in rows])
        timing = self._timing(watch, start_s)
        return [
            self._completion(prompt, row, text, timing, memory_gib)
            for prompt, row, text in zip(batch, rows, texts, strict=True)
        ]

    def _completion(self, prompt: Prompt, row: Row, text: str, timing: Timing, memory_gib: float | None) -> Completion:
        usage = Usage(len(prompt.token_ids), len(row.token_ids))
        return Completion(
            text=cut_at_stop(text, prompt.sampling.stop),
            model=self.name,
            finish_reason="stop" if row.has_ended else "length",
            usage=usage,
            timing=timing,
            compute_flop=self._opened.flop_per_token * (len(prompt.token_ids) + len(row.token_ids)),
            logprob=row.logprob,
            memory_gib=memory_gib,
            memory_baseline_gib=self._baseline_gib,
        )

    def _prompts(self, requests: Sequence[Request]) -> list[Prompt | ModelError]:
        """Requests made ready, a failure in its place."""
        texts = [self._rendered_or_error(request) for request in requests]
        encoded = iter(self._encode([text for text in texts if isinstance(text, str)]))
        results: list[Prompt | ModelError] = []
        for index, (request, text) in enumerate(zip(requests, texts, strict=True)):
            if isinstance(text, ModelError):
                results.append(text)
                continue
            token_ids = next(encoded)
            overflow = self._overflow(len(token_ids), request.sampling.max_tokens)
            results.append(overflow or Prompt(index, token_ids, self._sampling(request)))
        return results

    def _rendered_or_error(self, request: Request) -> str | ModelError:
        """The prompt's text; texts that are too long by their characters alone are refused before they are tokenised."""
        n_chars = sum(len(message.content) for message in request.messages)
        overflow = self._overflow(n_chars // self._opened.longest_token, 0)
        if overflow:
            return overflow
        try:
            return self._render(request)
        except ModelError as exc:
            return exc

    def _render(self, request: Request) -> str:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        checkpoint = self._opened
        try:
            text: str = checkpoint.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **checkpoint.options.chat_template_kwargs
            )
        except Exception as exc:  # jinja's errors, and what a template raises on purpose
            raise BadResponse(f"its chat template refuses the messages: {exc}", model=self.name) from exc
        return text

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        rows: list[list[int]] = self._opened.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return rows

    def _overflow(self, prompt_tokens: int, max_tokens: int) -> ContextOverflow | None:
        window = self._opened.context_window
        if window is None or prompt_tokens + max_tokens <= window:
            return None
        return ContextOverflow(
            model=self.name, prompt_tokens=prompt_tokens, context_window=window, answer_tokens=max_tokens
        )

    def _sampling(self, request: Request) -> Sampling:
        return replace(request.sampling, logprobs=request.sampling.logprobs or self.card.logprobs)

    def _watch(self, start_s: float, deadline_s: float | None) -> Watch:
        return Watch(self._clock, None if deadline_s is None else start_s + deadline_s)

    def _timing(self, watch: Watch, start_s: float) -> Timing:
        first = watch.first_token_s
        return Timing(self._clock.monotonic_s() - start_s, None if first is None else first - start_s)

    @property
    def _opened(self) -> Checkpoint:
        if self._checkpoint is None:
            raise Unavailable("it was closed", model=self.name)
        return self._checkpoint

    async def _in_worker(self, work: Callable[[], T], watch: Watch) -> T:
        """Run in the model's thread; when the caller gives up, generation ends at the next token."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._guarded, work)
        except asyncio.CancelledError:
            watch.is_stopped = True
            raise
        except RuntimeError as exc:  # the executor is shut down
            raise Unavailable("it was closed", model=self.name) from exc

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except ModelError:
            raise
        except torch.OutOfMemoryError as exc:
            raise Unavailable("out of memory; lower batch_size or shorten the prompts", model=self.name) from exc
        except Exception as exc:  # the edge to a large library: nothing but a ModelError leaves a model
            raise Unavailable(f"generation failed: {type(exc).__name__}: {exc}", model=self.name) from exc


def _batches(prompts: list[Prompt], size: int) -> list[list[Prompt]]:
    """Batches of prompts that may be generated together, similar lengths side by side (less padding)."""
    groups: dict[tuple[Any, ...], list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda p: len(p.token_ids)):
        sampling = prompt.sampling
        key = (sampling.max_tokens, sampling.stop, sampling.logprobs, sampling.temperature > 0)
        groups.setdefault(key, []).append(prompt)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def _put_into(queue: asyncio.Queue[str | None], loop: asyncio.AbstractEventLoop, watch: Watch) -> Callable[[str], None]:
    """A way to hand texts from the worker thread to the event loop."""

    def show(text: str) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, text)
        except RuntimeError:  # the loop is gone; nobody listens any more
            watch.is_stopped = True

    return show
