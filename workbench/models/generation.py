"""One batch through `generate`: padding, seeds by row, log-probabilities, stop texts, and when the first token came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from workbench.core import Clock, Sampling
from workbench.models.checkpoint import Checkpoint

TOKENS_OF_TAIL = 16
"""Tokens behind a stop text's own length that are decoded to look for it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one prompt of a batch.

    Args:
        token_ids: the answer's tokens, the one that ended it included.
        has_ended: by itself or a stop text, not for want of room.
        logprob: sum over `token_ids` of the log-probability at temperature 1; None when not asked for.
    """

    token_ids: list[int]
    has_ended: bool
    logprob: float | None


class Watch(StoppingCriteria):  # type: ignore[misc]
    """Notes when the first token came and ends the batch when told to, or at the deadline.

    Args:
        clock: what tells the time.
        deadline_s: on that clock; None is none.
    """

    def __init__(self, clock: Clock, deadline_s: float | None = None) -> None:
        self.first_token_s: float | None = None
        self.is_stopped = False
        self.is_late = False
        self._clock = clock
        self._deadline_s = deadline_s

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Once a token: whether each row must end."""
        now_s = self._clock.monotonic_s()
        if self.first_token_s is None:
            self.first_token_s = now_s
        self.is_late = self._deadline_s is not None and now_s > self._deadline_s
        return torch.full((len(input_ids),), self.is_stopped or self.is_late, device=input_ids.device)


class StopTexts(StoppingCriteria):  # type: ignore[misc]
    """Ends a row as soon as one of the stop texts stands in its answer; notes after how many tokens.

    Costs a decoding of each row's tail a token, and is used only where stop texts are given.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str], prompt_length: int) -> None:
        self.n_tokens: dict[int, int] = {}
        self._tokenizer = tokenizer
        self._stops = stops
        self._prompt_length = prompt_length
        self._tail = max(len(stop.encode()) for stop in stops) + TOKENS_OF_TAIL

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Once a token: whether each row has reached a stop text."""
        answers = input_ids[:, self._prompt_length :]
        open_rows = [row for row in range(len(answers)) if row not in self.n_tokens]
        texts = decode(self._tokenizer, answers[open_rows, -self._tail :].tolist())
        for row, text in zip(open_rows, texts, strict=True):
            if any(stop in text for stop in self._stops):
                self.n_tokens[row] = answers.shape[1]
        return torch.tensor([row in self.n_tokens for row in range(len(answers))], device=input_ids.device)


class LogprobSum(LogitsProcessor):  # type: ignore[misc]
    """Adds up the log-probabilities of the tokens that are chosen, keeping one step's distribution at a time."""

    def __init__(self) -> None:
        self._chosen: list[torch.Tensor] = []
        self._previous: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Once a token: look up the last chosen token in the distribution that it was chosen from."""
        self._look_up(input_ids[:, -1])
        self._previous = torch.log_softmax(scores, dim=-1)
        return scores

    def by_token(self, last_tokens: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (rows, tokens); call it once, when the batch is done."""
        self._look_up(last_tokens)
        return torch.stack(self._chosen, dim=1)

    def _look_up(self, tokens: torch.Tensor) -> None:
        if self._previous is not None:
            self._chosen.append(self._previous.gather(1, tokens[:, None])[:, 0])


class RowSampler(LogitsProcessor):  # type: ignore[misc]
    """Draws each row with its own temperature, nucleus and seed: the largest of log p - log(exponential noise) is a draw from p.

    The noise depends on the row's seed and the step alone, so the same seed draws the same answer in any batch.
    """

    def __init__(self, samplings: Sequence[Sampling], device: torch.device) -> None:
        self._temperature = torch.tensor([[s.temperature] for s in samplings], device=device)
        self._top_p = torch.tensor([[s.top_p] for s in samplings], device=device)
        self._generators = [_generator(s.seed) for s in samplings]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Once a token: scores whose largest is the draw."""
        logp = torch.log_softmax(self._nucleus(scores / self._temperature), dim=-1)
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=g) for g in self._generators])
        return logp - noise.to(scores.device).log()

    def _nucleus(self, scores: torch.Tensor) -> torch.Tensor:
        """Without the tokens beyond the smallest set that holds `top_p` of the mass."""
        ordered, order = scores.sort(dim=-1, descending=True)
        mass = torch.softmax(ordered, dim=-1)
        beyond = mass.cumsum(dim=-1) - mass >= self._top_p
        beyond[:, 0] = False
        return scores.masked_fill(beyond.scatter(1, order, beyond), -torch.inf)


class TokenTap(BaseStreamer):  # type: ignore[misc]
    """Hands over the answer's tokens so far, each time one is added."""

    def __init__(self, on_tokens: Callable[[list[int]], None]) -> None:
        self._on_tokens = on_tokens
        self._token_ids: list[int] | None = None

    def put(self, value: torch.Tensor) -> None:
        """The prompt first, then a token at a time."""
        if self._token_ids is None:
            self._token_ids = []
            return
        self._token_ids.extend(value.reshape(-1).tolist())
        self._on_tokens(self._token_ids)

    def end(self) -> None:
        """Nothing is held back."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def generate_rows(
    checkpoint: Checkpoint,
    prompts: Sequence[list[int]],
    samplings: Sequence[Sampling],
    watch: Watch,
    tap: TokenTap | None = None,
) -> list[Row]:
    """Answer a batch of prompts.

    Args:
        checkpoint: what answers.
        prompts: token ids; padded on the left here.
        samplings: one a prompt; they agree in `max_tokens`, `stop`, `logprobs` and in being greedy or not.
        watch: may end it early.
        tap: receives the tokens of a batch of one.

    Returns:
        One Row a prompt, in order.
    """
    device, first = checkpoint.model.device, samplings[0]
    ids, mask = _padded(prompts, checkpoint.pad_id)
    stops = StopTexts(checkpoint.tokenizer, first.stop, ids.shape[1]) if first.stop else None
    logprobs = LogprobSum() if first.logprobs else None
    sampler = RowSampler(samplings, device) if first.temperature > 0 else None
    output = checkpoint.model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=first.max_tokens,
        do_sample=False,
        eos_token_id=list(checkpoint.end_ids),
        pad_token_id=checkpoint.pad_id,
        stopping_criteria=[watch, *([stops] if stops else [])],
        logits_processor=[part for part in (logprobs, sampler) if part is not None],
        streamer=tap,
    )
    answers = output[:, ids.shape[1] :]
    by_token = logprobs.by_token(answers[:, -1]).tolist() if logprobs else None
    return _rows(answers.tolist(), checkpoint.end_ids, stops.n_tokens if stops else {}, by_token)


def decode(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    """Texts of token rows, without special tokens and exactly as the tokens say."""
    texts: list[str] = tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return texts


def _padded(prompts: Sequence[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    return ids, mask


def _rows(
    answers: list[list[int]],
    end_ids: tuple[int, ...],
    stopped_after: dict[int, int],
    by_token: list[list[float]] | None,
) -> list[Row]:
    rows = []
    for index, tokens in enumerate(answers):
        ends = next((at + 1 for at, token in enumerate(tokens) if token in end_ids), None)
        known = [n for n in (ends, stopped_after.get(index)) if n is not None]
        n_tokens = min(known, default=len(tokens))
        logprob = sum(by_token[index][:n_tokens]) if by_token else None
        rows.append(Row(tokens[:n_tokens], bool(known), logprob))
    return rows


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
