"""One batch of answers in a process of its own, its memory measured step by step: what a prediction is held against.

A process of its own, because libraries, earlier models and the allocator's leftovers stay resident in the one that asks.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.core import ConfigError, ModelError, Request, Sampling, Unavailable
from workbench.core.validation import parse
from workbench.models.card import ModelCard
from workbench.models.memory_proc import CallPeaks, ProcessMemory

LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class MemoryTrial:
    """What one batch needed, bytes of resident memory.

    Args:
        framework_bytes: libraries loaded and used once, by a model of a few kilobytes.
        loaded_bytes: with the checkpoint and its tokenizer.
        load_peak_bytes: the most while it was loaded.
        peak_bytes: the most while it answered.
        prompt_tokens: of the longest prompt, to which the others are padded.
        answer_tokens: of the longest answer.
        n_sequences: prompts in the batch.
        loaded_torch_bytes, peak_torch_bytes: the same, allocated by torch on the GPU; None on a processor.
    """

    framework_bytes: int
    loaded_bytes: int
    load_peak_bytes: int
    peak_bytes: int
    prompt_tokens: int
    answer_tokens: int
    n_sequences: int
    loaded_torch_bytes: int | None = None
    peak_torch_bytes: int | None = None


def try_memory(card: ModelCard, prompts: Sequence[str], max_tokens: int) -> MemoryTrial:
    """Answer the prompts as one batch in a new process.

    Args:
        card: of the kind transformers.
        prompts: texts; as many as the batch has.
        max_tokens: of an answer.

    Raises:
        ConfigError: no prompts.
        Unavailable: the process ended without a result; carries the end of what it said.
    """
    if not prompts:
        raise ConfigError("a batch needs at least one prompt")
    task = {"card": card.model_dump(mode="json"), "prompts": list(prompts), "max_tokens": max_tokens}
    command = [sys.executable, "-m", "workbench.models.memory_trial"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"the process that measured its memory failed: {said[-1]}", model=card.model)
    return MemoryTrial(**json.loads(done.stdout.splitlines()[-1]))


def prompts_of_length(folder: Path, n_tokens: int, n: int) -> list[str]:
    """Prompts of about that many tokens with the checkpoint's chat template, never more.

    Raises:
        ConfigError: the template alone is longer.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def length(words: int) -> int:
        chat = [{"role": "user", "content": "word " * words}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    if length(0) > n_tokens:
        raise ConfigError(f"the chat template alone has {length(0)} tokens, more than the {n_tokens} of a prompt")
    fitting = bisect.bisect_right(range(n_tokens + 1), n_tokens, key=length) - 1
    return ["word " * fitting] * n


def _measure(task: dict[str, Any]) -> MemoryTrial:
    process = ProcessMemory(os.getpid())
    peaks = CallPeaks(process)
    card = parse(ModelCard, task["card"], "card")
    framework = _use_the_libraries(card.device)
    before = process.resident_kib() or 0
    loading = peaks.begin()
    from workbench.models.transformers_model import TransformersModel

    model = TransformersModel("measured", card.model_copy(update={"batch_size": len(task["prompts"])}))
    load_peak, loaded = peaks.end(loading), process.resident_kib() or 0
    gpu_loaded = _torch_bytes(card.device, is_peak=False)
    answering = peaks.begin()
    sampling = Sampling(max_tokens=task["max_tokens"])
    answers = asyncio.run(model.complete_batch([Request.from_prompt(p, sampling=sampling) for p in task["prompts"]]))
    peak = peaks.end(answering)
    usages = [_usage(answer) for answer in answers]
    del framework
    return MemoryTrial(
        framework_bytes=before * 1024,
        loaded_bytes=loaded * 1024,
        load_peak_bytes=round((load_peak or 0) * 2**30),
        peak_bytes=round((peak or 0) * 2**30),
        prompt_tokens=max(prompt for prompt, _ in usages),
        answer_tokens=max(answer for _, answer in usages),
        n_sequences=len(answers),
        loaded_torch_bytes=gpu_loaded,
        peak_torch_bytes=_torch_bytes(card.device, is_peak=True),
    )


def _use_the_libraries(device: str) -> object:
    """Import all that answering needs and run it once on a toy, so that its own memory is in the baseline."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    import workbench.models.transformers_model  # noqa: F401

    toy = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, eos_token_id=7
        )
    )
    toy = toy.to(device).eval()
    _use_a_tokenizer()
    ids = torch.ones((2, 4), dtype=torch.long, device=device)
    with torch.inference_mode():
        toy.generate(input_ids=ids, attention_mask=ids, max_new_tokens=2, do_sample=False, pad_token_id=0)
    return toy


def _use_a_tokenizer() -> None:
    """Text to tokens and a chat template on two words: the template engine and the tokenizer library load on first use."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?")), unk_token="?"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        loaded = AutoTokenizer.from_pretrained(folder)
    loaded.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    loaded.batch_decode(loaded(["a"])["input_ids"])


def _torch_bytes(device: str, *, is_peak: bool) -> int | None:
    import torch

    if not device.startswith("cuda"):
        return None
    return int(torch.cuda.max_memory_allocated(device) if is_peak else torch.cuda.memory_allocated(device))


def _usage(answer: Any) -> tuple[int, int]:
    if isinstance(answer, ModelError):
        raise answer
    return answer.usage.prompt_tokens, answer.usage.completion_tokens


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure(json.load(sys.stdin)))) + "\n")
