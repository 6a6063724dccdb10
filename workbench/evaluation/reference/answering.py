"""Greedy answers of a checkpoint to many conversations at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from workbench.evaluation.reference.tokenizer import EOS_ID, PAD_ID

Messages = list[dict[str, str]]


def load(folder: Path, device: str = "cpu") -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A checkpoint in fp32, whatever it is stored in: lower precision makes answers depend on the batch."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def answer_all(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Messages],
    batch_size: int = 128,
    max_new_tokens: int = 40,
) -> list[str]:
    """One stripped greedy answer a conversation, in order; similar lengths share a batch."""
    rows = [
        tokenizer.apply_chat_template(c, tokenize=True, add_generation_prompt=True)["input_ids"] for c in conversations
    ]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    answers = [""] * len(rows)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        texts = _answer_batch(model, tokenizer, [rows[i] for i in chosen], max_new_tokens)
        for index, text in zip(chosen, texts, strict=True):
            answers[index] = text
    return answers


def _answer_batch(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: list[list[int]], max_new_tokens: int
) -> list[str]:
    longest = max(map(len, rows))
    ids = torch.tensor([[PAD_ID] * (longest - len(row)) + row for row in rows], device=model.device)
    with torch.inference_mode():
        generated = model.generate(
            input_ids=ids,
            attention_mask=(ids != PAD_ID).long(),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=EOS_ID,
            pad_token_id=PAD_ID,
        )
    texts = tokenizer.batch_decode(generated[:, longest:], skip_special_tokens=True)
    return [text.strip() for text in texts]
